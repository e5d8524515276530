"""WebDataset shards."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svertka.data.cache.images import load_images
from svertka.data.readers.reading import open_dataset
from svertka.data.readers.shards import expand, is_shards
from svertka.data.samples import Dataset
from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess

Shard = dict[str, bytes]


def picture(shade: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((4, 5, 3), shade, np.uint8)).save(file, kind)
    return file.getvalue()


def write(path: Path, files: Shard, mode: str = "w") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def told(dataset: Dataset) -> dict[str, list[tuple[str, object]]]:
    return {part: [(sample.name, sample.annotation) for sample in samples] for part, samples in dataset.parts.items()}


def skipped(dataset: Dataset) -> dict[str, str]:
    return {item.file: item.error for item in dataset.skipped}


@pytest.mark.parametrize(
    ("label", "annotation"),
    [
        ({"cls": b"3"}, "3"),
        ({"cls": b"cat\n"}, "cat"),
        ({"txt": b" cat "}, "cat"),
        ({"json": b'{"label": 7, "width": 9}'}, "7"),
        ({"json": b'{"category": "cat"}'}, "cat"),
        ({"json": b'"cat"'}, "cat"),
        ({"json": b'{"labels": ["cat", "ant", "cat"]}'}, ("ant", "cat")),
        ({"json": b"[]"}, ()),
        ({"cls": b"1", "json": b'{"label": 2}', "txt": b"three"}, "1"),
    ],
    ids=str,
)
@pytest.mark.parametrize("ending", ["jpg", "PNG", "webp"])
def test_what_a_label_is(label: Shard, annotation: object, ending: str, tmp_path: Path) -> None:
    kind = {"jpg": "JPEG"}.get(ending, ending.upper())
    labels = {f"a.{key}": data for key, data in label.items()}
    shard = write(tmp_path / "x.tar", {**labels, f"a.{ending}": picture(9, kind)})
    assert told(open_dataset(shard)) == {"all": [(f"x.tar/a.{ending}", annotation)]}


def pair(key: str, shade: int, label: str) -> Shard:
    return {f"{key}.png": picture(shade), f"{key}.cls": label.encode()}


def pairs(count: int, shade: int = 0) -> Shard:
    return {name: data for n in range(count) for name, data in pair(f"{n}", shade + n, "x").items()}


def test_any_image_can_be_read_alone_and_nothing_is_unpacked(tmp_path: Path) -> None:
    shards = [write(tmp_path / f"{shard}.tar", pairs(5, 10 * shard)) for shard in range(3)]
    dataset = open_dataset(tmp_path)
    assert (dataset.format, dataset.notes) == ("WebDataset shards", ["3 shards"])
    for number in (14, 0, 7):
        assert dataset.parts["all"][number].source.load()[0][0, 0, 0] == 10 * (number // 5) + number % 5
    images = load_images([sample.source for sample in dataset.parts["all"]], Preprocess(height=2, width=2))
    assert images.take(np.arange(15))[:, 0, 0, 0].tolist() == [10 * (n // 5) + n % 5 for n in range(15)]
    assert sorted(tmp_path.iterdir()) == shards


def test_a_pattern_and_the_parts(tmp_path: Path) -> None:
    for number in range(12):
        write(tmp_path / f"train-{number:03}.tar", pair("a", number, "x"))
    write(tmp_path / "validation.tar", pair("b", 99, "x"))
    dataset = open_dataset(tmp_path / "train-{008..011}.tar")
    assert told(dataset) == {"train": [(f"train-{number:03}.tar/a.png", "x") for number in range(8, 12)]}
    assert {part: len(samples) for part, samples in open_dataset(tmp_path).parts.items()} == {"train": 12, "val": 1}
    write(tmp_path / "nested/test/1.tar", pair("b", 99, "x"))
    write(tmp_path / "nested/train/1.tar", pair("b", 99, "x"))
    assert set(open_dataset(tmp_path / "nested").parts) == {"train", "test"}


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("a-{0..2}.tar", ["a-0.tar", "a-1.tar", "a-2.tar"]),
        ("a-{09..11}.tar", ["a-09.tar", "a-10.tar", "a-11.tar"]),
        ("{x,y}{0..1}.tar", ["x0.tar", "x1.tar", "y0.tar", "y1.tar"]),
        ("plain.tar", ["plain.tar"]),
        ("odd{.tar", ["odd{.tar"]),
    ],
)
def test_braces(name: str, names: list[str], tmp_path: Path) -> None:
    assert [path.name for path in expand(tmp_path / name)] == names


@pytest.mark.parametrize("name", ["a-{0..99999999999}.tar", "{5..2}.tar", "{0..999}{0..999}{0..999}.tar"])
def test_braces_without_end_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no range of shards|over 100,000 shards"):
        expand(tmp_path / name)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", pair("a", 1, "x"))
    with pytest.raises(UserError, match=r"1\.tar: no such shard"):
        open_dataset(tmp_path / "{0..1}.tar")


def test_names_of_the_numbers(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    write(tmp_path / "0.tar", {**pair("a", 1, "1"), **pair("b", 2, "0"), **pair("c", 3, "7"), **pair("d", 4, "cat")})
    dataset = open_dataset(tmp_path)
    assert [sample.annotation for sample in dataset.parts["all"]] == ["bee", "ant", "cat"]
    assert skipped(dataset) == {"0.tar, c": "classes.txt has no line for the label 7"}


def test_keys_end_at_the_first_dot_of_the_file_name(tmp_path: Path) -> None:
    files = {"./v1.0/a.b.png": picture(1), "./v1.0/a.png": picture(2), "./v1.0/a.cls": b"x"}
    dataset = open_dataset(write(tmp_path / "0.tar", files))
    assert told(dataset) == {"all": [("0.tar/v1.0/a.png", "x")]}


@pytest.mark.parametrize("mode", ["gz", "bz2", "xz"])
def test_a_compressed_shard_is_decompressed_into_the_cache(mode: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"0.tar.{mode}", {**pair("a", 1, "x"), **pair("b", 2, "y")}, f"w:{mode}")
    dataset = open_dataset(path)
    assert told(dataset) == {"all": [(f"0.tar.{mode}/a.png", "x"), (f"0.tar.{mode}/b.png", "y")]}
    assert dataset.parts["all"][1].source.load()[0][0, 0, 0] == 2


def test_a_tar_of_class_folders_is_no_shard(tmp_path: Path) -> None:
    path = write(tmp_path / "x.tar", {f"{label}/{n}.png": picture(n) for label in "ab" for n in range(3)})
    assert not is_shards(path)
    assert open_dataset(path).format == "class folders in a tar archive"


DEEP = b"[" * 200_000
BAD: dict[str, tuple[Shard, str]] = {
    "no label": ({"b.png": picture(1)}, "no label beside the image"),
    "no image": ({"b.cls": b"1"}, "no image"),
    "two images": ({"b.png": picture(1), "b.jpg": picture(1, "JPEG"), "b.cls": b"1"}, "2 images"),
    "empty": ({"b.png": picture(1), "b.cls": b" "}, "the label is empty"),
    "no text": ({"b.png": picture(1), "b.cls": b"\xff\xfe"}, "codec can't decode"),
    "no JSON": ({"b.png": picture(1), "b.json": b"{"}, "Expecting"),
    "deep JSON": ({"b.png": picture(1), "b.json": DEEP}, "recursion"),
    "no key": ({"b.png": picture(1), "b.json": b"{}"}, "neither a number nor a name"),
    "a truth": ({"b.png": picture(1), "b.json": b"true"}, "neither a number nor a name"),
    "endless": ({"b.png": picture(1), "b.cls": b"x" * 1_500_000}, "over 1,048,576 bytes"),
    "digits": ({"b.png": picture(1), "b.json": b"1" * 5000}, "4300 digits"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sample_is_skipped_by_its_key(name: str, tmp_path: Path) -> None:
    files, problem = BAD[name]
    dataset = open_dataset(write(tmp_path / "0.tar", {**pair("a", 1, "x"), **files, **pair("c", 3, "y")}))
    assert [key for key, _ in told(dataset)["all"]] == ["0.tar/a.png", "0.tar/c.png"]
    ((where, error),) = skipped(dataset).items()
    assert where == "0.tar, b"
    assert problem in error


def test_a_shard_that_is_cut_keeps_what_is_whole(tmp_path: Path) -> None:
    path = write(tmp_path / "0.tar", pairs(9))
    path.write_bytes(path.read_bytes()[:9000])
    dataset = open_dataset(path)
    assert 0 < len(dataset.parts["all"]) < 9
    assert any("cut short" in error for error in skipped(dataset).values())


def test_an_image_that_is_broken_is_named(tmp_path: Path) -> None:
    dataset = open_dataset(write(tmp_path / "0.tar", {"a.png": b"no image", "a.cls": b"x", **pair("b", 1, "y")}))
    images = load_images([sample.source for sample in dataset.parts["all"]], Preprocess(height=2, width=2))
    assert list(images.errors) == [0]
    assert "0.tar/a.png" in images.errors[0]


def test_links_in_a_shard_are_no_samples(tmp_path: Path) -> None:
    (tmp_path / "secret.png").write_bytes(picture(77))
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name, data in pair("a", 1, "x").items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            info = tarfile.TarInfo("b.png")
            info.type, info.linkname = kind, "../secret.png"
            archive.addfile(info)
        info = tarfile.TarInfo("b.cls")
        info.size = 1
        archive.addfile(info, io.BytesIO(b"y"))
    dataset = open_dataset(tmp_path / "0.tar")
    assert told(dataset) == {"all": [("0.tar/a.png", "x")]}
    assert skipped(dataset) == {"0.tar, b": "no image"}


def test_a_shard_that_is_a_link_out_of_the_folder_is_passed_over(tmp_path: Path) -> None:
    write(tmp_path / "secret.tar", pair("s", 1, "x"))
    write(tmp_path / "set/0.tar", pair("a", 1, "x"))
    (tmp_path / "set/1.tar").symlink_to(tmp_path / "secret.tar")
    assert told(open_dataset(tmp_path / "set")) == {"all": [("0.tar/a.png", "x")]}


def test_json_is_never_run(tmp_path: Path) -> None:
    text = json.dumps({"label": "__import__('os').system('touch /tmp/svertka-ran')"})
    dataset = open_dataset(write(tmp_path / "0.tar", {"a.png": picture(1), "a.json": text.encode()}))
    assert dataset.parts["all"][0].annotation == json.loads(text)["label"]
    assert not Path("/tmp/svertka-ran").exists()
