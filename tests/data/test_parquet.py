"""Parquet tables, Hugging Face's data sets, and imagefolders."""

from __future__ import annotations

import builtins
import hashlib
import io
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from svertka.annotations import Annotation
from svertka.data.cache.images import load_images
from svertka.data.readers import arrow as _arrow
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset
from svertka.errors import UserError
from svertka.runtime.image import ImageError
from svertka.runtime.preprocess import Preprocess

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

WriteImages = Callable[..., None]
IMAGE = pa.struct({"bytes": pa.binary(), "path": pa.string()})
CLASS = {"names": ["ant", "bee"], "_type": "ClassLabel"}
SEQUENCE = {"feature": CLASS, "_type": "Sequence"}
FEATURES = {"image": {"_type": "Image"}, "label": CLASS}


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 5, 3), shade, np.uint8)).save(file, "PNG")
    return file.getvalue()


def table(labels: list[Any], features: dict[str, Any] | None = None, **columns: Any) -> Any:
    images = pa.array([{"bytes": picture(n), "path": f"{n}.png"} for n in range(len(labels))], IMAGE)
    made = pa.table({"image": images, "label": labels, **columns})
    said = {b"huggingface": json.dumps({"info": {"features": features}}).encode()} if features else {}
    return made.replace_schema_metadata(said)


def write(path: Path, made: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, path, **options)
    return path


def stream(path: Path, made: Any, **options: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    (path.parent / "state.json").write_text("{}")
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_stream(file, made.schema, **options) as writer:
        writer.write_table(made, max_chunksize=3)


def told(dataset: Dataset) -> dict[str, list[tuple[str, Annotation]]]:
    return {part: [(sample.name, sample.annotation) for sample in samples] for part, samples in dataset.parts.items()}


def labels_of(dataset: Dataset, part: str = "all") -> list[Annotation]:
    return [sample.annotation for sample in dataset.parts[part]]


def shades(dataset: Dataset, part: str = "all") -> list[int]:
    return [int(sample.source.load()[0][0, 0, 0]) for sample in dataset.parts[part]]


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ({"file": ["1.png", "2.png"], "label": ["cat", "dog"]}, {"all": [("1.png", "cat"), ("2.png", "dog")]}),
        ({"Path": ["1.png"], "class": [7], "more": [b"x"]}, {"all": [("1.png", "7")]}),
        ({"file": ["1.png"], "labels": [["b", "a"]]}, {"all": [("1.png", ("a", "b"))]}),
        ({"file": ["1.png", "2.png"], "label": ["a;b", ""]}, {"all": [("1.png", ("a", "b")), ("2.png", ())]}),
        (
            {"file": ["1.png", "2.png"], "label": ["a", "b"], "split": ["train", "valid"]},
            {"train": [("1.png", "a")], "val": [("2.png", "b")]},
        ),
    ],
    ids=["plain", "numbers", "lists", "semicolons", "split"],
)
def test_files_and_labels(columns: Any, expected: Any, tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["1.png", "2.png"])
    dataset = open_dataset(write(tmp_path / "x.parquet", pa.table(columns)))
    assert told(dataset) == expected
    assert dataset.format == "Parquet"


def test_a_bad_record_is_skipped_by_its_row(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["set/1.png", "2.png"])
    made = pa.table({"file": ["../2.png", "1.png", None, "gone.png"], "label": ["a", "b", "c", "d"]})
    dataset = open_dataset(write(tmp_path / "set/x.parquet", made))
    assert told(dataset) == {"all": [("1.png", "b")]}
    assert [item.file for item in dataset.skipped] == [f"x.parquet, row {row}" for row in (0, 2, 3)]


@pytest.mark.parametrize(
    ("labels", "features", "expected"),
    [
        ([1, 0, 1], FEATURES, ["bee", "ant", "bee"]),
        ([1, 0, 1], None, ["1", "0", "1"]),
        (["x", "y", "x"], None, ["x", "y", "x"]),
        (
            [[0, 1], [], [1]],
            {**FEATURES, "label": {"feature": CLASS, "_type": "Sequence"}},
            [("ant", "bee"), (), ("bee",)],
        ),
        ([[0, 1], [], [1]], {**FEATURES, "label": [CLASS]}, [("ant", "bee"), (), ("bee",)]),
    ],
    ids=["names", "numbers", "text", "sequence", "list"],
)
@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_images_in_the_table(labels: Any, features: Any, expected: Any, kind: str, tmp_path: Path) -> None:
    made = table(labels, features)
    if kind == "arrow":
        stream(tmp_path / "set/data-00000-of-00001.arrow", made)
    else:
        write(tmp_path / "set/data/all-00000-of-00001.parquet", made, row_group_size=2)
    dataset = open_dataset(tmp_path / "set")
    assert dataset.format == "Hugging Face data set"
    assert labels_of(dataset) == expected
    assert shades(dataset) == [0, 1, 2]


