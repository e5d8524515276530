"""The contract that every registered classifier keeps. A new network gets all of it by being registered."""

from typing import Any

import pytest
import torch
from families import FULL, cheapest
from torch import nn

from svertka.deploy.onnx import TOLERANCE, onnx_bytes
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier, Trunk
from svertka.runtime.card import Card, Golden
from svertka.runtime.engines import OnnxRuntimeEngine
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import load_model, save_model

CLASSES = 7
CLASSIFIERS = [record for record in registry.records() if record.kind == "classifier"]
EVERY_NET = pytest.mark.parametrize("record", CLASSIFIERS, ids=lambda record: record.name)


def side(record: registry.NetRecord) -> int:
    """The cheapest size at which the network is itself."""
    return record.image_size if record.one_size else record.smallest


def build(record: registry.NetRecord, channels: int | None = None) -> Classifier:
    torch.manual_seed(0)
    arguments = {"classes": CLASSES, "in_channels": channels or record.channels}
    if record.one_size:
        arguments["image_size"] = side(record)
    return registry.build(record.name, arguments)


def build_meta(record: registry.NetRecord, arguments: dict[str, Any]) -> Classifier:
    with torch.device("meta"):
        return registry.build(record.name, arguments).eval()


def images(record: registry.NetRecord, channels: int | None = None, count: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, channels or record.channels, side(record), side(record), generator=generator)


@EVERY_NET
def test_parameters_are_as_many_as_published(record: registry.NetRecord) -> None:
    with torch.device("meta"):
        net = registry.build(record.name, {"classes": record.classes, "in_channels": record.channels})
    assert sum(parameter.numel() for parameter in net.parameters()) == record.parameters


@EVERY_NET
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_any_number_of_channels(record: registry.NetRecord, channels: int) -> None:
    with torch.device("meta"):
        net = build(record, channels).eval()
        assert net(torch.empty(2, channels, side(record), side(record))).shape == (2, CLASSES)
    assert net.in_channels == channels


@EVERY_NET
def test_odd_sizes(record: registry.NetRecord) -> None:
    if record.one_size:
        pytest.skip(f"{record.name} is built for one size")
    with torch.device("meta"):
        net = build(record).eval()
        for height, width in [
            (record.smallest, record.smallest + 13),
            (record.image_size + 37, record.image_size + 1),
        ]:
            assert net(torch.empty(2, record.channels, height, width)).shape == (2, CLASSES)


@EVERY_NET
def test_the_smallest_size_is_the_smallest(record: registry.NetRecord) -> None:
    if record.smallest == 1:
        pytest.skip("there is nothing smaller")
    with torch.device("meta"):
        net = build(record).eval()
    shapes = net.trunk.shapes(record.smallest, record.smallest)
    assert all(extent > 0 for shape in shapes.values() for extent in shape)
    with pytest.raises(RuntimeError), torch.device("meta"):
        net(torch.empty(2, record.channels, record.smallest - 1, record.smallest - 1))


@EVERY_NET
def test_the_pyramid_is_the_trunk_stage_by_stage(record: registry.NetRecord) -> None:
    net = build(record).eval()
    assert isinstance(net.trunk, Trunk)
    x = images(record)
    with torch.no_grad():
        pyramid = net.trunk.pyramid(x)
        assert torch.equal(pyramid[net.trunk.names[-1]], net.trunk(x))
        logits = net(x)
        assert logits.shape == (2, CLASSES)
        assert torch.equal(net.head(net.trunk(x)), logits)
    assert tuple(pyramid) == net.trunk.names
    geometry = net.trunk.geometry(side(record), side(record))
    shapes = net.trunk.shapes(side(record), side(record))
    for name, features in pyramid.items():
        assert geometry[name].channels == features.shape[1]
        assert shapes[name] == features.shape[1:]


