"""Two thousand paths that lead out of the data set, in every kind of table: not one byte of a file outside is read."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from svertka.data.readers.reading import open_dataset
from svertka.errors import UserError
from svertka.runtime.image import ImageError

Write = Callable[[Path, list[str]], Path]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A data set's folder with one image, secrets around it, and links that lead to them."""
    folder = tmp_path / "one/two/set"
    (folder / "deep").mkdir(parents=True)
    Image.fromarray(np.full((4, 4, 3), 5, np.uint8)).save(folder / "deep/fine.png")
    for number, secret in enumerate((tmp_path, tmp_path / "one", tmp_path / "one/two", tmp_path / "one/two/set-more")):
        secret.mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), 200 + number, np.uint8)).save(secret / "secret.png")
    (folder / "link.png").symlink_to("../secret.png")
    (folder / "whole.png").symlink_to(tmp_path / "secret.png")
    (folder / "out").symlink_to("..")
    (folder / "deep/out").symlink_to(tmp_path)
    (folder / "chain").symlink_to("deep/out")
    (folder / "self").symlink_to("self")
    return folder


def hostile_paths(folder: Path) -> list[str]:
    """Some two thousand spellings of files outside ``folder``."""
    top = folder.parents[2]
    starts = ["", "./", "deep/", "deep/../", "out/", "deep/out/", "chain/", "self/", ".//.//", "fine.png/", "no/", " "]
    ups = ["../" * count for count in range(1, 9)] + [
        "..//",
        ".././",
        "..\\",
        "....//",
        "%2e%2e/",
        "..%2f",
        "\u2025/",
        "..\0/",
    ]
    ends = [
        "secret.png",
        "two/secret.png",
        "set-more/secret.png",
        "one/two/secret.png",
        "SECRET.PNG",
        "secret.png\0.png",
    ]
    relative = [start + up + end for start, up, end in product(starts, ups, ends)]
    linked = [start + end for start, end in product(["out/", "deep/out/", "chain/", "deep/../out/"], ends)]
    whole = [str(top / end) for end in ends] + ["/" + str(top / end) for end in ends]
    whole += [
        f"{scheme}{top}/secret.png" for scheme in ("file://", "file:", "//localhost/", "\\\\?\\", "C:", "http://x/")
    ]
    whole += [f"/proc/self/cwd/{os.path.relpath(top)}/secret.png", f"/proc/self/root{top}/secret.png", "~/secret.png"]
    other = [
        "link.png",
        "whole.png",
        "$HOME/secret.png",
        "/etc/hostname",
        "/dev/zero",
        "/dev/stdin",
        "-",
        "*",
        "deep/*",
    ]
    doubled = [f"deep/fine.png/{'../' * count}{end}" for count, end in product(range(1, 200), ends[:4])]
    long = ["../" * count + str(top)[1:] + "/secret.png" for count in range(1, 650)]
    return list(dict.fromkeys(relative + linked + whole + other + doubled + long))


def as_csv(folder: Path, paths: list[str]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["file", "label"])
    writer.writerows([path, "a"] for path in ["deep/fine.png", *paths])
    (folder / "x.csv").write_text(text.getvalue())
    return folder / "x.csv"


def as_parquet(folder: Path, paths: list[str]) -> Path:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    pq.write_table(
        pa.table({"file": ["deep/fine.png", *paths], "label": ["a"] * (len(paths) + 1)}), folder / "x.parquet"
    )
    return folder / "x.parquet"


def as_jsonl(folder: Path, paths: list[str]) -> Path:
    lines = [json.dumps({"file_name": path, "label": "a"}) for path in ["deep/fine.png", *paths]]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def as_shard(folder: Path, paths: list[str]) -> Path:
    """Members of these names are bytes in the tar, whatever they are called."""
    import tarfile

    shard = folder / "x.tar"
    fine = (folder / "deep/fine.png").read_bytes()
    with tarfile.open(shard, "w") as archive:
        for name in ["deep/fine.png", *paths]:
            for ending, data in ((".png", fine), (".cls", b"a")):
                info = tarfile.TarInfo(name.removesuffix(".png").replace("\0", "") + ending)
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
    return shard


def as_hugging_face(folder: Path, paths: list[str]) -> Path:
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    fine = {"bytes": (folder / "deep/fine.png").read_bytes(), "path": "../secret.png"}
    images = [fine, *({"bytes": None, "path": path} for path in paths)]
    made = pa.array(images, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    pq.write_table(pa.table({"image": made, "label": ["a"] * len(images)}), folder / "x.parquet")
    return folder / "x.parquet"


@pytest.mark.parametrize("write", [as_csv, as_parquet, as_jsonl, as_shard, as_hugging_face])
def test_nothing_outside_is_read(write: Write, place: Path) -> None:
    paths = hostile_paths(place)
    assert len(paths) >= 2000
    dataset = open_dataset(write(place, paths))
    seen: set[int] = set()
    for sample in dataset.parts["all"]:
        try:
            seen.update(np.unique(sample.source.load()[0]).tolist())
        except (ImageError, UserError):
            continue
    assert seen == {5}


def test_the_secrets_could_be_read(place: Path) -> None:
    digests = {hashlib.sha256(file.read_bytes()).digest() for file in place.parents[2].rglob("secret.png")}
    assert len(digests) == 4
    assert (place / "link.png").read_bytes()
    assert (place / "chain/secret.png").read_bytes()
