"""Every command on real images: what ``--json`` prints, and that it is true."""

from __future__ import annotations

import csv
import dataclasses
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

import svertka
from svertka.data.batching.samplers import PerClass
from svertka.tasks.classification import Classification
from svertka.training.recipe import Recipe

CLASSES = [str(number) for number in range(10)]
QUICK = ("--net", "perceptron", "--epochs", 2, "--augment", "none")


def files(folder: Path, per_class: int | None = None) -> list[Path]:
    return [path for place in sorted(folder.iterdir()) for path in sorted(place.iterdir())[:per_class]]


def best(said: list[dict[str, Any]]) -> list[str]:
    return [entry["classes"][0]["name"] for entry in said]


# --- train --------------------------------------------------------------------------------------------------------


def test_train_says_where_how_good_and_how_long(trained: tuple[Path, Any]) -> None:
    run, answer = trained
    said = answer.json
    assert answer.err == ""
    assert said["run"] == str(run)
    assert said["model"] == str(run / "model.safetensors")
    assert said["report"] == str(run / "report.html")
    assert {"accuracy", "macro_f1", "loss"} <= said["metrics"].keys()
    assert said["metrics"]["accuracy"] > 0.8
    assert 0 <= said["metrics"]["macro_f1"] <= 1
    assert said["judged_on"] == "val"
    assert said["seconds"] == pytest.approx(sum(said["seconds_by_stage"].values()), abs=1e-6)
    assert said["seconds"] > 0
    assert said["skipped"] == []


def test_a_run_holds_what_it_should_and_nothing_else(trained: tuple[Path, Any]) -> None:
    run, _ = trained
    names = {path.name for path in run.iterdir()} - {"tensorboard"}
    assert names == {
        "begun.json",
        "metrics.csv",
        "model.safetensors",
        "recipe.toml",
        "report.html",
        "run.json",
        "signals.json",
        "split.csv",
    }
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == [f"{number}.0" for number in range(1, 13)]
    assert all(float(row[name]) >= 0 for row in rows for name in ("train_loss", "val_loss", "val_accuracy", "lr"))


def test_nothing_else_is_said_on_standard_output_and_nothing_on_the_other(
    few_digits: Path, plain: tuple[str, ...], start: Callable[..., Any], tmp_path: Path
) -> None:
    answer = start("train", few_digits, "--out", tmp_path / "run", *QUICK, *plain, "--json").wait()
    assert answer.json["run"] == str(tmp_path / "run")
    assert answer.err == ""


def test_without_json_progress_goes_to_standard_error(
    few_digits: Path, plain: tuple[str, ...], start: Callable[..., Any], tmp_path: Path
) -> None:
    answer = start("train", few_digits, "--out", tmp_path / "run", *QUICK, *plain).wait()
    assert answer.status == 0
    assert "epoch 2/2" in answer.err
    assert "train 40, val 10" in answer.err
    assert [line.split()[0] for line in answer.out.splitlines()] == ["on", "model:", "report:"]


