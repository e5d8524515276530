"""The contract of networks that find objects, and of every trunk that one can be built on."""

from typing import Any

import numpy as np
import pytest
import torch
from families import FULL, SHORTER, cheapest
from torch import Tensor

from svertka.deploy.onnx import TOLERANCE, onnx_bytes
from svertka.errors import UserError
from svertka.layers.dense import resolutions
from svertka.layers.detector import Detector, Found
from svertka.layers.frozen import BehindPieces, FrozenStages
from svertka.runtime.card import Card, Golden
from svertka.runtime.engines import OnnxRuntimeEngine
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.predictor import Predictor, raw_outputs
from svertka.runtime.preprocess import Preprocess
from svertka.tasks.box_losses import COUNTED
from svertka.tasks.detection import DetectionTask
from svertka.testing import check_shapes
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import load_classifier, load_model, save_model

CLASSES = 4
DETECTORS = [record for record in registry.records() if record.kind == "detector"]
WITHOUT_MAPS = {"perceptron", "mlp"}
TRUNKS = [record for record in registry.records() if record.kind == "classifier" and record.name not in WITHOUT_MAPS]
EVERY_NET = pytest.mark.parametrize("record", DETECTORS, ids=lambda record: record.name)
ON_A_TRUNK = pytest.mark.parametrize("name", ["ssd", "yolo_v1", "yolo_v2", "fast_rcnn", "faster_rcnn"])
IN_ONE_STAGE = ["ssd", "yolo_v1", "yolo_v2"]
"""What others find depends on which of two boxes that are as likely is proposed, so that the last bits matter."""
SLIGHT: dict[str, dict[str, Any]] = {
    "yolo_v1": {"width": 16, "hidden": 32},
    "fast_rcnn": {"hidden": 32},
    "faster_rcnn": {"width": 16, "hidden": 32, "proposals": 20},
}


CHEAPEST_TRUNKS = pytest.mark.parametrize("record", cheapest(TRUNKS), ids=lambda record: record.name)


SOME = [registry.record(name) for name in ("lenet5", "resnet8_cifar", "squeezenet1_1", "efficientnet_lite0")]
SOME_TRUNKS = pytest.mark.parametrize("record", TRUNKS if FULL else SOME, ids=lambda record: record.name)
"""Unless ``SVERTKA_FULL`` is set: on every trunk they take an hour, and segmenters are tried on all in the same way."""
EXPORTED = pytest.mark.parametrize(
    ("name", "record"),
    [(name, record) for name in IN_ONE_STAGE for record in TRUNKS]
    if FULL
    else [
        (name, registry.record(trunk))
        for name, trunk in (
            ("ssd", "efficientnet_lite0"),
            ("ssd", "lenet5"),
            ("yolo_v1", "resnet8_cifar"),
            ("yolo_v2", "squeezenet1_1"),
        )
    ],
    ids=lambda value: getattr(value, "name", value),
)
"""Every decoder and every kind of trunk once: the exporter takes a quarter of a minute for each."""


def side(trunk: registry.NetRecord) -> int:
    """An odd size that is not too small for the trunk."""
    return max(trunk.smallest, 64) + 7 | 1


def arguments(record: registry.NetRecord, size: int, trunk: registry.NetRecord | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"classes": CLASSES, "in_channels": (trunk or record).channels}
    if record.one_size:
        found["image_size"] = size
    if trunk is not None:
        found |= {"trunk": {"net": trunk.name}, **SLIGHT.get(record.name, {})}
    return found


def build(record: registry.NetRecord, size: int, trunk: registry.NetRecord | None = None) -> Detector:
    torch.manual_seed(0)
    net = registry.build_any(record.name, arguments(record, size, trunk))
    assert isinstance(net, Detector)
    return net


def images(channels: int, size: int, count: int = 2) -> Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))


def losses(net: torch.nn.Module, x: Tensor) -> Tensor:
    """Of one object in the first image."""
    targets = torch.tensor([[[1.0, 0.2, 0.3, 0.7, 0.8, COUNTED]], [[-1.0, 0, 0, 0, 0, 0]]])
    task = DetectionTask([f"class {number}" for number in range(CLASSES)])
    return torch.stack(list(task.step(net, x, targets).values())).sum()