def test_parts_are_told_by_the_name(tmp_path: Path) -> None:
    for name in (
        "train-00000-of-00002",
        "train-00001-of-00002",
        "validation-00000-of-00001",
        "test-00000-of-00001-ab12",
    ):
        write(tmp_path / f"data/{name}.parquet", table([0, 1], FEATURES))
    counts = {part: len(samples) for part, samples in open_dataset(tmp_path).parts.items()}
    assert counts == {"train": 4, "val": 2, "test": 2}


def test_a_dictionary_of_saved_sets(tmp_path: Path) -> None:
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    stream(tmp_path / "train/data-00000-of-00001.arrow", table([0, 1, 1, 0, 1], FEATURES))
    stream(tmp_path / "test/data-00000-of-00001.arrow", table([1], FEATURES))
    dataset = open_dataset(tmp_path)
    assert (labels_of(dataset, "train"), labels_of(dataset, "test")) == (["ant", "bee", "bee", "ant", "bee"], ["bee"])
    assert shades(dataset, "train") == [0, 1, 2, 3, 4]


def test_names_in_dataset_info(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", table([1, 0]))
    (tmp_path / "dataset_info.json").write_text(json.dumps({"default": {"features": FEATURES}}))
    assert labels_of(open_dataset(tmp_path)) == ["bee", "ant"]


def test_a_single_shard(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path / "train-0.parquet", table([1, 0], FEATURES)))
    assert told(dataset) == {"train": [("train-0.parquet#0", "bee"), ("train-0.parquet#1", "ant")]}


def test_bad_rows_are_named(tmp_path: Path) -> None:
    images = pa.array([{"bytes": picture(1), "path": None}, {"bytes": None, "path": "/etc/hostname"}, None], IMAGE)
    made = pa.table({"image": images, "label": [1, 0, 7]}).replace_schema_metadata(table([0], FEATURES).schema.metadata)
    dataset = open_dataset(write(tmp_path / "x.parquet", made))
    assert [item.to_json() for item in dataset.skipped] == [{"file": "x.parquet#2", "error": "7 is no label"}]
    images_read = load_images([sample.source for sample in dataset.parts["all"]], Preprocess(height=2, width=2))
    assert list(images_read.errors) == [1]
    assert "x.parquet, row 1 of row group 0: no bytes in the table" in images_read.errors[1]


def test_only_what_is_asked_for_is_held(tmp_path: Path) -> None:
    write(tmp_path / "x.parquet", table([0] * 40, FEATURES), row_group_size=2)
    dataset = open_dataset(tmp_path / "x.parquet")
    assert shades(dataset) == list(range(40))
    assert len(_arrow._groups) <= 4


def test_one_image_that_stands_for_many_rows_is_held_once(tmp_path: Path) -> None:
    bomb = pa.DictionaryArray.from_arrays(pa.array([0] * 4000, pa.int32()), pa.array([picture(9) + bytes(3_000_000)]))
    images = pa.StructArray.from_arrays([bomb, pa.nulls(4000, pa.string())], ["bytes", "path"])
    made = pa.table({"image": images, "label": [0, 1] * 2000})  # 12 GB
    write(tmp_path / "x.parquet", made, dictionary_pagesize_limit=10_000_000)
    before = pa.total_allocated_bytes()
    assert open_dataset(tmp_path / "x.parquet").parts["all"][3999].source.load()[0][0, 0, 0] == 9
    assert pa.total_allocated_bytes() - before < 50_000_000


def test_a_row_group_too_large_to_hold_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_arrow, "_GROUP_BYTES", 100)
    dataset = open_dataset(write(tmp_path / "x.parquet", table([0, 1], FEATURES)))
    with pytest.raises(ImageError, match=r"a row group of .* bytes; write it with fewer rows a group"):
        dataset.parts["all"][0].source.load()


