"""With torchvision's weights, detectors find what torchvision's do."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchvision.models.detection import fasterrcnn_resnet50_fpn, ssd300_vgg16
from torchvision.models.detection.image_list import ImageList

from svertka.layers.detector import Detector
from svertka.runtime.boxes import choose
from svertka.zoo import registry
from svertka.zoo.catalogue import faster_rcnn, ssd
from svertka.zoo.renaming import rename

CLASSES = 5


def ours(name: str, theirs: nn.Module, keys: tuple[tuple[str, str], ...], **options: object) -> Detector:
    with torch.device("meta"):
        net = registry.build_any(name, {"classes": CLASSES, **options})
    state = rename(theirs.state_dict(), keys)
    for key, value in net.state_dict().items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.zeros(value.shape, dtype=value.dtype)
    net.load_state_dict(state, assign=True)
    assert isinstance(net, Detector)
    return net.eval()


def compare(net: Detector, x: Tensor, theirs: dict[str, Tensor], *, least: float, overlap: float) -> int:
    """See that the boxes of an image are the same within 0.01 pixels, and scores within 0.0001."""
    with torch.no_grad():
        outputs = {key: value[0].numpy() for key, value in net.outputs(x).items()}
    chosen = choose(outputs["boxes"], outputs["scores"], least=[least] * CLASSES, overlap=overlap)
    count = len(chosen.classes)
    sides = np.array([x.shape[3], x.shape[2]] * 2)
    assert chosen.classes.tolist() == (theirs["labels"][:count] - 1).tolist()
    np.testing.assert_allclose(chosen.scores, theirs["scores"][:count].numpy(), atol=1e-4)
    np.testing.assert_allclose(chosen.boxes * sides, theirs["boxes"][:count].numpy(), atol=1e-2)
    return count


def images(count: int, height: int, width: int) -> Tensor:
    """Blots of several sizes."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn(count, 3, height // 16, width // 16, generator=generator)
    return nn.functional.interpolate(coarse, size=(height, width), mode="bicubic")


def test_ssd300_is_torchvisions() -> None:
    torch.manual_seed(0)
    theirs = ssd300_vgg16(weights=None, weights_backbone=None, num_classes=1 + CLASSES).eval()
    for layer in theirs.head.classification_head.module_list:
        nn.init.normal_(layer.weight, std=0.02)
    net = ours("ssd300", theirs, ssd.KEYS["torchvision"])
    found = 0
    for x in images(10, 300, 300).split(1):
        with torch.no_grad():
            features = list(theirs.backbone(x).values())
            said = theirs.head(features)
            anchors = theirs.anchor_generator(ImageList(x, [(300, 300)]), features)
            (result,) = theirs.postprocess_detections(said, anchors, [(300, 300)])
        found += compare(net, x, result, least=0.01, overlap=0.45)
    assert found > 500


@pytest.mark.parametrize(("height", "width"), [(192, 256)])
def test_faster_rcnn_resnet50_fpn_is_torchvisions(height: int, width: int) -> None:
    torch.manual_seed(0)
    theirs = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None, num_classes=1 + CLASSES).eval()
    for layer in (theirs.rpn.head.cls_logits, theirs.rpn.head.bbox_pred, theirs.roi_heads.box_predictor.bbox_pred):
        nn.init.normal_(layer.weight, std=0.02)
    nn.init.normal_(theirs.roi_heads.box_predictor.cls_score.weight, std=0.02)
    net = ours("faster_rcnn_resnet50_fpn", theirs, faster_rcnn.KEYS["torchvision"])
    found = 0
    for x in images(3, height, width).split(1):
        with torch.no_grad():
            features = theirs.backbone(x)
            given = ImageList(x, [(height, width)])
            proposals, _ = theirs.rpn(given, features)
            (result,), _ = theirs.roi_heads(features, proposals, [(height, width)])
        found += compare(net, x, result, least=0.05, overlap=0.5)
    assert found > 20
