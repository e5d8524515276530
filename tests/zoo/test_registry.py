"""Networks by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from svertka import plugins
from svertka.errors import UserError
from svertka.layers.initialisation import FilledOnce
from svertka.zoo import catalogue, registry

PLANT = """
from svertka.zoo.registry import NetRecord
NETS = (
    NetRecord(
        name={name!r}, builder="svertka.nets.lenet:LeNet5", year=1900, paper="", image_size=32, parameters=1, smallest=1
    ),
)
"""


@pytest.mark.parametrize("name", [record.name for record in registry.records()])
def test_a_record_tells_what_its_network_is_peculiar_in(name: str) -> None:
    record = registry.record(name)
    for trait in ("margin", "regions"):
        assert getattr(record, trait) == getattr(record.constructor(), trait, 0), trait


def planted(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> dict[str, registry.NetRecord]:
    (folder / f"planted_{name}.py").write_text(PLANT.format(name=name))
    monkeypatch.setattr(catalogue, "__path__", [*catalogue.__path__, str(folder)])
    monkeypatch.setattr(registry, "families", registry.families.__wrapped__)  # not those found before the planting
    return {found: record for found, (record, _) in registry._catalogue.__wrapped__().items()}


def test_two_networks_of_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="two networks are called 'lenet5'"):
        planted(tmp_path, monkeypatch, "lenet5")


def test_a_file_in_the_catalogue_is_all_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert planted(tmp_path, monkeypatch, "lenet6")["lenet6"].year == 1900


def test_records_are_in_the_order_of_their_papers_and_named_as_elsewhere() -> None:
    found = registry.records()
    assert [record.year for record in found] == sorted(record.year for record in found)
    assert all(record.name == record.name.lower().replace("-", "_").replace(" ", "_") for record in found)
    assert {"lenet5", "mlp", "perceptron"} <= {record.name for record in found}


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(UserError, match=r"unknown network 'lenet'; did you mean lenet5"):
        registry.record("lenet")


def test_a_name_like_no_other_gets_all_of_them() -> None:
    with pytest.raises(UserError, match=r"one of: .*lenet5"):
        registry.build("zzzz", {})


def test_an_unknown_option_is_named_with_the_nearest() -> None:
    with pytest.raises(UserError, match="mlp has no option 'actvation'; did you mean activation"):
        registry.build("mlp", {"actvation": "relu"})


@pytest.mark.parametrize(
    "arguments",
    [
        {"classes": None},
        {"classes": "ten"},
        {"classes": -1},
        {"classes": 0},
        {"in_channels": 0},
        {"hidden": [0]},
        {"classes": 10**30},
        {"classes": 2**62},
        {"image_size": float("inf")},
        {"hidden": 5},
        {"hidden": [None]},
        {"hidden": {"a": 1}},
        {"activation": []},
        {"activation": "gelu"},
        {"dropout": 2.0},
        {"dropout": "much"},
    ],
    ids=str,
)
def test_a_value_that_an_option_cannot_have(arguments: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        registry.build("mlp", arguments)
    assert "\n" not in str(caught.value)


def test_what_a_constructor_accepts() -> None:
    assert registry.record("mlp").takes("dropout")
    assert not registry.record("perceptron").takes("dropout")


def test_the_records_own_arguments_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    import dataclasses

    record = dataclasses.replace(registry.record("mlp"), arguments={"hidden": (8,), "classes": 4})
    monkeypatch.setitem(plugins.registered("network"), "mlp", record)
    assert registry.build("mlp", {"image_size": 2}).classes == 4
    assert registry.build("mlp", {"image_size": 2, "classes": 5}).classes == 5
    assert registry.build("mlp", {"image_size": 2}).trunk.hidden1[0].out_features == 8


@pytest.mark.parametrize("name", ["lenet5", "resnet20_cifar", "xception"])
def test_building_fills_as_the_constructor_does(name: str) -> None:
    record = registry.record(name)
    torch.manual_seed(0)
    ours = registry.build(name, {}).state_dict()
    theirs = record.constructor()(**record.arguments).state_dict()
    for key, value in ours.items():
        if value.is_floating_point() and value.numel() > 1000:
            torch.testing.assert_close(value.std(), theirs[key].std(), atol=0, rtol=0.15)
        elif value.unique().numel() == 1:
            assert torch.equal(value, theirs[key])


def test_building_draws_every_weight_once() -> None:
    torch.manual_seed(0)
    torch.nn.init.normal_(first := torch.empty(16, 3, 3, 3), std=(2 / (3 * 3 * 3)) ** 0.5)
    torch.manual_seed(0)
    built = registry.build("resnet20_cifar", {}).get_parameter("trunk.conv1.conv.weight")
    # The head keeps PyTorch's own filling, and was asked for before the convolutions were filled anew.
    assert not torch.equal(built, first)
    torch.manual_seed(0)
    torch.nn.Linear(64, 10)
    torch.nn.init.normal_(first, std=(2 / (3 * 3 * 3)) ** 0.5)
    assert torch.equal(built, first)


def test_what_is_read_before_the_end_is_filled() -> None:
    with FilledOnce():
        layer = torch.nn.Linear(3, 2)
        torch.nn.init.constant_(layer.weight, 2.0)
        with torch.no_grad():
            layer.bias.copy_(layer.weight.sum(dim=1))
        torch.nn.init.constant_(layer.weight, 3.0)
    assert layer.bias.tolist() == [6, 6]
    assert layer.weight.unique().tolist() == [3]


def test_a_network_for_masks_is_no_classifier() -> None:
    with pytest.raises(UserError, match="unet finds masks and is no classifier; svertka nets lists the classifiers"):
        registry.build("unet", {})


def test_what_a_network_on_a_trunk_accepts() -> None:
    assert all(registry.record("unet").takes(name) for name in ("trunk", "classes", "in_channels", "width"))
    assert not registry.record("unet").takes("head")
    with pytest.raises(UserError, match="unet has no option 'widht'; did you mean width"):
        registry.build_any("unet", {"widht": 8})
