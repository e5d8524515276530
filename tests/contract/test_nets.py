"""The contract that every registered classifier keeps. A new network gets all of it by being registered."""

from typing import Any

import pytest
import torch
from families import FULL, SHORTER, cheapest

from svertka.deploy.onnx import TOLERANCE, onnx_bytes
from svertka.layers.trunk import Classifier
from svertka.runtime.card import Card, Golden
from svertka.runtime.engines import OnnxRuntimeEngine
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess
from svertka.testing import check_learning, check_shapes
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import load_model, save_model

CLASSES = 7
CLASSIFIERS = [record for record in registry.records() if record.kind == "classifier"]
EVERY_NET = pytest.mark.parametrize("record", CLASSIFIERS, ids=lambda record: record.name)


def side(record: registry.NetRecord) -> int:
    """The cheapest size at which the network is itself."""
    return record.image_size if record.one_size else record.smallest


def build(record: registry.NetRecord, **options: Any) -> Classifier:
    torch.manual_seed(0)
    arguments = {"classes": CLASSES, "in_channels": record.channels, **options}
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
def test_parameters_channels_sizes_and_logits(record: registry.NetRecord) -> None:
    check_shapes(record)


@EVERY_NET
def test_stages_gradients_freezing_and_heads(record: registry.NetRecord) -> None:
    check_learning(record)


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
    net = build(record, **({} if FULL else SHORTER.get(record.name, {}))).eval()
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
        output=OutputSpec(classes=tuple(f"class {number}" for number in range(CLASSES))),
        input=preprocess,
        licence="unspecified",
        provenance={},
        metrics={},
        golden=(Golden(image, outputs),),
        weights="",
    )
