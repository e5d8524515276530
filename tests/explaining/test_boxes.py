"""Explaining a box: the evidence is that of the scores, and the box that is meant is found again."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from svertka.explaining.gradcam import grad_cam_by_position
from svertka.explaining.targets import BoxLogit
from svertka.layers.detector import Found
from svertka.zoo import registry

NETS = ("ssd", "yolo_v1", "yolo_v2", "faster_rcnn")


def built(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    size = {"image_size": 64} if registry.record(name).one_size else {}
    return registry.build_any(name, {"trunk": {"net": "resnet8_cifar"}, "classes": 3, **size}).eval()


@pytest.mark.parametrize("name", NETS)
def test_evidence_grows_with_the_score(name: str) -> None:
    """In each box the classes are in the same order by both."""
    net = built(name)
    with torch.no_grad():
        said = net(torch.randn(2, 3, 64, 64))
    scores, evidence = said.found().scores, said.evidence()
    assert evidence.shape == scores.shape
    firm = scores.topk(2, dim=-1).values
    sure = firm[..., 0] - firm[..., 1] > 1e-6
    assert torch.equal(evidence.argmax(dim=-1)[sure], scores.argmax(dim=-1)[sure])


@pytest.mark.parametrize("name", NETS)
def test_maps_are_those_of_the_box(name: str) -> None:
    """The gradient of what speaks for a box, which nothing cuts off."""
    net = built(name)
    images = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        said = net(images)
        found, evidence = said.found(), said.evidence()
    label, place = 1, int(found.scores[0, :, 1].argmax())
    boxes = found.boxes[:, place] if found.boxes.ndim == 3 else found.boxes[:, place, label]
    target = BoxLogit(torch.tensor([label, label]), boxes)
    assert float(target(said)[0]) == pytest.approx(float(evidence[0, place, label]))
    maps = grad_cam_by_position(net, net.trunk.get_submodule(net.taps[-1]), target, images)
    assert maps.shape[0] == 2
    assert torch.isfinite(maps).all()


def test_the_box_is_found_again_among_others() -> None:
    boxes = torch.tensor([[[0.0, 0.0, 0.2, 0.2], [0.5, 0.5, 0.9, 0.9], [0.52, 0.5, 0.9, 0.9]]])
    scores = torch.tensor([[[0.9, 0.1], [0.1, 0.2], [0.1, 0.7]]])
    said = Found(boxes, scores)

    def told(label: int, box: Tensor) -> float:
        return float(BoxLogit(torch.tensor([label]), box[None])(said))

    assert told(0, boxes[0, 0]) == pytest.approx(0.9)
    assert told(1, boxes[0, 1]) == pytest.approx(0.7)  # nearly as large, and much likelier
    assert told(1, boxes[0, 0]) == pytest.approx(0.1)