def check_found(found: Found, images: int) -> None:
    count = found.boxes.shape[1]
    assert found.boxes.shape in ((images, count, 4), (images, count, CLASSES, 4))
    assert found.scores.shape == (images, count, CLASSES)


@EVERY_NET
def test_parameters_channels_sizes_and_boxes(record: registry.NetRecord) -> None:
    check_shapes(record)


@pytest.mark.parametrize("trunk", sorted(WITHOUT_MAPS))
@ON_A_TRUNK
def test_a_trunk_without_maps_is_refused(name: str, trunk: str) -> None:
    with pytest.raises(UserError, match="cannot have a decoder"):
        registry.build_any(name, {"trunk": {"net": trunk}})


@CHEAPEST_TRUNKS
@ON_A_TRUNK
def test_boxes_on_every_trunk(name: str, record: registry.NetRecord) -> None:
    size = side(record)
    with torch.device("meta"):
        net = build(registry.record(name), size, record).eval()
        check_found(net(torch.empty(2, record.channels, size, size)).found(), 2)
    strides = [found.stride for found in resolutions(net.trunk)]
    if name == "ssd":
        assert len(net.taps) == max(1, sum(stride >= 8 for stride in strides))
    elif name in ("yolo_v1", "fast_rcnn"):
        assert len(net.taps) == 1
    elif name == "yolo_v2":
        assert len(net.taps) == min(2, len(strides))
    else:
        assert len(net.taps) == max(1, sum(4 <= stride <= 32 for stride in strides))


@SOME_TRUNKS
@ON_A_TRUNK
def test_gradients_are_finite_and_frozen_is_frozen(name: str, record: registry.NetRecord) -> None:
    size = side(record)
    net = build(registry.record(name), size, record).train()
    x = images(record.channels, size)
    losses(net, x).backward()
    for parameter in net.parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all()
    assert any(parameter.grad is not None and parameter.grad.any() for parameter in net.trunk.parameters())
    net.zero_grad()
    net.trunk.freeze(len(net.trunk.names))
    net.train()
    before, decoder = net.trunk.digests(), {key: value.clone() for key, value in net.decoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.01)
    losses(net, x).backward()
    optimizer.step()
    assert net.trunk.digests() == before
    assert any(not torch.equal(value, decoder[key]) for key, value in net.decoder.state_dict().items())


