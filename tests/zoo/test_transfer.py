"""Beginning from trained weights: other classes, other channels."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch

from svertka.errors import UserError
from svertka.runtime.card import Card
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.preprocess import Preprocess
from svertka.zoo import registry
from svertka.zoo.modelfile import save_model
from svertka.zoo.transfer import adapted, put_head, scale_logits, start_from, taps_of


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("zoo"), "resnet20_cifar", {"classes": 10, "in_channels": 3}, 16)


def written(folder: Path, name: str, arguments: dict[str, int], side: int) -> Path:
    torch.manual_seed(0)
    net = registry.build(name, arguments)
    preprocess = Preprocess(height=side, width=side)
    names = tuple(str(number) for number in range(arguments["classes"]))
    card = Card(
        net=name,
        arguments=arguments,
        task="classification",
        output=OutputSpec(classes=names),
        input=preprocess,
        licence="CC0-1.0",
        provenance={},
        metrics={},
        golden=(),
        weights="",
    )
    path = folder / f"{name}.safetensors"
    save_model(path, net.state_dict(), dataclasses.replace(card))
    return path


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 7])
def test_a_grey_image_looks_the_same_in_any_number_of_channels(channels: int) -> None:
    kernels = torch.randn(8, 3, 5, 5)
    grey = torch.randn(2, 1, 12, 12)
    expected = torch.nn.functional.conv2d(grey.expand(-1, 3, -1, -1), kernels)
    found = torch.nn.functional.conv2d(grey.expand(-1, channels, -1, -1), adapted(kernels, channels))
    if channels % 3 == 0 or channels == 1:
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    else:  # as strong, though not the same
        assert 0.4 < float(found.std() / expected.std()) < 2.5


def test_the_trunk_is_kept_and_the_head_replaced(model: Path) -> None:
    start = start_from(model, classes=4, in_channels=3, side=16, own_head=False, seed=1)
    before = start.net.trunk.digests()
    put_head(start, {"taps": ["conv3", "conv4"], "rule": "linear"}, side=16)
    assert start.net.trunk.digests() == before
    assert start.net.eval()(torch.randn(2, 3, 16, 16)).shape == (2, 4)
    again = registry.build("resnet20_cifar", start.arguments)
    again.load_state_dict(start.net.state_dict())


def test_the_own_head_keeps_what_fits(model: Path) -> None:
    same = start_from(model, classes=10, in_channels=3, side=16, own_head=True, seed=1)
    assert same.notes == []
    other = start_from(model, classes=4, in_channels=3, side=16, own_head=True, seed=1)
    assert other.notes == ["new, with random weights: head.linear.weight, head.linear.bias"]
    assert other.net.trunk.digests() == same.net.trunk.digests()


def test_other_channels(model: Path) -> None:
    start = start_from(model, classes=10, in_channels=1, side=16, own_head=True, seed=1)
    colour = start_from(model, classes=10, in_channels=3, side=16, own_head=True, seed=1).net.eval()
    grey = torch.randn(3, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(start.net.eval()(grey), colour(grey.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


def test_a_network_without_a_first_convolution(tmp_path: Path) -> None:
    path = written(tmp_path, "mlp", {"classes": 3, "in_channels": 3, "image_size": 8}, 8)
    with pytest.raises(UserError, match="no first convolution"):
        start_from(path, classes=3, in_channels=1, side=8, own_head=True, seed=0)
    with pytest.raises(UserError, match="takes no other size"):
        start_from(path, classes=3, in_channels=3, side=16, own_head=True, seed=0)


CLASSIFIERS = [record for record in registry.records() if record.kind == "classifier"]


@pytest.mark.parametrize("record", CLASSIFIERS, ids=lambda record: record.name)
def test_the_stages_a_head_reads_by_default(record: registry.NetRecord) -> None:
    with torch.device("meta"):
        net = registry.build(record.name, {"classes": 5, "in_channels": record.channels})
    taps = taps_of(net, ("auto",), record.image_size)
    channels = net.trunk.channels(record.image_size, record.image_size)
    assert taps
    assert list(taps) == [name for name in net.trunk.names if name in taps]
    assert len(taps) == 1 or sum(channels[tap] for tap in taps) <= 4096
    assert taps_of(net, ("last",), record.image_size) == net.trunk.names[-1:]


def test_scaled_logits(model: Path) -> None:
    for own in (True, False):
        start = start_from(model, classes=4, in_channels=3, side=16, own_head=own, seed=1)
        if not own:
            put_head(start, {"taps": ["conv4"], "rule": "mlp", "hidden": 8}, side=16)
        x = torch.randn(2, 3, 16, 16)
        with torch.no_grad():
            before = start.net.eval()(x)
            scale_logits(start.net, 3.0)
            torch.testing.assert_close(start.net(x), 3 * before)


def test_the_own_head_forgets_how_far_the_old_classes_were(model: Path, tmp_path: Path) -> None:
    start = start_from(model, classes=4, in_channels=3, side=16, own_head=False, seed=1)
    put_head(start, {"taps": ["conv4"], "rule": "linear", "reject": True}, side=16)
    names = tuple("abcd")
    path = tmp_path / "refusing.safetensors"
    card = dataclasses.replace(start.card, arguments=start.arguments, output=OutputSpec(classes=names))
    save_model(path, start.net.state_dict(), card)
    again = start_from(path, classes=4, in_channels=3, side=16, own_head=True, seed=1)
    assert again.net.output_names == ("logits",)
    assert "reject" not in again.arguments["head"]
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(again.net.eval()(x), start.net.eval()(x))
