"""The recipe that a run is opened with: which defaults it has, by the kind of its network."""

from __future__ import annotations

from pathlib import Path

import pytest

from svertka import plugins
from svertka.workflows.run_folder import Run
from svertka.zoo.records import NetFamily, NetRecord


@pytest.mark.parametrize("written", [True, False], ids=["in a file", "as a flag"])
def test_a_network_that_is_found_by_its_prefix_has_the_defaults_of_its_medium_and_kind(
    written: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(name: str) -> NetRecord:
        asked.append(name)
        return NetRecord(name=name, builder="svertka.nets.ssd:SSD", image_size=32, smallest=1, **traits[name])

    def opened(net: str) -> Run:
        (tmp_path / "recipe.toml").write_text(f'net = "{net}"\n')
        given = (tmp_path / "recipe.toml", {}) if written else (None, {"net": net})
        return Run.open(tmp_path, *given, tmp_path / "run", False)

    traits = {"own/waves": {"media": "series"}, "own/boxes": {"kind": "detector"}}
    asked: list[str] = []
    monkeypatch.setattr(plugins, "_state", plugins._State())
    plugins.register(NetFamily(prefix="own/", record=found, names=lambda: [*traits]))
    assert opened("lenet5").recipe.augment
    assert asked == []  # what a family needs is not imported for the network of another
    assert opened("own/waves").recipe.augment == ()
    assert opened("own/boxes").recipe.augment == opened("ssd300").recipe.augment != opened("lenet5").recipe.augment