def test_a_broken_image_is_skipped_named_and_counted(
    few_digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    data = Path(shutil.copytree(few_digits, tmp_path / "digits"))
    (data / "4" / "text.png").write_text("hello")
    image = files(data)[0]
    image.write_bytes(image.read_bytes()[:60])
    names = sorted(["4/text.png", image.relative_to(data).as_posix()])
    answer = svertka_call("train", data, "--out", tmp_path / "run", *QUICK, *plain, "--json")
    assert answer.status == 0
    assert sorted(entry["file"] for entry in answer.json["skipped"]) == names
    assert all(entry["error"] for entry in answer.json["skipped"])
    assert answer.err.count("warning: skipped") == 2
    report = (tmp_path / "run" / "report.html").read_text()
    assert all(name in report for name in names)
    evaluated = svertka_call("evaluate", tmp_path / "run", data, "--json")
    assert sorted(entry["file"] for entry in evaluated.json["skipped"]) == names
    checked = svertka_call("check", data, "--json")
    assert sorted(entry["file"] for entry in checked.json["skipped"]) == names


def test_without_out_a_new_folder_below_runs_is_made(
    few_digits: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ("train", few_digits, *QUICK, "--epochs", 1, *plain, "--json")
    command = tuple(word for number, word in enumerate(command) if number not in (4, 5))  # one --epochs
    assert [svertka_call(*command).json["run"] for _ in range(2)] == ["runs/few-perceptron", "runs/few-perceptron-2"]


def test_a_budget_leaves_out_the_epochs_that_there_is_no_time_for(
    few_digits: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, cap = tmp_path / "run", 100_000
    flags = ("--net", "perceptron", "--augment", "none", "--epochs", cap, "--budget", "5s")
    command = ("train", few_digits, *flags, "--out", run, *plain)
    answer = svertka_call(*command, "--json")
    assert answer.status == 0, answer.err
    learnt = len((run / "metrics.csv").read_text().splitlines()) - 1
    *_, planned = json.loads((run / "plan.json").read_text())["epochs"].values()
    assert 1 < learnt == math.ceil(planned) < cap
    assert f"epochs = {cap}\n" in (run / "recipe.toml").read_text()
    # Resumed, it does what it has decided, though it would decide otherwise now.
    model = (run / "model.safetensors").read_bytes()
    (run / "run.json").unlink()
    monkeypatch.setattr(
        "svertka.workflows.training.scratch.plan_epochs", lambda *_: pytest.fail("it has planned before")
    )
    assert svertka_call(*command, "--resume").status == 0
    assert (run / "model.safetensors").read_bytes() == model
    (run / "run.json").unlink()
    plan = (run / "plan.json").read_text()
    other = plan.replace('"depth": 0', '"depth": 1')
    for damaged in ("", "[[0, 5]]", "{}", plan[:-5], other):
        (run / "plan.json").write_text(damaged)
        answer = svertka_call(*command, "--resume")
        assert answer.status == 2
        assert "plan.json: damaged" in answer.err


# --- recipe -------------------------------------------------------------------------------------------------------


def test_the_recipe_given_back_gives_the_same_bytes(
    few_digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    flags = (
        *("--net", "mlp", "--net-options.hidden", "24,12", "--net-options.activation", "elu", "--epochs", 3),
        *("--batch", 7, "--accumulate", 2, "--optimizer", "nesterov", "--lr", 0.03, "--schedule", "cosine"),
        *("--warmup", 0.5, "--dropout", 0.1, "--label-smoothing", 0.05, "--clip", 2.5, "--ema", 0.8),
        *("--augment", "affine", "crop", "--image-size", 20, "--channels", 3, "--val-fraction", 0.3, "--seed", 11),
    )
    first = svertka_call("train", few_digits, "--out", tmp_path / "first", *flags, *plain, "--json")
    assert first.status == 0, first.err
    recipe = tmp_path / "first" / "recipe.toml"
    again = svertka_call("train", few_digits, "--out", tmp_path / "again", "--recipe", recipe, "--json")
    models = [Path(answer.json["model"]).read_bytes() for answer in (first, again)]
    assert models[0] == models[1]
    assert recipe.read_text() == (tmp_path / "again" / "recipe.toml").read_text()
    other = svertka_call("train", few_digits, "--out", tmp_path / "other", "--recipe", recipe, "--seed", 12, "--json")
    assert Path(other.json["model"]).read_bytes() != models[0]
    assert "seed = 12" in (tmp_path / "other" / "recipe.toml").read_text()


def test_every_recipe_field_is_a_flag(svertka_call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    said = svertka_call("train", "--help")
    assert said.status == 0
    words = said.out.split()
    for item in dataclasses.fields(Recipe):
        assert f"--{item.name.replace('_', '-')}" in words


def test_every_flag_reaches_the_recipe(
    svertka_call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, Any] = {}

    def record(data: Path, recipe: Any, **named: Any) -> None:
        del data, recipe
        given.update(named)
        raise svertka.UserError("seen")

    monkeypatch.setattr("svertka.cli.train.run_train", record)
    flags = {
        "task": "classification",
        "net": "mlp",
        "epochs": 3,
        "batch": 5,
        "accumulate": 2,
        "optimizer": "adam",
        "lr": 0.5,
        "momentum": 0.5,
        "schedule": "step",
        "warmup": 1.5,
        "step_epochs": 4,
        "step_factor": 0.2,
        "weight_decay": 0.1,
        "l1": 0.2,
        "weight_elimination": 0.3,
        "weight_elimination_scale": 2.0,
        "dropout": 0.4,
        "label_smoothing": 0.1,
        "clip": 1.0,
        "ema": 0.9,
        "early_stop": 2,
        "image_size": 40,
        "channels": 3,
        "val_fraction": 0.25,
        "seed": -3,
        "workers": 1,
        "precision": "bf16",
        "layout": "channels_last",
        "device": "cpu",
        "threads": 1,
        "save_every": 0.0,
        "weights": "some.safetensors",
        "head": "svm",
        "freeze": "c3",
        "engine": "pytorch",
        "balance": "weights",
        "lr_decay": 0.5,
        "budget": 90.0,
        "group": "person",
        "split": "split.csv",
        "folds": 5,
        "format": "folders",
        "fold": 2,
        "reject": 0.01,
        "trunk": "resnet18",
        "border": True,
    }
    words = [
        word
        for name, value in flags.items()
        for word in (f"--{name.replace('_', '-')}", *([] if value is True else [value]))
    ]
    command = ("train", tmp_path, *words, "--augment", "flip", "crop", "--net-options.hidden", "8,4")
    command = (*command, "--views", "identity", "flip", "--taps", "c3", "c5", "--loss", "dice", "focal")
    assert svertka_call(*command).err == "svertka: seen\n"
    assert {name: given[name] for name in flags} == flags
    assert all(type(given[name]) is type(value) for name, value in flags.items())
    assert (given["augment"], given["views"], given["taps"]) == (("flip", "crop"), ("identity", "flip"), ("c3", "c5"))
    assert given["loss"] == ("dice", "focal")
    assert given["net_options"] == {"hidden": [8, 4]}
    assert {item.name for item in dataclasses.fields(Recipe)} <= given.keys()


# --- evaluate -----------------------------------------------------------------------------------------------------


def test_evaluate_agrees_with_predictions_one_by_one(
    trained: tuple[Path, Any], digits: Path, svertka_call: Callable[..., Any]
) -> None:
    said = svertka_call("evaluate", trained[0], digits, "--part", "train", "--json").json
    evaluated = svertka_call("evaluate", trained[0], digits, "--json")
    assert evaluated.err == ""
    assert {"metrics", "per_class", "confusion", "skipped"} <= evaluated.json.keys()
    truth = [path.parent.name for path in files(digits)]
    guess = best(svertka_call("predict", trained[0], *files(digits), "--json").json)
    both = np.array(said["confusion"]) + np.array(evaluated.json["confusion"])
    assert both.tolist() == confusion_matrix(truth, guess, labels=CLASSES).tolist()
    share = (
        said["images"] * said["metrics"]["accuracy"] + evaluated.json["images"] * evaluated.json["metrics"]["accuracy"]
    )
    assert share / 200 == pytest.approx(accuracy_score(truth, guess))


def test_evaluating_the_training_folder_uses_only_what_was_held_out(
    trained: tuple[Path, Any], digits: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run, answer = trained
    said = svertka_call("evaluate", run, digits, "--json").json
    assert (said["judged_on"], said["images"]) == ("val", 40)
    assert said["metrics"] == pytest.approx(answer.json["metrics"], rel=1e-5)
    # Elsewhere and under other names it is the same data; with one image more it is not, and nothing is held out.
    copy = Path(shutil.copytree(digits, tmp_path / "copy"))
    first = files(copy)[0]
    first.rename(first.with_name("renamed.png"))
    assert svertka_call("evaluate", run, copy, "--json").json["metrics"] == pytest.approx(said["metrics"])
    Image.new("L", (8, 8), 200).save(copy / "1" / "new.png")
    other = svertka_call("evaluate", run, copy, "--json").json
    assert (other["judged_on"], other["images"]) == ("all", 201)


def test_per_class_is_what_its_names_say(
    trained: tuple[Path, Any], digits: Path, svertka_call: Callable[..., Any]
) -> None:
    said = svertka_call("evaluate", trained[0], digits, "--json").json
    confusion = np.array(said["confusion"])
    assert said["classes"] == CLASSES
    for number, row in enumerate(said["per_class"]):
        assert row["class"] == CLASSES[number]
        assert row["support"] == confusion[number].sum()
        assert row["missed"] == row["support"] - confusion[number, number]
        assert row["false_alarms"] == confusion[:, number].sum() - confusion[number, number]
        assert row["recall"] == pytest.approx(confusion[number, number] / row["support"])


def test_classes_are_matched_by_name_when_some_are_missing(
    trained: tuple[Path, Any], digits: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    for name in ("9", "3"):
        shutil.copytree(digits / name, tmp_path / "some" / name)
    said = svertka_call("evaluate", trained[0], tmp_path / "some", "--json").json
    truth = [path.parent.name for path in files(tmp_path / "some")]
    guess = best(svertka_call("predict", trained[0], *files(tmp_path / "some"), "--json").json)
    assert said["metrics"]["accuracy"] == pytest.approx(accuracy_score(truth, guess))
    assert said["metrics"]["accuracy"] > 0.8
    assert said["metrics"]["macro_f1"] == pytest.approx(f1_score(truth, guess, average="macro"))
    assert [row["support"] for row in said["per_class"]] == [0, 0, 0, 20, 0, 0, 0, 0, 0, 20]


def test_folders_2_and_10_and_a_validation_folder_that_lacks_a_class_score_right(
    digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    # In the order of text 10 stands before 2; without 2 in val, every number behind it would be one too low.
    data = tmp_path / "data"
    for number, name in enumerate(("1", "2", "10", "33")):
        images = sorted((digits / str(number)).iterdir())
        for part, chosen in (("train", images[:14]), ("val", images[14:])):
            if (part, name) != ("val", "2"):
                (data / part / name).mkdir(parents=True)
                for image in chosen:
                    shutil.copy(image, data / part / name)
    recipe = ("--epochs", 12, "--batch", 8, "--lr", 0.006, "--augment", "none", "--seed", 1)
    answer = svertka_call("train", data, "--out", tmp_path / "run", *recipe, *plain, "--json")
    assert answer.json["judged_on"] == "val"
    assert answer.json["metrics"]["accuracy"] == 1
    assert answer.json["metrics"]["macro_f1"] == 1
    said = svertka_call("evaluate", tmp_path / "run", data, "--json").json
    assert said["classes"] == ["1", "2", "10", "33"]
    assert said["judged_on"] == "val"
    assert said["metrics"] == pytest.approx(answer.json["metrics"], rel=1e-5)
    assert np.diag(said["confusion"]).tolist() == [6, 0, 6, 6]
    only = svertka_call("evaluate", tmp_path / "run", data / "val", "--json").json
    assert only["metrics"]["accuracy"] == 1


# --- predict ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(trained: tuple[Path, Any], svertka_call: Callable[..., Any], tmp_path_factory: Any) -> tuple[Path, Any]:
    path = tmp_path_factory.mktemp("exported") / "digits.onnx"
    return path, svertka_call("export", trained[0], "--out", path, "--json")


@pytest.mark.parametrize("engine", ["pytorch", "onnx"])
def test_predictions_come_in_the_order_of_the_input(
    engine: str,
    trained: tuple[Path, Any],
    exported: tuple[Path, Any],
    digits: Path,
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    model = trained[0] if engine == "pytorch" else exported[0]
    broken, absent = tmp_path / "broken.png", tmp_path / "absent.png"
    broken.write_bytes(b"\x89PNG no more")
    images = files(digits, 2)[::-1]
    given = [images[0], broken, *images[1:], absent]
    answer = svertka_call("predict", model, *given, "--json")
    assert answer.status == 1
    assert answer.err == ""
    assert [entry["file"] for entry in answer.json] == [str(path) for path in given]
    for path, entry in zip(given, answer.json, strict=True):
        if path in (broken, absent):
            assert entry.keys() == {"file", "error"}
            assert entry["error"]
            continue
        assert entry.keys() == {"file", "classes"}
        assert sorted(item["name"] for item in entry["classes"]) == CLASSES
        scores = [item["score"] for item in entry["classes"]]
        assert scores == sorted(scores, reverse=True)
        assert sum(scores) == pytest.approx(1)
    assert svertka_call("predict", model, *images, "--json").status == 0


def test_the_file_that_ships_predicts_what_training_had(
    trained: tuple[Path, Any], exported: tuple[Path, Any], digits: Path, svertka_call: Callable[..., Any]
) -> None:
    ours, theirs = (svertka_call("predict", model, digits, "--json").json for model in (trained[0], exported[0]))
    assert [entry["file"] for entry in ours] == [str(path) for path in files(digits)]
    for one, other in zip(ours, theirs, strict=True):
        assert one["file"] == other["file"]
        scores = {item["name"]: item["score"] for item in other["classes"]}
        assert {item["name"]: item["score"] for item in one["classes"]} == pytest.approx(scores, abs=1e-5)


def test_an_image_given_twice_is_answered_twice(
    trained: tuple[Path, Any], digits: Path, svertka_call: Callable[..., Any]
) -> None:
    image = files(digits)[0]
    said = svertka_call("predict", trained[0], image, image, "--json").json
    assert said[0] == said[1]


# --- export, verify, nets, check ----------------------------------------------------------------------------------


def test_export_says_what_it_wrote(exported: tuple[Path, Any]) -> None:
    path, answer = exported
    assert answer.status == 0
    assert answer.err == ""
    assert answer.json["model"] == str(path)
    assert answer.json["format"] == "onnx"
    assert answer.json["bytes"] == path.stat().st_size
    assert 0 <= answer.json["max_abs_diff"] <= 1e-5


def test_verify_proves_every_engine(
    trained: tuple[Path, Any], exported: tuple[Path, Any], svertka_call: Callable[..., Any]
) -> None:
    answer = svertka_call("verify", trained[0], "--json")
    assert (answer.status, answer.err) == (0, "")
    assert answer.json["ok"] is True
    found = {engine["name"]: engine["max_abs_diff"] for engine in answer.json["engines"]}
    assert {"pytorch", "onnxruntime"} <= found.keys()
    assert all(difference <= 1e-5 for difference in found.values())
    answer = svertka_call("verify", exported[0], "--json")
    assert answer.json["ok"] is True
    assert "onnxruntime" in {engine["name"] for engine in answer.json["engines"]}


def test_nets_lists_records(svertka_call: Callable[..., Any]) -> None:
    answer = svertka_call("nets", "--json")
    assert (answer.status, answer.err) == (0, "")
    by_name = {net["name"]: net for net in answer.json}
    assert {"perceptron", "mlp", "lenet5"} <= by_name.keys()
    assert by_name["lenet5"]["parameters"] == 61_706
    assert [net["year"] for net in answer.json] == sorted(net["year"] for net in answer.json)
    one = svertka_call("nets", "lenet5", "--json").json
    assert [net["name"] for net in one] == ["lenet5"]
    assert [stage["name"] for stage in one[0]["stages"]] == ["c1", "c3", "c5", "head"]
    assert sum(stage["parameters"] for stage in one[0]["stages"]) == 61_706


def test_nets_lists_what_a_choice_needs(svertka_call: Callable[..., Any]) -> None:
    nets = svertka_call("nets", "--json").json
    assert len(nets) >= 45
    resnet = next(net for net in nets if net["name"] == "resnet50")
    assert resnet["macs"] == 4_089_184_256
    assert resnet["top1"] == 0.80858
    assert [weights["name"] for weights in resnet["weights"]] == ["imagenet1k_v1", "imagenet1k_v2"]
    *table, blank, families = svertka_call("nets").out.splitlines()
    assert len(table) == len(nets) + 1
    assert blank == ""
    assert families.startswith("timm/NAME: ")
    assert max(len(line) for line in table) <= 120
    (line,) = (line for line in table if line.startswith("resnet50 "))
    assert line.split()[:5] == ["resnet50", "classes", "2015", "25,557,032", "4.1"]
    assert line.split()[-4:] == ["80.9", "%", "imagenet1k_v1…", "unspecified"]
    (line,) = (line for line in table if line.startswith("vgg16 "))
    assert line.split()[-2:] == ["imagenet1k_v1…", "unspecified…"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet20_cifar", "top1 91.8 % on CIFAR-10's test images"),
        ("mobilenet_025", "no accuracy is published on Visual Wake Words"),
        ("vgg16", "top1 71.3 %, top5 90.1 % on ImageNet's validation images"),
    ],
)
def test_an_accuracy_is_of_its_data_set(svertka_call: Callable[..., Any], name: str, said: str) -> None:
    assert f"  {said}\n" in svertka_call("nets", name).out
    (net,) = svertka_call("nets", name, "--json").json
    assert net["top1"] == (0.71592 if name == "vgg16" else None)  # the column compares networks on ImageNet


@pytest.mark.parametrize(
    ("words", "holds"),
    [
        (("--since", "2017"), lambda net: net["year"] >= 2017),
        (("--max-parameters", "5M"), lambda net: net["parameters"] <= 5e6),
        (("--max-macs", "0.6G"), lambda net: net["macs"] <= 6e8),
        (("--with-weights",), lambda net: net["weights"]),
        (("resnet",), lambda net: "resnet" in net["name"]),
    ],
)
def test_nets_lists_some(svertka_call: Callable[..., Any], words: tuple[str, ...], holds: Callable[..., bool]) -> None:
    everything = svertka_call("nets", "--json").json
    some = svertka_call("nets", *words, "--json").json
    assert some == [net for net in everything if holds(net)]
    assert 0 < len(some) < len(everything)


def test_nets_are_sorted(svertka_call: Callable[..., Any]) -> None:
    for column, key in (("parameters", "parameters"), ("memory", "activation_bytes"), ("name", "name")):
        values = [net[key] for net in svertka_call("nets", "--sort", column, "--json").json]
        assert values == sorted(values)
    best = [net["top1"] or 0 for net in svertka_call("nets", "--sort", "top1", "--json").json]
    assert best == sorted(best, reverse=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sort", "parameter"), "did you mean parameters?"),
        (("resnett50",), "unknown network 'resnett50'; did you mean resnet50"),
        (("--max-macs", "much"), "no amount such as"),
        (("--svg", "x.svg"), "name it: svertka nets NAME"),
        (("resnet", "--image-size", "64"), "name it: svertka nets NAME"),
        (("lenet5", "--image-size", "4"), "lenet5 takes images from"),
        (("unet_2015", "--image-size", "301"), "unet_2015 takes images of 188×188 and 16 pixels more"),
        (("lenet5", "--svg", "nowhere/x.svg"), "nowhere/x.svg: cannot be written"),
    ],
    ids=str,
)
def test_nets_says_what_is_wrong(svertka_call: Callable[..., Any], words: tuple[str, ...], said: str) -> None:
    answer = svertka_call("nets", *words)
    assert (answer.status, answer.out) == (2, "")
    assert said in answer.err


def test_nets_takes_one_apart(svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    (net,) = svertka_call("nets", "vgg16", "--json").json
    conv2 = next(stage for stage in net["stages"] if stage["name"] == "conv2")
    assert conv2 == {
        "name": "conv2",
        "shape": [128, 112, 112],
        "stride": 2,
        "receptive_field": 14,
        "depth": 2,
        "parameters": 221_440,
        "macs": 2_774_532_096,
        "activation_bytes": 4 * 4 * 128 * 112 * 112,
    }
    assert sum(stage["macs"] for stage in net["stages"]) == net["macs"]
    assert [len(entry["findings"]) for entry in net["audit"]] == [5, 1, 0, 1]
    picture = tmp_path / "vgg16.svg"
    text = svertka_call("nets", "vgg16", "--svg", picture).out
    assert "1. no sharp representational bottleneck: departs\n   pool1: keeps 0.25" in text
    assert "3. spatial convolutions are factorised: kept" in text
    assert "licence unspecified: torchvision" in text
    assert "138,357,544 parameters · 15.5 G MACs" in picture.read_text()


def test_nets_measures_at_another_size(svertka_call: Callable[..., Any]) -> None:
    (net,) = svertka_call("nets", "resnet18", "--image-size", "64", "--json").json
    assert net["measured_at"] == 64
    assert [stage["shape"] for stage in net["stages"]][:2] == [[64, 32, 32], [64, 16, 16]]


def test_the_ledger_is_printed(svertka_call: Callable[..., Any]) -> None:
    lines = {line["name"]: line for line in svertka_call("nets", "--ledger", "--json").json}
    assert len(lines) >= 45
    assert lines["resnet50"]["torch"] == 25_557_032
    assert lines["resnet50"]["keras"] == lines["resnet50"]["lecture"] == 25_636_712
    assert lines["lenet5"]["lecture"] is None
    assert "a bias in every convolution" in svertka_call("nets", "--ledger").out


def test_check_counts_and_finds_copies(
    digits: Path, few_digits: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    answer = svertka_call("check", digits, "--json")
    assert (answer.status, answer.err) == (0, "")
    assert answer.json["ok"] is True
    assert answer.json["parts"] == {"all": dict.fromkeys(CLASSES, 20)}
    copy = Path(shutil.copytree(few_digits, tmp_path / "copy"))
    shutil.copy(files(copy)[0], copy / "7" / "copy.png")
    answer = svertka_call("check", copy, "--json")
    assert answer.status == 1
    assert [[entry["class"] for entry in group] for group in answer.json["duplicates"]] == [["0", "7"]]


# --- all ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["nets", "verify", "predict", "evaluate", "check", "export"])
def test_text_for_people_is_not_empty_and_not_json(
    command: str,
    trained: tuple[Path, Any],
    digits: Path,
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    rest = {
        "nets": (),
        "verify": (trained[0],),
        "predict": (trained[0], digits),
        "evaluate": (trained[0], digits),
        "check": (digits,),
        "export": (trained[0], "--out", tmp_path / "model.onnx"),
    }[command]
    answer = svertka_call(command, *rest)
    assert answer.status == 0
    assert answer.out.strip()
    assert not answer.out.lstrip().startswith(("{", "["))


def test_help_imports_no_torch() -> None:
    code = (
        "import sys, svertka.cli\n"
        "for words in (['--help'], ['train', '--help'], ['nets'], ['nets', '--json'], ['predict', '--help']):\n"
        "    assert svertka.cli.run(words) == 0\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split() == ["False"]


def test_the_python_api_says_the_same(
    few_digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    recipe = Recipe(
        net="perceptron", epochs=2, augment=(), precision="fp32", layout="channels_first", device="cpu", threads=1
    )
    trained = svertka.train(few_digits, recipe, out=tmp_path / "api", progress=False)
    answer = svertka_call("train", few_digits, "--out", tmp_path / "cli", *QUICK, *plain, "--json")
    assert trained.model.read_bytes() == Path(answer.json["model"]).read_bytes()
    assert trained.to_json()["metrics"] == answer.json["metrics"]
    evaluated = svertka.evaluate(trained.model, few_digits, progress=False)
    assert evaluated.to_json() == svertka_call("evaluate", trained.model, few_digits, "--json").json
    assert svertka.list_nets() == svertka_call("nets", "--json").json
    assert svertka.list_nets("lenet5") == svertka_call("nets", "lenet5", "--json").json


def test_the_demo_is_the_whole_way(
    svertka_call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from svertka.commands.demo import command as demo

    short = demo.DEMO_RECIPE.changed(
        {"epochs": 8, "precision": "fp32", "layout": "channels_first", "device": "cpu", "threads": 1}
    )
    monkeypatch.setattr(demo, "DEMO_RECIPE", short)
    answer = svertka_call("demo", "--out", tmp_path / "demo", "--json")
    assert answer.status == 0, answer.err
    said = answer.json
    assert said["train"]["judged_on"] == "test"
    # Over seeds 0 to 5, with AVX2, AVX-512, AMX and none of them: 0.983 ± 0.008; this is four deviations below.
    assert said["train"]["metrics"]["accuracy"] >= 0.95
    assert said["verify"]["ok"] is True
    assert [Path(entry["file"]).parent.name for entry in said["predict"]] == ["3", "5", "8"]
    assert sum(name == wanted for name, wanted in zip(best(said["predict"]), "358", strict=True)) >= 2
    assert len(list((tmp_path / "demo" / "digits").rglob("*.png"))) == 1797
    assert Path(said["export"]["model"]).is_file()
    assert Path(said["train"]["report"]).is_file()


def test_a_task_may_choose_what_is_in_a_batch(
    few_digits: Path,
    plain: tuple[str, ...],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[list[int]] = []
    losses = Classification.losses

    def looking(task: Classification, output: Any, targets: Any) -> Any:
        seen.append(targets.tolist())
        return losses(task, output, targets)

    def five_classes(task: Classification, targets: Any, *, batch: int, seed: int) -> PerClass:
        del task
        return PerClass(targets, 5, batch // 5, seed)

    monkeypatch.setattr(Classification, "losses", looking)
    monkeypatch.setattr(Classification, "sampler", five_classes)
    command = ("train", few_digits, "--net", "lenet5", "--epochs", 1, "--batch", 10, *plain)
    assert svertka_call(*command, "--out", tmp_path / "run").status == 0
    # 40 images to learn from.
    assert [len(set(batch)) for batch in seen] == [5] * 4
    monkeypatch.setattr(Classification, "sampler", lambda *_, **__: PerClass(np.arange(3), 4, 2))
    refused = svertka_call(*command, "--out", tmp_path / "other")
    assert refused.status == 2
    assert "a batch is to have 4 classes, and there are 3" in refused.err