def test_sources_travel_to_other_processes(tmp_path: Path) -> None:
    stream(tmp_path / "a/x.arrow", table([0, 1], FEATURES))
    write(tmp_path / "b/x.parquet", table([0, 1], FEATURES))
    for name in "ab":
        source = pickle.loads(pickle.dumps(open_dataset(tmp_path / name).parts["all"][1].source))  # noqa: S301
        assert source.load()[0][0, 0, 0] == 1


def test_compressed_arrow_is_refused(tmp_path: Path) -> None:
    made = table([0, 1] * 50, FEATURES)
    stream(tmp_path / "x.arrow", made, options=pa.ipc.IpcWriteOptions(compression="lz4"))
    with pytest.raises(UserError, match="save it without compression"):
        open_dataset(tmp_path)


@pytest.mark.parametrize("kind", ["parquet", "arrow"])
def test_damaged_files_are_errors_and_never_a_crash(kind: str, tmp_path: Path) -> None:
    good = tmp_path / "good"
    stream(good / "x.arrow", table([0, 1] * 8, FEATURES))
    write(good / "x.parquet", table([0, 1] * 8, FEATURES), row_group_size=4)
    whole = (good / f"x.{kind}").read_bytes()
    pixels = {hashlib.sha256(np.full((4, 5, 3), shade, np.uint8).tobytes()).digest() for shade in range(16)}
    generator = np.random.default_rng(0)
    path = tmp_path / f"bad/x.{kind}"
    path.parent.mkdir()
    (path.parent / "state.json").write_text("{}")
    read = 0
    for _ in range(300):
        data = bytearray(whole)
        for place in generator.integers(0, len(data), generator.integers(1, 6)):
            data[place] = generator.integers(256)
        path.write_bytes(bytes(data[: len(data) - generator.integers(0, 2) * generator.integers(0, len(data))]))
        try:
            samples = open_dataset(path.parent).parts["all"]
        except UserError:
            continue
        for sample in samples:
            try:
                found = sample.source.load()[0]
            except ImageError:
                continue
            read += hashlib.sha256(found.tobytes()).digest() in pixels
    assert read > 300


def test_without_pyarrow_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "x.parquet", table([0, 1], FEATURES))
    real = builtins.__import__

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    for place in (path, tmp_path):
        with pytest.raises(UserError, match=r"takes pyarrow; pip install 'svertka\[parquet\]'"):
            open_dataset(place)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl"])
@pytest.mark.parametrize("parts", [False, True])
def test_an_imagefolder(name: str, parts: bool, tmp_path: Path, write_images: WriteImages) -> None:
    for folder in ("train", "test") if parts else ("",):
        write_images(tmp_path / folder, ["1.png", "deep/2.png"], salt=folder)
        lines = {
            "metadata.csv": "file_name,label\n1.png,cat\ndeep/2.png,dog\n",
            "metadata.jsonl": '{"file_name": "1.png", "label": "cat"}\n\n{"label": "dog", "file_name": "deep/2.png"}\n',
        }
        (tmp_path / folder / name).write_text(lines[name])
    dataset = open_dataset(tmp_path)
    expected = [("1.png", "cat"), ("deep/2.png", "dog")]
    assert told(dataset) == ({"train": expected, "test": expected} if parts else {"all": expected})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"file_name": "1.png"', "not readable JSON lines"),
        ("[" * 100_000, "not readable JSON lines"),
        ("[1]", "line 1 is no object"),
        ('{"file_name": "1.png", "label": "' + "x" * 2_000_000 + '"}', "line 1 is over 1,048,576 characters"),
        ('{"file_name": "../1.png", "label": "a"}', "no usable record; the first: ../1.png lies outside"),
        ('{"file_name": {"a": 1}, "label": "a"}', "no usable record; the first"),
        ('{"file_name": "1.png", "label": null}', "no usable record; the first: the file or the label is missing"),
    ],
    ids=["cut", "deep", "no object", "endless", "outside", "a table", "none"],
)
def test_metadata_that_cannot_be_used(text: str, problem: str, tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["1.png", "set/1.png"])
    (tmp_path / "set/metadata.jsonl").write_text(text)
    with pytest.raises(UserError) as caught:
        open_dataset(tmp_path / "set", "imagefolder")
    assert problem in str(caught.value)
