"""Whatever happens to annotations, what is read is sound, or the mistake is named; nothing outside is read."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from svertka.errors import UserError

SETS = (
    *("coco", "voc", "voc lists", "yolo", "yolo yaml", "label_studio", "cvat", "labelme"),
    *("cvat video", "label studio min", "createml", "label columns", "panoptic", "csv"),
    *("masks", "legend csv", "legend json", "parquet", "hugging face", "arrow", "shards"),
    *("metadata csv", "metadata jsonl", "idx", "idx.gz", "zip", "tar", "tar.gz"),
)
SHORT = settings(
    derandomize=True,
    database=None,
    deadline=5000,
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def test_every_set_is_tried(soak: ModuleType) -> None:
    assert tuple(soak.SETS) == SETS


@pytest.mark.parametrize("name", SETS)
def test_a_short_soak(tmp_path: Path, soak: ModuleType, name: str) -> None:
    assert soak.soak(name, 60, tmp_path, seed=1)["slowest"] < soak.SECONDS


@pytest.mark.parametrize("name", SETS)
def test_the_unchanged_set_is_read_without_a_word(tmp_path: Path, soak: ModuleType, name: str) -> None:
    assert soak.soak(name, 0, tmp_path)["read"] == 0
    dataset = soak.opened(name, tmp_path / "data")
    soak.judge(dataset)
    assert dataset.skipped == []


@pytest.mark.parametrize("name", SETS)
@SHORT
@given(
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40), st.binary(max_size=30)), min_size=1, max_size=4),
    which=st.integers(0, 5),
)
def test_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    soak: ModuleType,
    name: str,
    edits: list[tuple[float, int, bytes]],
    which: int,
) -> None:
    _, write, pattern = soak.SETS[name]
    folder = tmp_path_factory.mktemp("mutants")
    write(folder)
    files = sorted(folder.rglob(pattern))
    file = files[which % len(files)]
    data = file.read_bytes()
    for place, length, put in edits:
        start = int(place * len(data))
        data = data[:start] + put + data[start + length :]
    file.write_bytes(data)
    read(name, folder, soak)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("../secret.png"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    "name", ["coco", "label_studio", "labelme", "legend json", "label studio min", "createml", "panoptic"]
)
@SHORT
@given(place=st.integers(0, 2**16), value=values)
def test_structure(
    tmp_path_factory: pytest.TempPathFactory, soak: ModuleType, name: str, place: int, value: Any
) -> None:
    _, write, pattern = soak.SETS[name]
    folder = tmp_path_factory.mktemp("mutants")
    write(folder)
    file = sorted(folder.rglob(pattern))[0]
    told = json.loads(file.read_text())
    places = list(inner_places(told))
    node, key = places[place % len(places)]
    node[key] = value
    file.write_text(json.dumps(told))
    read(name, folder, soak)


def inner_places(node: Any) -> Any:
    for key in list(node) if isinstance(node, dict) else range(len(node)):
        yield node, key
        if isinstance(node[key], dict | list):
            yield from inner_places(node[key])


def read(name: str, folder: Path, soak: ModuleType) -> None:
    try:
        soak.judge(soak.opened(name, folder))
    except UserError as error:
        assert "\n" not in str(error)  # noqa: PT017 (either is right)