@EVERY_NET
def test_gradients_reach_every_parameter_and_frozen_is_frozen(record: registry.NetRecord) -> None:
    net = build(record).train()
    logits = net(images(record))
    assert logits.shape == (2, CLASSES)
    nn.functional.cross_entropy(logits, torch.tensor([0, 1])).backward()
    without = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    auxiliary = [name for name in without if "auxiliary" in name]
    assert without == auxiliary
    net.zero_grad()
    names = net.trunk.names
    stages = len(names) - 1
    net.trunk.freeze(stages)
    before, whole = net.trunk.digests(), {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.1)
    nn.functional.cross_entropy(net(images(record)), torch.tensor([0, 1])).backward()
    optimizer.step()
    after = net.trunk.digests()
    assert [after[name] for name in names[:stages]] == [before[name] for name in names[:stages]]
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, whole[name])}
    assert changed
    learns = [name for name in changed if name.startswith(f"trunk.{names[-1]}.")]
    assert bool(learns) == any(True for _ in getattr(net.trunk, names[-1]).parameters())
    assert changed == {name for name in changed if name.startswith(("head.", "auxiliary", f"trunk.{names[-1]}."))}
    net.trunk.freeze(0)
    assert all(stage.training for stage in net.trunk.children())
    assert all(parameter.requires_grad for parameter in net.parameters())


@EVERY_NET
def test_a_head_reads_any_stages(record: registry.NetRecord) -> None:
    arguments = {"classes": CLASSES, "in_channels": record.channels}
    if record.one_size:
        arguments["image_size"] = side(record)
    names = build_meta(record, arguments).trunk.names
    taps = list(dict.fromkeys([names[0], names[-1]]))
    net = build_meta(record, {**arguments, "head": {"taps": taps, "rule": "linear"}})
    x = torch.empty(2, record.channels, side(record), side(record), device="meta")
    assert net(x).shape == (2, CLASSES)
    shapes = net.trunk.shapes(side(record), side(record))
    assert isinstance(net.head, TransferHead)
    weight = net.head.rule.get_parameter("linear.weight")
    assert weight.shape == (CLASSES, sum(shapes[tap][0] for tap in taps))


@EVERY_NET
def test_the_model_file_brings_it_back(record: registry.NetRecord, tmp_path) -> None:
    if record.parameters > 133_000_000 and not FULL:
        pytest.skip("set SVERTKA_FULL: half a gigabyte is written, as for vgg11, which is tried")
    net = build(record).eval()
    written = save_model(tmp_path / "model.safetensors", net.state_dict(), card(record, net))
    loaded, read = load_model(tmp_path / "model.safetensors")
    assert read.weights == written.weights
    assert read.classes == written.classes
    assert not loaded.training
    with torch.no_grad():
        assert torch.equal(loaded(images(record)), net(images(record)))
    assert Predictor(TorchEngine(loaded), read).golden_difference() == 0


LONG = {"densenet", "inception_resnet", "inception_v4", "nasnet"}
"""Of these families the exporter takes half a minute, and they have nothing that others have not."""


@pytest.mark.parametrize("record", cheapest(CLASSIFIERS, without=LONG), ids=lambda record: record.name)
def test_onnx_agrees(record: registry.NetRecord, tmp_path) -> None:
    net = build(record).eval()
    path = tmp_path / "model.onnx"
    net.trunk.freeze(len(net.trunk.names))
    frozen = net.trunk.digests()
    path.write_bytes(onnx_bytes(net, card(record, net)))
    assert net.trunk.digests() == frozen
    engine = OnnxRuntimeEngine(path)
    assert Predictor(engine, engine.card).golden_difference() <= TOLERANCE
    for count in (1, 3):
        x = images(record, count=count)
        with torch.no_grad():
            torch.testing.assert_close(
                torch.from_numpy(engine.run(x.numpy())["logits"]), net(x), atol=TOLERANCE, rtol=0
            )


def card(record: registry.NetRecord, net: Classifier) -> Card:
    arguments = {"classes": CLASSES, "in_channels": record.channels}
    if record.one_size:
        arguments["image_size"] = side(record)
    mean, std = (0.5,) * record.channels, (0.25,) * record.channels
    preprocess = Preprocess(height=side(record), width=side(record), channels=record.channels, mean=mean, std=std)
    image = torch.randint(0, 256, (40, 30, 3), generator=torch.Generator().manual_seed(2), dtype=torch.uint8).numpy()
    outputs = {name: value[0] for name, value in TorchEngine(net).run(preprocess([image])).items()}
    return Card(
        net=record.name,
        arguments=arguments,
        task="classification",
        classes=tuple(f"class {number}" for number in range(CLASSES)),
        preprocess=preprocess,
        licence="unspecified",
        provenance={},
        metrics={},
        golden=(Golden(image, outputs),),
        weights="",
    )
