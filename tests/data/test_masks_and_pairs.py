"""Masks as images beside images, their legends, and pairs of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from svertka.annotations import Mask, Picture
from svertka.data.readers.masks import FOREIGN, VOID, MaskFile
from svertka.data.readers.reading import open_dataset
from svertka.data.samples import Dataset
from svertka.errors import UserError

WriteImages = Callable[..., None]


def masks(dataset: Dataset) -> dict[str, Mask]:
    found = {}
    for samples in dataset.parts.values():
        for sample in samples:
            assert isinstance(sample.annotation, Mask)
            found[sample.name] = sample.annotation
    return found


def write_mask(folder: Path, name: str, values: object, *, palette: bool = False) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(np.asarray(values, np.uint8))
    if palette:
        image.putpalette([(37 * index) % 256 for index in range(768)])
    image.save(folder / name)


def numbers(dataset: Dataset) -> list[list[int]]:
    return [mask.source.load().ravel().tolist() for mask in masks(dataset).values()]


def test_real_membranes(shared_data: Path) -> None:
    dataset = open_dataset(shared_data / "membrane")
    assert dataset.format == "masks"
    found = masks(dataset)
    assert len(found) == 30
    for name, mask in found.items():
        assert mask.names == ("background", "foreground")
        assert isinstance(mask.source, MaskFile)
        assert mask.source.path.name == Path(name).name
        values = mask.source.load()
        assert values.shape == (512, 512)
        assert set(np.unique(values).tolist()) == {0, 1}


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/1.jpg", "masks/1.png"),
        ("image/1.png", "label/1.png"),
        ("JPEGImages/1.jpg", "SegmentationClass/1.png"),
        ("images/deep/1.png", "masks/deep/1.png"),
        ("imgs/1.png", "masks/1_mask.png"),
        ("Images/1.png", "annotations/mask_1.png"),
        ("1.png", "1_mask.png"),
    ],
)
def test_layouts_of_masks(tmp_path: Path, write_images: WriteImages, image: str, mask: str) -> None:
    write_images(tmp_path, [image])
    write_mask(tmp_path, mask, [[0, 255], [255, 0]])
    dataset = open_dataset(tmp_path)
    assert list(masks(dataset)) == [image]
    assert numbers(dataset) == [[0, 1, 1, 0]]


@pytest.mark.parametrize("layout", ["{part}/{kind}/1.png", "{kind}/{part}/1.png"])
def test_parts_of_masks(tmp_path: Path, write_images: WriteImages, layout: str) -> None:
    for part in ("train", "val"):
        write_images(tmp_path, [layout.format(part=part, kind="images")])
        write_mask(tmp_path, layout.format(part=part, kind="masks"), [[0, 1]])
    assert {part: len(found) for part, found in open_dataset(tmp_path).parts.items()} == {"train": 1, "val": 1}


@pytest.mark.parametrize(
    ("values", "palette", "names", "told"),
    [
        ([[0, 255]], False, ("background", "foreground"), [0, 1]),
        ([[0, 1]], False, ("0", "1"), [0, 1]),
        ([[0, 2, 255]], False, ("0", "1", "2"), [0, 2, VOID]),
        ([[0, 200, 255]], True, tuple(map(str, range(201))), [0, 200, VOID]),
        ([[0, 128, 255]], False, ("0", "128", "255"), [0, 1, 2]),
        ([[[0, 0, 0], [255, 0, 0]]], False, ("#000000", "#ff0000"), [0, 1]),
        ([[[0, 0, 0], [255, 255, 255]]], False, ("background", "foreground"), [0, 1]),
    ],
    ids=["0/255", "0/1", "index", "palette", "levels", "colours", "grey in colour"],
)
def test_what_numbers_mean(
    tmp_path: Path, write_images: WriteImages, values: object, palette: bool, names: tuple[str, ...], told: list[int]
) -> None:
    write_images(tmp_path, ["images/1.png"])
    write_mask(tmp_path, "masks/1.png", values, palette=palette)
    dataset = open_dataset(tmp_path)
    assert masks(dataset)["images/1.png"].names == names
    assert numbers(dataset) == [told]


def test_a_mask_that_was_compressed_is_black_and_white(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["images/1.jpg"])
    values = np.zeros((16, 16), np.uint8)
    values[:, 8:] = 250
    values[3, 3] = 9
    (tmp_path / "masks").mkdir()
    Image.fromarray(values).save(tmp_path / "masks/1.jpg", quality=60)
    dataset = open_dataset(tmp_path)
    np.testing.assert_array_equal(masks(dataset)["images/1.jpg"].source.load(), values > 128)


LEGENDS = {
    "class_dict.csv": "name, r,g,b\nsky,0,0,0\ncar,64,128,2\n",
    "classes.csv": "class,red,green,blue\nsky,0,0,0\ncar,64,128,2\n",
    "label_colors.txt": "0 0 0\tsky\n64 128 2\tcar\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nsky:0,0,0::\ncar:64,128,2::\n",
    "legend.json": '{"sky": [0, 0, 0], "car": "#408002"}',
    "classes.json": '{"classes": [{"name": "sky", "color": [0, 0, 0]}, {"name": "car", "color": [64, 128, 2]}]}',
}


@pytest.mark.parametrize("legend", LEGENDS)
def test_legends_of_colours(tmp_path: Path, write_images: WriteImages, legend: str) -> None:
    write_images(tmp_path, ["images/1.png"])
    write_mask(tmp_path, "masks/1.png", [[[0, 0, 0], [64, 128, 2], [1, 1, 1]]])
    (tmp_path / legend).write_text(LEGENDS[legend])
    dataset = open_dataset(tmp_path)
    assert masks(dataset)["images/1.png"].names == ("sky", "car")
    assert numbers(dataset) == [[0, 1, FOREIGN]]
    assert f"classes as {legend} says" in dataset.notes


@pytest.mark.parametrize(
    ("legend", "text"),
    [
        ("classes.txt", "sky\nroad\ncar\n"),
        ("codes.txt", "0: sky\n1: road\n2: car\n"),
        ("labels.csv", "id,name\n0,sky\n1,road\n2,car\n"),
        ("classes.json", '["sky", "road", "car"]'),
        ("labels.json", '{"0": "sky", "1": "road", "2": "car"}'),
        ("legend.json", '{"sky": 0, "road": 1, "car": 2}'),
    ],
)
def test_legends_of_numbers(tmp_path: Path, write_images: WriteImages, legend: str, text: str) -> None:
    write_images(tmp_path, ["images/1.png"])
    write_mask(tmp_path, "masks/1.png", [[0, 2, 7, 255]])
    (tmp_path / legend).write_text(text)
    dataset = open_dataset(tmp_path)
    assert masks(dataset)["images/1.png"].names == ("sky", "road", "car")
    assert numbers(dataset) == [[0, 2, 7, VOID]]  # 7 is no class, and stays for check to name


@pytest.mark.parametrize(
    ("legend", "text", "problem"),
    [
        ("class_dict.csv", "name,r,g\nsky,0,0\n", "no columns name, r, g, b"),
        ("class_dict.csv", "name,r,g,b\nsky,0,0,300\n", "the colour"),
        ("legend.json", "[" * 10_000, "lists within lists"),
        ("legend.json", '{"sky": 0, "car": [1, 2, 3]}', "numbers and colours"),
        ("classes.txt", "x\n" * 300, "over 254 classes"),
        ("codes.txt", "0: sky\n0: car\n", "0 is sky and car"),
    ],
)
def test_a_legend_that_cannot_be_used(
    tmp_path: Path, write_images: WriteImages, legend: str, text: str, problem: str
) -> None:
    write_images(tmp_path, ["images/1.png"])
    write_mask(tmp_path, "masks/1.png", [[0, 1]])
    (tmp_path / legend).write_text(text)
    with pytest.raises(UserError, match=legend) as caught:
        open_dataset(tmp_path)
    assert problem in str(caught.value)


def test_what_is_alone_is_noted(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["images/1.png", "images/2.png"])
    for name in ("1", "3"):
        write_mask(tmp_path, f"masks/{name}.png", [[0, 1]])
    notes = open_dataset(tmp_path).notes
    assert any(note.startswith("1 image has no mask") for note in notes)
    assert any(note.startswith("1 mask has no image") for note in notes)


def test_links_that_lead_out_are_not_followed(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["outside.png", "data/images/1.png", "data/images/2.png"])
    write_mask(tmp_path / "data", "masks/1.png", [[0, 1]])
    (tmp_path / "data/masks/2.png").symlink_to(tmp_path / "outside.png")
    assert list(masks(open_dataset(tmp_path / "data"))) == ["images/1.png"]


def test_the_digest_changes_with_mask_and_legend(tmp_path: Path) -> None:
    write_mask(tmp_path, "1.png", [[0, 1]])
    write_mask(tmp_path, "2.png", [[1, 1]])
    first = MaskFile(tmp_path / "1.png", (0, 1), (0, 1))
    digests = {
        first.digest(),
        MaskFile(tmp_path / "2.png", (0, 1), (0, 1)).digest(),
        MaskFile(tmp_path / "1.png", (0, 1), (1, 0)).digest(),
    }
    assert len(digests) == 3
    assert MaskFile(tmp_path / "1.png", (0, 1), (0, 1)).digest() == first.digest()


# --- pairs --------------------------------------------------------------------------------------------------------


def test_pictures_side_by_side(tmp_path: Path) -> None:
    for part in ("train", "val"):
        (tmp_path / part).mkdir()
        pixels = np.zeros((6, 12, 3), np.uint8)
        pixels[:, 6:] = 200
        Image.fromarray(pixels).save(tmp_path / part / "1.png")
    dataset = open_dataset(tmp_path)
    assert dataset.format == "pairs side by side"
    assert list(dataset.parts) == ["train", "val"]
    (sample,) = dataset.parts["train"]
    assert isinstance(sample.annotation, Picture)
    (left, digest), (right, other) = sample.source.load(), sample.annotation.source.load()
    assert left.shape == right.shape == (6, 6, 3)
    assert (left.max(), right.min()) == (0, 200)
    assert digest != other


@pytest.mark.parametrize("folders", [("A", "B"), ("trainA", "trainB"), ("train/A", "train/B"), ("A/train", "B/train")])
def test_pictures_in_two_folders(tmp_path: Path, write_images: WriteImages, folders: tuple[str, str]) -> None:
    write_images(tmp_path, [f"{folder}/{name}.png" for folder in folders for name in "12"])
    write_images(tmp_path, [f"{folders[0]}/3.png"])
    dataset = open_dataset(tmp_path, "pairs")
    (part,) = dataset.parts
    assert part == ("all" if folders[0] == "A" else "train")
    assert [sample.name for sample in dataset.parts[part]] == [f"{folders[0]}/{name}.png" for name in "12"]
    assert [item.file for item in dataset.skipped] == [f"{folders[0]}/3.png"]


def test_classes_called_a_and_b_are_no_pairs(tmp_path: Path, write_images: WriteImages) -> None:
    write_images(tmp_path, ["A/1.png", "A/2.png", "B/1.png", "B/3.png"])
    assert open_dataset(tmp_path).format == "class folders"


def test_class_folders_stay_class_folders(shared_data: Path) -> None:
    assert open_dataset(shared_data / "sign-digits").format == "class folders"
    assert open_dataset(shared_data / "fashion-mnist").format == "IDX"


def test_the_soaks_masks_are_what_they_should_be(tmp_path: Path, soak: ModuleType) -> None:
    soak.write_legend(tmp_path)
    found = masks(open_dataset(tmp_path))
    assert [set(np.unique(mask.source.load()).tolist()) for mask in found.values()] == [{0, 1}, {0, 2}]
