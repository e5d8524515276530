"""The contract of networks that say something of every pixel, and of every trunk that one can be built on."""

import warnings
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from families import FULL, SHORTER, cheapest
from torch import nn

from svertka.errors import UserError
from svertka.layers.dense import Segmenter, resolutions
from svertka.runtime.card import Card, Golden
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.preprocess import Preprocess
from svertka.testing import check_shapes
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import load_classifier, load_model, save_model

CLASSES = 4
SEGMENTERS = [record for record in registry.records() if record.kind == "segmenter"]
CLASSIFIERS = [record for record in registry.records() if record.kind == "classifier"]
WITHOUT_MAPS = {"perceptron", "mlp"}
"""They read all pixels at once, at one size: they have no maps, and nothing in them is at a place of the image."""
TRUNKS = [record for record in CLASSIFIERS if record.name not in WITHOUT_MAPS]
EVERY_NET = pytest.mark.parametrize("record", SEGMENTERS, ids=lambda record: record.name)
EVERY_TRUNK = pytest.mark.parametrize("record", TRUNKS, ids=lambda record: record.name)
ON_A_TRUNK = pytest.mark.parametrize("name", ["unet", "fcn8s"])


CHEAPEST_TRUNKS = pytest.mark.parametrize("record", cheapest(TRUNKS), ids=lambda record: record.name)


def arguments(
    record: registry.NetRecord, trunk: registry.NetRecord | None = None, options: dict[str, Any] | None = None
) -> dict[str, Any]:
    channels = (trunk or record).channels
    found: dict[str, Any] = {"classes": CLASSES, "in_channels": channels}
    if trunk is not None:
        found["trunk"] = {"net": trunk.name, **({"arguments": options} if options else {})}
    return found


def build(
    record: registry.NetRecord, trunk: registry.NetRecord | None = None, options: dict[str, Any] | None = None
) -> Segmenter:
    torch.manual_seed(0)
    net = registry.build_any(record.name, arguments(record, trunk, options))
    assert isinstance(net, Segmenter)
    return net


def images(channels: int, height: int, width: int, count: int = 2) -> torch.Tensor:
    return torch.randn(count, channels, height, width, generator=torch.Generator().manual_seed(1))


def odd(record: registry.NetRecord) -> tuple[int, int]:
    """The least odd sizes from the smallest on that halve with a rest."""
    return (max(record.smallest, 17) | 1, max(record.smallest, 17) + 6 | 1)


@EVERY_NET
def test_parameters_channels_sizes_and_logits(record: registry.NetRecord) -> None:
    check_shapes(record)


@pytest.mark.parametrize("trunk", sorted(WITHOUT_MAPS))
@ON_A_TRUNK
def test_a_trunk_without_maps_is_refused(name: str, trunk: str) -> None:
    with pytest.raises(UserError, match="cannot have a decoder"):
        registry.build_any(name, {"trunk": {"net": trunk}})


@EVERY_TRUNK
@ON_A_TRUNK
def test_shapes_on_every_trunk(name: str, record: registry.NetRecord) -> None:
    with torch.device("meta"):
        net = build(registry.record(name), record).eval()
        for height, width in [odd(record), (record.image_size + 37, record.image_size + 1)]:
            maps = {name: torch.empty(2, *shape) for name, shape in net.trunk.shapes(height, width).items()}
            assert net.decode(maps, (height, width)).shape == (2, CLASSES, height, width)
    strides = [found.stride for found in resolutions(net.trunk)]
    expected = len(strides) if name == "unet" else 1 + sum(stride >= 8 for stride in strides[:-1])
    assert len(net.taps) == expected


