"""Groups, videos and what follows one another by name: named with counts, never taken for copies to delete."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import svertka
from svertka.data.checks.findings import Finding


def kinds(folder: Path, **flags: object) -> dict[str, Finding]:
    checked = svertka.check(folder, progress=False, **flags)
    return {finding.kind: finding for finding in checked.findings}


def scene(seed: int, moved: float = 0.0, side: int = 48) -> Image.Image:
    """Smooth shapes of one scene; ``moved`` from frame to frame."""
    numbers = np.random.default_rng(seed)
    y, x = np.mgrid[0:side, 0:side] / side
    pixels = sum(
        np.sin(8 * (a * (x + moved) + b * y) + c)[..., None] * numbers.uniform(10, 40, 3)
        for a, b, c in numbers.uniform(-1, 1, (5, 3))
    )
    return Image.fromarray(np.clip(pixels + 128, 0, 255).astype(np.uint8))


def videos(folder: Path, names: str, count: int = 6, frames: int = 4) -> Path:
    """Some videos, each shorter than a fifth of the data set: what is usual there is then another scene.

    The frames of each lie in the folders of classes in turn, or of subsets.
    """
    for video in range(count):
        for frame in range(frames):
            path = folder / names.format(
                video=video, frame=frame, part="train" if frame < 3 else "val", label=video % 2
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            scene(video, 0.002 * frame).save(path)
    return folder


def test_frames_of_a_video_are_named_as_such_and_none_is_deleted(tmp_path: Path) -> None:
    found = kinds(videos(tmp_path, "class{label}/clip{video}_{frame:04}.png"))
    assert "near_duplicates" not in found
    video = found["video_frames"]
    assert video.count == 24
    assert video.leave_out == ()
    assert "24 images that follow one another by name and look alike, in" in video.message
    assert "--group" in video.mend
    assert "nothing is to be deleted" in video.mend


def test_a_video_in_two_subsets_is_an_error(tmp_path: Path) -> None:
    found = kinds(videos(tmp_path, "{part}/class{label}/clip{video}_{frame:04}.png"))
    assert "near_duplicates_across_splits" not in found
    assert found["video_frames_across_splits"].severity == "error"
    assert "in several subsets" in found["video_frames_across_splits"].message
    assert found["video_frames_across_splits"].leave_out == ()


def test_copies_elsewhere_are_still_copies_and_are_counted_once(tmp_path: Path) -> None:
    for number in range(12):
        path = tmp_path / f"class{number % 2}" / f"{chr(97 + number)}.png"
        path.parent.mkdir(exist_ok=True)
        scene(100 + number).save(path)
    first = tmp_path / "class0" / "a.png"
    (tmp_path / "class0" / "zz.png").write_bytes(first.read_bytes())  # the same file
    Image.open(first).resize((40, 40)).save(tmp_path / "class0" / "mm.png")  # nearly alike
    found = kinds(tmp_path)
    assert found["exact_duplicates"].count == 1
    assert found["near_duplicates"].count == 1
    assert "video_frames" not in found


def test_groups_are_named_with_their_counts(tmp_path: Path) -> None:
    for person in range(3):
        for number in range(4):
            part = "val" if (person, number) in ((0, 3), (2, 0)) else "train"
            path = tmp_path / part / f"class{number % 2}" / f"person{person}_{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            scene(10 * person + number).save(path)
    (tmp_path / "train" / "class0" / "stray.png").write_bytes((path).read_bytes()[:-1] + b"\0")
    scene(999).save(tmp_path / "train" / "class0" / "stray.png")
    found = kinds(tmp_path, group="(person[0-9])")
    assert list(found["groups"].files) == ["person0: train 3, val 1", "person1: train 4", "person2: train 3, val 1"]
    assert found["groups"].message == "3 groups, and 1 image in none"
    assert list(found["groups_across_splits"].files) == ["person0: train 3, val 1", "person2: train 3, val 1"]
    assert found["groups_across_splits"].lines() == list(found["groups_across_splits"].files)


@pytest.mark.parametrize("kind", ["boxes", "masks"])
def test_boxes_and_masks_are_asked_for_neighbours_by_name(kind: str, tmp_path: Path) -> None:
    # Twelve places, seen nine times each in a row, but too unlike for copies.
    lines = []
    for number in range(108):
        image = np.asarray(scene(number // 9), np.int16)
        noise = np.random.default_rng(number).integers(-70, 71, image.shape)
        path = tmp_path / "images" / f"{number:04}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.clip(image + noise, 0, 255).astype(np.uint8)).save(path)
        if kind == "masks":
            mask = np.zeros((48, 48), np.uint8)
            mask[: number % 40] = 255
            (tmp_path / "masks").mkdir(exist_ok=True)
            Image.fromarray(mask).save(tmp_path / "masks" / f"{number:04}.png")
        else:  # no two images name the same classes
            lines += [f"images/{number:04}.png,class{n},4,5,20,30" for n in range(7) if number + 1 >> n & 1]
    if lines:
        (tmp_path / "boxes.csv").write_text("\n".join(["file,label,left,top,right,bottom", *lines]))
    found = kinds(tmp_path / "boxes.csv" if lines else tmp_path)
    assert "so a random split leaks" in found["neighbours_by_name"].message


def test_white_on_transparent_is_warned_of(tmp_path: Path) -> None:
    for number in range(4):
        drawn = np.zeros((20, 20, 4), np.uint8)
        drawn[5:15, 2 * number + 2] = 255  # opaque white
        path = tmp_path / f"class{number % 2}" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(drawn).save(path)
    Image.new("RGB", (20, 20), "white").save(tmp_path / "class0" / "paper.png")  # merely white
    black = np.zeros((20, 20, 4), np.uint8)
    black[5:15, 5, 3] = 255
    Image.fromarray(black).save(tmp_path / "class1" / "ink.png")
    hidden = kinds(tmp_path)["hidden_drawings"]
    assert hidden.count == 4
    assert "4 images drawn in white on transparent" in hidden.message


def test_json_holds_all_that_text_and_page_say(tmp_path: Path) -> None:
    for number in range(130):
        path = tmp_path / "data" / "a" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"nothing")
    for number in range(3):
        scene(number).save(tmp_path / "data" / "a" / f"good{number}.png")
    checked = svertka.check(tmp_path / "data", out=tmp_path / "page", progress=False)
    document = json.loads(json.dumps(checked.to_json()))
    for finding, said in zip(checked.findings, document["findings"], strict=True):
        assert (said["message"], said["count"]) == (finding.message, finding.count)
        assert said["files"] == list(finding.files)
        assert said["groups"] == [list(group) for group in finding.groups]
        assert [shown["file"] for shown in said["pictures"]] == [shown.name for shown in finding.exhibited]
    assert len(next(found for found in document["findings"] if found["kind"] == "unreadable_files")["files"]) == 130
