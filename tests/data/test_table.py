"""A CSV of files and labels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from svertka.annotations import Annotation
from svertka.data.readers.reading import open_dataset
from svertka.data.readers.table import read_table
from svertka.data.samples import Dataset
from svertka.errors import UserError

WriteImages = Callable[..., None]


@pytest.fixture
def folder(tmp_path: Path, write_images: WriteImages) -> Path:
    write_images(tmp_path, ["outside.png"])
    write_images(tmp_path / "data", ["1.png", "2.png", "deep/3.png"])
    return tmp_path / "data"


def table(folder: Path, text: str | bytes) -> Dataset:
    path = folder / "labels.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path)


def told(dataset: Dataset) -> dict[str, list[tuple[str, Annotation]]]:
    return {part: [(sample.name, sample.annotation) for sample in samples] for part, samples in dataset.parts.items()}


def skipped(dataset: Dataset) -> dict[str, str]:
    return {item.file: item.error for item in dataset.skipped}


def test_files_and_labels(folder: Path) -> None:
    dataset = table(folder, "file,label\n1.png,cat\ndeep/3.png,dog\n")
    assert told(dataset) == {"all": [("1.png", "cat"), ("deep/3.png", "dog")]}
    assert dataset.parts["all"][1].source.load()[0].shape == (6, 5, 3)


@pytest.mark.parametrize(
    "text",
    [
        "\ufefffile,label\r\n1.png,cat\r\n",
        "Label , FILE\ncat,1.png\n",
        'id,path,notes,class\n7, 1.png ,"a, b\nc", cat \n',
        "filename,category\n1.png,cat",
        'image,target\n"1.png","cat"\n\n\n',
    ],
    ids=["BOM", "order and case", "more columns", "no last newline", "quotes and blank lines"],
)
def test_spellings_of_the_same_table(folder: Path, text: str) -> None:
    assert told(table(folder, text)) == {"all": [("1.png", "cat")]}


def test_a_column_for_the_split(folder: Path) -> None:
    dataset = table(folder, "file,label,split\n1.png,a,Train\n2.png,a,validation\ndeep/3.png,a,TEST\n")
    assert told(dataset) == {"train": [("1.png", "a")], "val": [("2.png", "a")], "test": [("deep/3.png", "a")]}


def test_a_record_of_no_split_is_in_none(folder: Path) -> None:
    dataset = table(folder, "file,label,split\n1.png,a,\n2.png,a,val\n")
    assert told(dataset) == {"all": [("1.png", "a")], "val": [("2.png", "a")]}
    assert dataset.skipped == []


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ("gone.png,a,", "gone.png does not exist"),
        ("deep,a,", "deep does not exist"),
        (",a,", "missing"),
        ("2.png,,", "missing"),
        ("2.png", "missing"),
        ("2.png,a,trian", "'trian' is none of train, val, test"),
        ("../outside.png,a,", "outside"),
        ("deep/../../outside.png,a,", "outside"),
        ("link.png,a,", "outside"),
        ("/etc/hostname,a,", "outside"),
        ("2.png\0,a,", "no name of a file"),
        ("x" * 5000 + ",a,", "no name of a file"),
        ("loop/2.png,a,", "no name of a file|does not exist"),
    ],
    ids=lambda value: value[:30],
)
def test_a_bad_record_is_skipped_by_its_line_and_the_rest_goes_on(folder: Path, record: str, problem: str) -> None:
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "loop").symlink_to(folder / "loop")
    dataset = table(folder, f"file,label,split\n1.png,a,\n{record}\n2.png,b,\n")
    assert told(dataset) == {"all": [("1.png", "a"), ("2.png", "b")]}
    (where, error), *_ = skipped(dataset).items()
    assert where == "labels.csv, line 3"
    assert any(part in error for part in problem.split("|"))


def test_lines_are_counted_as_an_editor_counts_them(folder: Path) -> None:
    dataset = table(folder, 'file,label,note\n1.png,a,"two\nlines"\ngone.png,a,\n\ngone2.png,a,\n')
    assert list(skipped(dataset)) == ["labels.csv, line 4", "labels.csv, line 6"]


def test_a_file_that_is_no_image_is_left_to_decoding(folder: Path) -> None:
    (folder / "text.png").write_text("no image")
    assert told(table(folder, "file,label\ntext.png,a\n")) == {"all": [("text.png", "a")]}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it is empty"),
        ("1.png,cat\n", "no column 'file' among: 1.png, cat"),
        ("file,name\n1.png,cat\n", "no column 'label' among: file, name; call a column 'label'"),
        ("file,label\n", "no usable record"),
        ("file,label\ngone.png,a\n", "no usable record; the first: gone.png does not exist"),
        (b"file,label\n1.png,caf\xe9\n", "not a readable CSV"),
        (b"\x89PNG\r\n\x1a\n", "not a readable CSV"),
        ("file,label\n1.png," + "x" * 200_000, "not a readable CSV"),
    ],
    ids=["empty", "no header", "no label", "no record", "no file", "Latin-1", "binary", "endless field"],
)
def test_a_table_that_cannot_be_used(folder: Path, text: str | bytes, problem: str) -> None:
    with pytest.raises(UserError, match=r"labels\.csv: ") as caught:
        table(folder, text)
    assert problem in str(caught.value)


def test_what_a_path_is_read_as(folder: Path) -> None:
    table(folder, "file,label\n1.png,a\n")
    assert open_dataset(folder / "labels.csv").format == "CSV"
    with pytest.raises(UserError, match="a file, not a data set"):
        open_dataset(folder / "1.png")
    with pytest.raises(UserError, match="no such folder"):
        open_dataset(folder / "nowhere")


@pytest.mark.parametrize(
    "text",
    [
        "file,label\n1.png,dog; cat\n2.png,\ndeep/3.png,cat\n",
        "file,labels\n1.png,cat;dog;cat;\n2.png,;\ndeep/3.png, cat\n",
    ],
    ids=["by a semicolon", "by the column's name"],
)
def test_several_labels(folder: Path, text: str) -> None:
    dataset = table(folder, text)
    assert told(dataset) == {"all": [("1.png", ("cat", "dog")), ("2.png", ()), ("deep/3.png", ("cat",))]}
    assert dataset.notes == ["an image may have several labels; 1 has none"]


def test_the_column_labels_needs_no_semicolon(folder: Path) -> None:
    assert told(table(folder, "file,labels\n1.png,cat\n2.png,\n")) == {"all": [("1.png", ("cat",)), ("2.png", ())]}


def test_a_record_that_ends_before_its_labels_is_skipped(folder: Path) -> None:
    assert skipped(table(folder, "file,labels\n1.png,a;b\n2.png\n")) == {
        "labels.csv, line 3": "the file or the label is missing"
    }