@CHEAPEST_TRUNKS
@ON_A_TRUNK
def test_gradients_are_finite_and_frozen_is_frozen(name: str, record: registry.NetRecord) -> None:
    net = build(registry.record(name), record).train()
    with torch.no_grad():  # scores that begin at zero hand on no gradient
        for parameter in net.decoder.parameters():
            parameter.add_(torch.full_like(parameter, 1e-3))
    height, width = odd(record)
    x, target = images(record.channels, height, width), torch.zeros(2, height, width, dtype=torch.int64)
    nn.functional.cross_entropy(net(x), target).backward()
    for parameter in net.parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert any(parameter.grad.any() for parameter in net.trunk.parameters())
    net.eval()
    with torch.no_grad():
        pyramid = net.trunk.pyramid(x)
        decoded = net.decode({tap: pyramid[tap] for tap in net.taps}, (height, width))
        assert torch.equal(decoded, net(x))
    net.zero_grad()
    net.trunk.freeze(len(net.trunk.names))
    net.train()
    before, decoder = net.trunk.digests(), {key: value.clone() for key, value in net.decoder.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    nn.functional.cross_entropy(net(x), target).backward()
    optimizer.step()
    assert net.trunk.digests() == before
    assert any(not torch.equal(value, decoder[key]) for key, value in net.decoder.state_dict().items())


@CHEAPEST_TRUNKS
@ON_A_TRUNK
def test_the_model_file_brings_it_back(name: str, record: registry.NetRecord, tmp_path) -> None:
    check_model_file(registry.record(name), record, odd(record), tmp_path / "model.safetensors")


@pytest.mark.parametrize("name", ["unet", "fcn_resnet50", "unet_2015"])
def test_the_model_file_of_its_own_trunk(name: str, tmp_path) -> None:
    record = registry.record(name)
    side = max(record.smallest, 60)
    check_model_file(record, None, (side, side), tmp_path / "model.safetensors")


def check_model_file(record: registry.NetRecord, trunk: registry.NetRecord | None, size: tuple[int, int], path) -> None:
    net = build(record, trunk).eval()
    stated = (max(size[0], record.smallest), max(size[1], record.smallest))
    save_model(path, net.state_dict(), card(net, record.name, arguments(record, trunk), stated))
    loaded, read = load_model(path)
    assert isinstance(loaded, Segmenter)
    assert read.arguments == arguments(record, trunk)
    x = images(net.in_channels, *size)
    with torch.no_grad():
        assert torch.equal(loaded(x), net(x))
    with pytest.raises(UserError, match="is no classifier"):
        load_classifier(path)


GEOMETRIES = ("lenet5", "alexnet", "nin", "resnet8_cifar")
"""Convolutions without padding, strides of four, poolings that hang over the border, and maps that are halved."""


@pytest.mark.parametrize(
    "record",
    cheapest(TRUNKS) if FULL else [registry.record(name) for name in GEOMETRIES],
    ids=lambda record: record.name,
)
def test_onnx_of_any_size_agrees(record: registry.NetRecord) -> None:
    """By U-Net, which reads every resolution: a trunk of each geometry, for the exporter takes up to a minute."""
    options = {} if FULL else SHORTER.get(record.name, {})
    check_onnx(build(registry.record("unet"), record, options).eval(), record)


@pytest.mark.parametrize("record", cheapest(TRUNKS) if FULL else [registry.record("lenet5")])
def test_onnx_of_fcn_agrees(record: registry.NetRecord) -> None:
    check_onnx(build(registry.record("fcn8s"), record).eval(), record)


@pytest.mark.parametrize("name", ["fcn_resnet50", "deconvnet"])
def test_onnx_of_its_own_trunk_agrees(name: str) -> None:
    check_onnx(slight(name).eval(), registry.record(name))


def slight(name: str) -> Segmenter:
    options = {"hidden": 8, "trunk": {"net": "vgg11_bn"}} if name == "deconvnet" else {}
    torch.manual_seed(0)
    net = registry.build_any(name, {"classes": CLASSES, **options})
    assert isinstance(net, Segmenter)
    return net


CEILED = {"googlenet", "googlenet_2014", "nin"}
"""The exporter cannot say how large maps are behind poolings over 3 × 3 that may hang over the border: at any size, but
only in steps of 32 pixels, at which they do not."""


def check_onnx(net: Segmenter, record: registry.NetRecord) -> None:
    disturb(net)
    least = max(record.smallest, 33)
    free = torch.export.Dim
    step = 32 if record.name in CEILED else 1
    sides = {axis: free(name, min=-(-least // step)) for axis, name in ((2, "height"), (3, "width"))}
    if step > 1:
        sides = {axis: step * side for axis, side in sides.items()}
    example = images(net.in_channels, *(-(-(least + extra) // step) * step for extra in (37, 52)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own use of older interfaces
        program = torch.onnx.export(
            net,
            (example,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: free("batch", min=1), **sides},),
            opset_version=18,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    for extra in ((0, 0), (1, 30), (64, 33)):
        x = images(net.in_channels, *(-(-(least + more) // step) * step for more in extra), count=1)
        (found,) = session.run(None, {"images": x.numpy()})
        with torch.no_grad():
            expected = net(x)
        assert expected.std() > 1e-3, "the logits are all alike: this would prove nothing"
        scale = max(1.0, expected.abs().max().item())
        torch.testing.assert_close(torch.from_numpy(found), expected, atol=1e-4 * scale, rtol=0)


def disturb(net: Segmenter) -> None:
    """Statistics under which signals neither grow nor die, and scores that are not zero."""
    net.train()
    with torch.no_grad():
        for parameter in net.decoder.parameters():
            if not parameter.any() and parameter.ndim > 1:
                parameter.normal_(std=0.1)
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 1.0
        net(images(net.in_channels, 161, 161))
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d) and layer.running_var is not None:
                layer.running_var += layer.running_var.mean()  # or channels that hardly vary would be all noise
    net.eval()


def card(net: Segmenter, name: str, values: dict[str, Any], size: tuple[int, int]) -> Card:
    channels = net.in_channels
    preprocess = Preprocess(
        height=size[0],
        width=size[1],
        channels=channels,
        mean=(0.5,) * channels,
        std=(0.25,) * channels,
        fit="whole",
        margin=getattr(net, "margin", 0),
    )
    image = np.random.default_rng(2).integers(0, 256, (*size, 3), np.uint8)
    outputs = {key: value[0] for key, value in TorchEngine(net).run(preprocess([image])).items()}
    return Card(
        net=name,
        arguments=values,
        task="segmentation",
        output=OutputSpec(classes=tuple(f"class {number}" for number in range(CLASSES))),
        input=preprocess,
        licence="unspecified",
        provenance={},
        metrics={},
        golden=(Golden(image, outputs),),
        weights="",
    )