@SOME_TRUNKS
@pytest.mark.parametrize("name", IN_ONE_STAGE)
def test_what_follows_frozen_stages_is_the_whole(name: str, record: registry.NetRecord) -> None:
    size = side(record)
    net = build(registry.record(name), size, record).eval()
    x = images(record.channels, size)
    names = net.trunk.names
    for boundary in (names[len(names) // 2], names[-1]):
        behind = BehindPieces(net, boundary, net.trunk.shapes(size, size), (size, size)).eval()
        stages = FrozenStages(net.trunk, (), [stage for stage, _ in behind.reads]).eval()
        with torch.no_grad():
            rows = torch.cat([maps.flatten(1) for maps in stages(x)], dim=1)
            for here, there in zip(behind(rows), net(x), strict=True):
                torch.testing.assert_close(here, there, atol=1e-4, rtol=1e-4)


@SOME_TRUNKS
@ON_A_TRUNK
def test_the_model_file_brings_it_back(name: str, record: registry.NetRecord, tmp_path) -> None:
    size = side(record)
    net = build(registry.record(name), size, record).eval()
    path = tmp_path / "model.safetensors"
    save_model(path, net.state_dict(), card(net, name, arguments(registry.record(name), size, record), size))
    loaded, read = load_model(path)
    assert isinstance(loaded, Detector)
    x = images(net.in_channels, size)
    with torch.no_grad():
        for here, there in zip(loaded(x), net(x), strict=True):
            assert torch.equal(here, there)
    assert Predictor(TorchEngine(loaded), read).golden_difference() == 0
    with pytest.raises(UserError, match="finds boxes and is no classifier"):
        load_classifier(path)


@EXPORTED
def test_onnx_agrees_and_finds_the_same(name: str, record: registry.NetRecord, tmp_path) -> None:
    size = side(record)
    shorter = {} if FULL else {"arguments": SHORTER[record.name]} if record.name in SHORTER else {}
    given = arguments(registry.record(name), size, record)
    given["trunk"] |= shorter
    torch.manual_seed(0)
    net = registry.build_any(name, given).eval()
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes(net, card(net, name, given, size)))
    engine = OnnxRuntimeEngine(path)
    assert Predictor(engine, engine.card).golden_difference() <= TOLERANCE
    for count in (1, 3):
        x = images(net.in_channels, size, count)
        outputs = engine.run(x.numpy())
        with torch.no_grad():
            for key, expected in net.outputs(x).items():
                np.testing.assert_allclose(outputs[key], expected.numpy(), atol=TOLERANCE, rtol=0)


def test_onnx_of_two_stages_agrees(tmp_path) -> None:
    record, size = registry.record("resnet8_cifar"), 96
    net = build(registry.record("faster_rcnn"), size, record).eval()
    with torch.no_grad():
        net.decoder.objectness.weight.mul_(100)  # so that no two proposals are as likely
        net.decoder.ways.weight.mul_(20)
        net.decoder.score.weight.mul_(100)
    path = tmp_path / "model.onnx"
    values = arguments(registry.record("faster_rcnn"), size, record)
    path.write_bytes(onnx_bytes(net, card(net, "faster_rcnn", values, size)))
    engine = OnnxRuntimeEngine(path)
    for count in (1, 3):
        x = images(3, size, count)
        outputs = engine.run(x.numpy())
        with torch.no_grad():
            for key, expected in net.outputs(x).items():
                np.testing.assert_allclose(outputs[key], expected.numpy(), atol=TOLERANCE, rtol=0)


def test_a_second_stage_learns_from_what_is_chosen() -> None:
    net = build(registry.record("faster_rcnn"), 96, registry.record("resnet8_cifar")).train()
    x = images(3, 96)
    chosen = torch.tensor([[[0.1, 0.1, 0.5, 0.6], [0.0, 0.0, 0.0, 0.0]]]).expand(2, -1, -1)
    said = net(x, lambda proposals: chosen[:, :, : proposals.shape[2]])
    assert torch.equal(said.regions, chosen)
    assert said.logits.shape == (2, 2, 1 + CLASSES)
    proposed = net.eval()(x).regions
    assert proposed.shape == (2, 20, 4)
    assert ((proposed >= 0) & (proposed <= 1)).all()


def test_regions_that_are_given_are_looked_into(tmp_path) -> None:
    record, size = registry.record("resnet8_cifar"), 96
    net = build(registry.record("fast_rcnn"), size, record).eval()
    x = images(3, size)
    corners = torch.rand(2, 20, 2, generator=torch.Generator().manual_seed(3)) / 2
    regions = torch.cat([corners, corners + 0.4], dim=2)
    with torch.no_grad():
        said = net(x, regions)
        assert torch.equal(said.regions, regions)
        assert said.logits.shape == (2, 20, 1 + CLASSES)
        alone = net(x, torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]).expand(2, -1, -1))
        torch.testing.assert_close(net(x).logits, alone.logits)  # without any, the whole image
        torch.testing.assert_close(net(x, regions.flip(1)).logits, said.logits.flip(1))
        net.decoder.score.weight.mul_(100)
    path = tmp_path / "model.onnx"
    values = arguments(registry.record("fast_rcnn"), size, record)
    path.write_bytes(onnx_bytes(net, card(net, "fast_rcnn", values, size)))
    engine = OnnxRuntimeEngine(path)
    predictor = Predictor(engine, engine.card)
    assert predictor.golden_difference() <= TOLERANCE
    for count in (1, 3):
        pictures = [np.random.default_rng(number).integers(0, 256, (50, 70, 3), np.uint8) for number in range(count)]
        placed = np.stack([engine.card.input.place(picture) for picture in pictures])
        given = engine.card.input(pictures), *engine.card.input.beside(placed)
        expected, together = TorchEngine(net).run(*given), engine.run(*given)
        for key, value in predictor.raw(pictures).items():
            assert value.shape[:2] == (count, net.regions)
            np.testing.assert_allclose(value, expected[key], atol=TOLERANCE, rtol=0)
            np.testing.assert_allclose(together[key], expected[key], atol=TOLERANCE, rtol=0)


