"""Explaining from the command line: what is written, what is said, and that it is true."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import svertka
from svertka.commands.explain.command import DEFAULT_METHODS, METHODS
from svertka.zoo.modelfile import load_model, save_model

Call = Callable[..., Any]


@pytest.fixture(scope="module")
def explained(
    trained: tuple[Path, Any], digits: Path, tmp_path_factory: pytest.TempPathFactory, svertka_call: Call
) -> Any:
    """The folder, and what was said, of all methods on the digits that a model was trained on."""
    out = tmp_path_factory.mktemp("explained") / "deep" / "folder"
    answer = svertka_call("explain", trained[0], digits, "--out", out, "--method", "all", "--examples", 3, "--json")
    assert answer.status == 0, answer.err
    assert answer.err == ""
    return out, answer.json


def test_all_methods_are_told(explained: Any) -> None:
    out, told = explained
    assert list(told["methods"]) == list(METHODS)
    assert told["net"] == "lenet5"
    assert told["layer"] == "c3"  # c5 has maps of one position
    assert told["stages"] == ["c1", "c3", "c5"]
    assert told == json.loads((out / "explain.json").read_text())
    assert {path.name for path in out.iterdir()} == {"explain.html", "explain.json", *told["pictures"]}
    for name in told["pictures"]:
        with Image.open(out / name) as picture:
            picture.verify()
    assert told["notes"] == []


def test_images_are_held_out_ones_of_several_classes(explained: Any, trained: tuple[Path, Any], digits: Path) -> None:
    _, told = explained
    files = [image["file"] for image in told["images"]]
    assert len({file.split("/")[0] for file in files}) == 3
    split = (trained[0] / "split.csv").read_text()
    assert all(f"{file},val" in split for file in files)
    said = svertka.predict(trained[0], [digits / file for file in files])
    assert [image["predicted"] for image in told["images"]] == [entry.result.line() for entry in said]
    assert [image["explained"] for image in told["images"]] == [entry.result.best.name for entry in said]


def test_patches_are_the_largest_activations(explained: Any) -> None:
    _, told = explained
    patches = told["methods"]["patches"]
    assert patches["images"] == 200
    assert patches["stages"]["c1"]["receptive_field"] == [6, 6]
    for stage in patches["stages"].values():
        for channel in stage["channels"]:
            assert len(channel["values"]) == 9
            assert channel["values"] == sorted(channel["values"], reverse=True)
            assert len(set(channel["images"])) == 9
    (filters,) = [told["methods"]["filters"]]
    assert filters == {"count": 6, "channels": 1, "height": 5, "width": 5}


def test_scores_fall_with_what_is_done(explained: Any) -> None:
    _, told = explained
    attacked = told["methods"]["adversarial"]
    assert attacked["judged_by"] == "labels"
    assert attacked["levels"][0] == 0
    clean = told["methods"]["pruning"]["score"]["c1"][0]
    for name in ("FGSM", "PGD"):
        scores = attacked["score"][name]
        assert scores[0] == pytest.approx(clean, abs=0.1)  # of fewer images
        assert scores[-1] < scores[0]
        assert scores[-1] < attacked["score"]["random"][-1]
    assert min(scores[-1] for scores in told["methods"]["pruning"]["score"].values()) < clean
    sanity = told["methods"]["sanity"]
    assert set(sanity) == set(METHODS[5:11])
    assert all(-1 <= value <= 1 for value in sanity.values())


def test_class_activation_maps_depend_on_what_was_learnt(explained: Any) -> None:
    _, told = explained
    for name in ("grad_cam", "occlusion", "saliency"):
        assert abs(told["methods"]["sanity"][name]) < 0.8, name


def test_the_page_stands_alone(explained: Any) -> None:
    out, _ = explained
    page = (out / "explain.html").read_text()
    assert "http:" not in page
    assert "https:" not in page
    assert page.count('data-choice="image"') == 1
    assert page.count('data-choice="stage"') == 1
    assert page.count('data-choice="channel of c1"') == 1
    for name in ("Grad-CAM++", "top patches", "projected back", "made up to excite it", "t-SNE", "PGD"):
        assert name in page


def test_files_folders_and_hostile_names(
    trained: tuple[Path, Any], digits: Path, tmp_path: Path, svertka_call: Call
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    source = next((digits / "3").iterdir())
    hostile = folder / "<img src=x onerror=alert(1)> \udcff '\".png"
    shutil.copy(source, hostile)
    (folder / "broken.png").write_bytes(b"no image")
    answer = svertka_call(
        "explain", trained[0], folder, source, "--out", tmp_path / "out", "--method", "maps,grad_cam", "saliency"
    )
    assert answer.status == 0, answer.err
    assert "skipped" in answer.err
    assert "left out: 1 file" in answer.out
    page = (tmp_path / "out" / "explain.html").read_text()
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page
    told = json.loads((tmp_path / "out" / "explain.json").read_text())
    assert list(told["methods"]) == ["maps", "saliency", "grad_cam"]
    assert len(told["images"]) == 2


def test_a_folder_without_classes_is_read_as_images(
    trained: tuple[Path, Any], digits: Path, tmp_path: Path, svertka_call: Call
) -> None:
    answer = svertka_call("explain", trained[0], digits / "3", "--out", tmp_path, "--method", "grad_cam", "--json")
    assert answer.status == 0, answer.err
    assert len(answer.json["images"]) == 6


def test_without_images_the_golden_inputs_are_explained(weights: Path, tmp_path: Path) -> None:
    before = weights.read_bytes()
    found = svertka.explain(weights, out=tmp_path, progress=False)
    assert list(found.methods) == list(DEFAULT_METHODS)
    assert [image["file"] for image in found.images] == ["golden input 1"]
    assert weights.read_bytes() == before


def test_a_stage_a_channel_and_a_class_can_be_named(weights: Path, digits: Path, tmp_path: Path) -> None:
    found = svertka.explain(
        weights,
        [digits],
        out=tmp_path,
        method=["patches", "grad_cam", "adversarial"],
        layer=["conv1", "conv2"],
        channel=[3, 0, 999],
        target="d",
        progress=False,
    )
    assert found.layer == "conv2"
    assert {image["explained"] for image in found.images} == {"d"}
    assert list(found.methods["patches"]["stages"]) == ["conv1", "conv2"]
    for stage in found.methods["patches"]["stages"].values():
        assert [channel["channel"] for channel in stage["channels"]] == [3, 0]
    # The digits' classes are not the network's.
    assert found.methods["adversarial"]["judged_by"] == "its own predictions"
    assert "judged by its own predictions" in found.notes[0]


def test_masks(task_run: Callable[[str], Any], task_data: Callable[[str], Path], tmp_path: Path) -> None:
    files = task_data("segmentation") / "test" / "images"
    found = svertka.explain(task_run("segmentation")[0], [files], out=tmp_path, method="all", progress=False)
    assert set(found.methods) == set(METHODS)
    assert {image["explained"] for image in found.images} <= {"disc", "square"}
    assert found.methods["adversarial"]["judged_by"] == "its own predictions"


def test_several_labels(
    task_run: Callable[[str], Any], task_data: Callable[[str], Path], tmp_path: Path, svertka_call: Call
) -> None:
    ask = ("explain", task_run("multilabel")[0], task_data("multilabel"), "--method", "grad_cam,adversarial,pruning")
    answer = svertka_call(*ask, "--out", tmp_path)
    assert answer.status == 0, answer.err
    assert "by labels, for changes" in answer.out
    assert "by labels, with so much" in answer.out


def test_without_images_or_golden_inputs_there_is_nothing_to_explain(tiny_model: Path, tmp_path: Path) -> None:
    net, card = load_model(tiny_model)
    save_model(tmp_path / "model.safetensors", net.state_dict(), dataclasses.replace(card, golden=()))
    with pytest.raises(svertka.UserError, match="brings no images along"):
        svertka.explain(tmp_path / "model.safetensors", out=tmp_path / "none", progress=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--method", "grad_cm"), "unknown method 'grad_cm'; did you mean grad_cam"),
        (("--layer", "conv9"), "the trunk has no stage 'conv9'"),
        (("--target", "dgo"), "the model knows no class 'dgo'"),
        (("--examples", "0"), "examples is 0; it must be at least 1"),
        (("--channel", "-1"), "channels are counted from 0 on"),
        (("nowhere.png",), "the only image cannot be read"),
        (("nowhere",), "nowhere: no such folder"),
    ],
)
def test_mistakes_are_said_in_a_line(
    weights: Path, tmp_path: Path, svertka_call: Call, arguments: tuple[str, ...], message: str
) -> None:
    answer = svertka_call("explain", weights, *arguments, "--out", tmp_path / "out")
    assert answer.status == 2
    assert message in answer.err
    assert len(answer.err.splitlines()) == 1
    assert not list(tmp_path.glob("out/*.html"))


def test_an_exported_model_cannot_be_explained(tiny_onnx: Path, tmp_path: Path, svertka_call: Call) -> None:
    answer = svertka_call("explain", tiny_onnx, "--out", tmp_path / "out")
    assert answer.status == 2
    assert "only a .safetensors model can be explained" in answer.err