def test_crops_show_a_region_and_a_little_around_it() -> None:
    net = build(registry.record("rcnn"), 96, registry.record("resnet8_cifar"))
    x = torch.ones(1, 3, 80, 120)
    x[:, :, 20:60, 30:90] = 5.0
    crops = net.crops(x, torch.tensor([[[0.25, 0.25, 0.75, 0.75], [0.0, 0.0, 0.5, 0.5]]]))
    assert crops.shape == (2, 3, net.crop, net.crop)
    border = round(net.crop * 16 / 227)
    inner = slice(border + 2, -border - 2)
    for part, value in (
        (crops[0, :, inner, inner], 5),
        (crops[0, :, : border - 2], 1),
        (crops[0, :, :, -border + 2 :], 1),
        (crops[1, :, : border - 2], 0),  # outside the image
    ):
        torch.testing.assert_close(part, torch.full_like(part, value))


def test_machines_look_at_every_region(tmp_path) -> None:
    record, size = registry.record("resnet8_cifar"), 64
    values = {**arguments(registry.record("rcnn"), size, record), "crop": 32}
    torch.manual_seed(0)
    net = registry.build_any("rcnn", values).eval()
    x, regions = images(3, size), torch.tensor([[[0.1, 0.1, 0.6, 0.7], [0.3, 0.2, 0.9, 1.0]]]).expand(2, -1, -1)
    with torch.no_grad():
        found = net(x, regions)
        features = net.trunk(net.crops(x, regions)).mean(dim=(2, 3))
        torch.testing.assert_close(found.scores.flatten(0, 1), net.decoder.score(features).sigmoid())
        net.decoder.offsets.weight.zero_()
        torch.testing.assert_close(net(x, regions).boxes, regions[:, :, None].expand(-1, -1, CLASSES, -1))
    path = tmp_path / "model.onnx"
    path.write_bytes(onnx_bytes(net, card(net, "rcnn", values, size)))
    engine = OnnxRuntimeEngine(path)
    assert Predictor(engine, engine.card).golden_difference() <= TOLERANCE


def test_multi_scale_training_takes_other_sides() -> None:
    net = registry.build_any("yolo_v2", {"classes": CLASSES, "trunk": {"net": "resnet8_cifar"}, "multi_scale": True})
    seen: list[int] = []
    net.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    net.trunk.conv1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[-1]))
    torch.manual_seed(0)
    for _ in range(3):
        losses(net, images(3, 96))
    assert len(set(seen)) > 1
    assert set(seen) <= set(range(320, 609, 32))
    with torch.no_grad():
        net.eval()(images(3, 96))
    assert seen[-1] == 96


def card(net: Detector, name: str, values: dict[str, Any], size: int) -> Card:
    channels = net.in_channels
    preprocess = Preprocess(
        height=size, width=size, channels=channels, mean=(0.5,) * channels, std=(0.25,) * channels, regions=net.regions
    )
    image = torch.randint(0, 256, (40, 30, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8).numpy()
    outputs = {key: value[0] for key, value in raw_outputs(TorchEngine(net), preprocess, [image]).items()}
    return Card(
        net=name,
        arguments=values,
        task="detection",
        output=OutputSpec(classes=tuple(f"class {number}" for number in range(CLASSES))),
        input=preprocess,
        licence="unspecified",
        provenance={},
        metrics={},
        golden=(Golden(image, outputs),),
        weights="",
    )
