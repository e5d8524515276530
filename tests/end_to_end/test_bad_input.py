"""Whatever is given: one clear line, exit status 2, no traceback, nothing half-written."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch
from PIL import Image

RECIPE = ("--net", "perceptron", "--epochs", 1, "--augment", "none")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the run would be; beside it nothing may appear either."""
    return tmp_path / "runs" / "run"


@pytest.fixture
def refused(svertka_call: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Gives a command that must be refused in one line with these words, and leave no trace. Returns the line."""

    def check(command: tuple[Any, ...], *words: str) -> str:
        before = snapshot(tmp_path)
        with monkeypatch.context() as patch:
            patch.chdir(tmp_path)
            answer = svertka_call(*command)
        assert answer.status == 2
        assert answer.out == ""
        assert answer.err.startswith("svertka: ")
        assert answer.err.count("\n") == 1
        assert answer.err.endswith("\n")
        assert "Traceback" not in answer.err
        for word in words:
            assert word in answer.err
        assert snapshot(tmp_path) == before
        return str(answer.err)

    return check


def snapshot(folder: Path) -> dict[str, bytes | None]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def picture(path: Path, grey: int = 100, side: int = 8) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (side, side), grey).save(path)
    return path


def two_classes(folder: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(4):
            picture(folder / name / f"{number}.png", 20 * number + (100 if name == "dog" else 0))
    return folder


# --- data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [("train",), ("check",), ("compare",), ("evaluate", "MODEL")], ids=lambda command: command[0]
)
@pytest.mark.parametrize("data", ["missing", "empty", "file", "hidden", "loose"])
def test_no_data_set(
    data: str, command: tuple[str, ...], refused: Callable[..., str], tiny_model: Path, tmp_path: Path
) -> None:
    path = tmp_path / "data"
    if data == "file":
        path.write_text("hello")
    elif data == "loose":
        picture(path / "1.png")
    elif data == "hidden":
        picture(path / ".cat" / "1.png")
    elif data == "empty":
        path.mkdir()
    named = [tiny_model if word == "MODEL" else word for word in command]
    refused((*named, path, "--json"), str(path), "give a" if data in ("missing", "file") else "no images")


def test_one_class_only(refused: Callable[..., str], out: Path, tmp_path: Path) -> None:
    for number in range(4):
        picture(tmp_path / "data" / "cat" / f"{number}.png", number)
    refused(("train", tmp_path / "data", "--out", out, "--json"), "only one class", "'cat'", str(tmp_path / "data"))


def test_a_class_with_one_image(refused: Callable[..., str], out: Path, tmp_path: Path) -> None:
    data = two_classes(tmp_path / "data")
    picture(data / "emu" / "1.png")
    refused(("train", data, "--out", out, "--json"), "'emu'", "one image")


def test_a_class_with_one_image_is_enough_where_nothing_is_held_out(
    svertka_call: Callable[..., Any], plain: tuple[str, ...], out: Path, tmp_path: Path
) -> None:
    data = two_classes(tmp_path / "data")
    picture(data / "emu" / "1.png")
    answer = svertka_call("train", data, "--out", out, *RECIPE, *plain, "--val-fraction", 0, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["metrics"] == {}
    assert answer.json["judged_on"] is None


def test_all_images_broken(refused: Callable[..., str], out: Path, tmp_path: Path) -> None:
    data = two_classes(tmp_path / "data")
    for number, path in enumerate(sorted(data.rglob("*.png"))):
        path.write_bytes(path.read_bytes()[: 7 * number])
    refused(("train", data, "--out", out, "--json"), "none of the 8 images can be read", str(data), "cat/0.png")


BATCH_NORM = ("--net", "mobilenet_025", "--image-size", 32, "--epochs", 1)  # 1 × 1 in the end, normalised


@pytest.mark.parametrize("test", [(), ("--check-wiring",), ("--find-lr",), ("--folds", 2), ("--budget", "1m")])
def test_a_batch_of_one_image_under_batch_norm(
    test: tuple[Any, ...], refused: Callable[..., str], out: Path, plain: tuple[str, ...], tmp_path: Path
) -> None:
    data = two_classes(tmp_path / "data")
    refused(("train", data, "--out", out, *BATCH_NORM, *plain, *test, "--batch", 1, "--json"), "--batch 2", "BatchNorm")


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_last_batch_of_one_image_under_batch_norm(
    accumulate: int, svertka_call: Callable[..., Any], plain: tuple[str, ...], out: Path, tmp_path: Path
) -> None:
    data = two_classes(tmp_path / "data")
    recipe = (*BATCH_NORM, *plain, "--val-fraction", 0, "--batch", 7, "--accumulate", accumulate)
    answer = svertka_call("train", data, "--out", out, *recipe)
    assert answer.status == 0, answer.err
    assert answer.err.count("the last batch of an epoch has 8 images instead of 1") == 1


def test_no_room_in_shared_memory_for_workers(
    svertka_call: Callable[..., Any], plain: tuple[str, ...], out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = two_classes(tmp_path / "data")
    alone = svertka_call("train", data, "--out", tmp_path / "alone", *RECIPE, *plain, "--json")
    monkeypatch.setattr(
        "svertka.data.batching.workers.os.statvfs", lambda _: SimpleNamespace(f_bavail=1, f_frsize=4096)
    )
    answer = svertka_call("train", data, "--out", out, *RECIPE, *plain, "--workers", 2, "--json")
    assert answer.status == 0, answer.err
    assert answer.err.count("\n") == 1
    assert all(word in answer.err for word in ("/dev/shm", "--workers 0"))
    assert answer.json["metrics"] == alone.json["metrics"]


def test_too_little_memory_to_learn(
    refused: Callable[..., str],
    out: Path,
    plain: tuple[str, ...],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def step(*given: Any) -> None:
        del given
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory")

    data = two_classes(tmp_path / "data")
    monkeypatch.setattr("svertka.tasks.task.Task.step", step)
    monkeypatch.setenv("SVERTKA_CACHE", str(tmp_path_factory.mktemp("cache")))  # nothing was timed before
    auto = [word for word in plain if word not in ("--layout", "channels_first")]  # so that steps are timed first
    refused(("train", data, "--out", out, *RECIPE, *auto, "--json"), "memory", "--batch", "--image-size")


def test_a_class_that_only_validation_has(refused: Callable[..., str], out: Path, tmp_path: Path) -> None:
    two_classes(tmp_path / "data" / "train")
    two_classes(tmp_path / "data" / "val")
    picture(tmp_path / "data" / "val" / "emu" / "1.png")
    refused(("train", tmp_path / "data", "--out", out, "--json"), "val has the class 'emu'")


@pytest.mark.parametrize("text", ["", "file,label\n", "name,kind\na.png,cat\n", "file,label\nabsent.png,cat\n", "\0"])
def test_a_table_without_use(text: str, refused: Callable[..., str], out: Path, tmp_path: Path) -> None:
    table = tmp_path / "labels.csv"
    table.write_text(text)
    refused(("train", table, "--out", out, "--json"), str(table))


@pytest.mark.skipif(sys.platform != "linux", reason="file names that are no UTF-8")
def test_names_that_are_no_utf8_do_no_harm(
    svertka_call: Callable[..., Any], plain: tuple[str, ...], out: Path, tmp_path: Path
) -> None:
    data = tmp_path / os.fsdecode(b"donn\xe9es")
    two_classes(data)
    (data / "cat").rename(data / os.fsdecode(b"caf\xe9"))
    (data / "dog" / os.fsdecode(b"\xff.png")).write_bytes(b"no image")
    answer = svertka_call("train", data, "--out", out, *RECIPE, *plain, "--json")
    assert answer.status == 0, answer.err
    assert len(answer.json["skipped"]) == 1
    assert svertka_call("evaluate", out, data, "--part", "train", "--json").json["classes"] == ["caf\\xe9", "dog"]
    assert svertka_call("check", data, "--json").status == 1
    image = next((data / "dog").glob("1.png"))
    answer = svertka_call("predict", out, image, data / "dog" / os.fsdecode(b"\xff.png"), "--json")
    assert [("error" in item) for item in answer.json] == [False, True]


def test_nothing_held_out_and_something_that_goes_by_it(refused: Callable[..., str], out: Path, tmp_path: Path) -> None:
    command = ("train", two_classes(tmp_path / "data"), "--out", out, *RECIPE, "--val-fraction", 0, "--json")
    refused((*command, "--early-stop", 2), "--early-stop", "nothing is held out")
    refused((*command, "--schedule", "plateau"), "plateau", "nothing is held out")


# --- network and recipe -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--net", "lenet"), ("'lenet'", "did you mean lenet5")),
        (("--net", "reznet50"), ("'reznet50'", "did you mean")),
        (("--net", ""), ("unknown network",)),
        (("--channels", 2), ("2 channels", "1 (grey) or 3 (RGB)")),
        (("--channels", 4), ("channels is 4", "between 1 and 3")),
        (("--net-options.in_channels", 2), ("in_channels", "--channels")),
        (("--net-options.classes", 5), ("classes", "folders")),
        (("--net", "mlp", "--net-options.image_size", 5), ("image_size", "--image-size")),
        (("--net-options.depth", 5), ("lenet5 has no option 'depth'",)),
        (("--net-options.activation", "rellu"), ("'rellu'", "did you mean relu")),
        (("--net-options.pool", "min"), ("'min'", "max")),
        (("--net", "mlp", "--net-options.hidden", "a,b"), ("mlp cannot be built",)),
        (("--net", "mlp", "--net-options.hidden", "-5"), ("mlp cannot be built",)),
        (("--net", "perceptron", "--dropout", 0.5), ("perceptron has no dropout",)),
        (("--image-size", 31), ("from 32×32 on, not 31×31", "--image-size 32")),
        (("--image-size", 0), ("image-size is 0",)),
        (("--epochs", 0), ("epochs is 0", "at least 1")),
        (("--epochs", "many"), ("--epochs", "many")),
        (("--epochs",), ("--epochs",)),
        (("--batch", 2.5), ("--batch", "2.5 is not a whole number")),
        (("--lr", "nan"), ("lr is nan",)),
        (("--lr", -1), ("lr is -1",)),
        (("--optimizer", "adma"), ("--optimizer", "adma", "adam")),
        (("--schedule", "steps"), ("--schedule", "steps", "step")),
        (("--augment", "crop", "flop"), ("unknown augmentation 'flop'", "did you mean flip")),
        (("--device", "tpu"), ("--device", "tpu")),
        (("--learning-rate", 1), ("--learning-rate",)),
        (("--epoch", 1), ("--epoch",)),
        (("-x",), ("-x",)),
        (("surplus",), ("surplus",)),
        (("--recipe", "absent.toml"), ("absent.toml", "cannot be read")),
        (("--freeze", "none"), ("--freeze", "lenet5 begins with random", "give --weights")),
        (("--head", "svm"), ("--head", "leave --head out")),
        (("--views", "identity", "flip"), ("--views",)),
        (("--taps", "last"), ("--taps",)),
        (("--lr-decay", 0.5), ("--lr-decay",)),
        (
            ("--loss", "dice"),
            ("--loss is about networks that predict masks, and lenet5 predicts classes", "give --net"),
        ),
        (("--border",), ("--border is about networks that predict masks",)),
        (("--net", "unet", "--label-smoothing", 0.1), ("--label-smoothing is about", "leave --label-smoothing out")),
        (("--net", "ssd", "--balance", "weights"), ("--balance is about", "classes or masks, and ssd predicts boxes")),
        (("--net", "ssd", "--reject", 0.1), ("--reject is about", "ssd predicts boxes")),
        (("--reject", 0.1), ("--reject is based on", "give --weights")),
        (("--trunk", "vgg16"), ("lenet5 takes no other trunk", "leave --trunk out")),
        (("--net", "unet", "--trunk", "vgg61"), ("unknown network 'vgg61'", "did you mean vgg")),
        (("--net", "unet", "--trunk", "ssd"), ("ssd finds boxes and is no classifier",)),
        (("--net", "unet", "--trunk", "perceptron"), ("a trunk without maps",)),
        (("--engine", "pytorch"), ("--engine", "lenet5 begins with random", "leave --engine out")),
    ],
    ids=lambda value: " ".join(str(word) for word in value)[:40],
)
def test_impossible_flags(
    flags: tuple[Any, ...], words: tuple[str, ...], refused: Callable[..., str], out: Path, tmp_path: Path
) -> None:
    refused(("train", two_classes(tmp_path / "data"), "--out", out, "--json", *flags), *words)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--trunk", "vgg61", "--net", "unet"), "unknown network 'vgg61'"),
        (("--trunk", "perceptron", "--net", "ssd"), "a trunk without maps"),
        (("--trunk", "vgg16"), "lenet5 takes no other trunk"),
        (("--net-options.activation", "rellu"), "'rellu'"),
        (("--dropout", 0.5, "--net", "perceptron"), "perceptron has no dropout"),
        (("--loss", "dice"), "--loss"),
        (("--label-smoothing", 0.1, "--net", "ssd"), "--label-smoothing"),
        (("--reject", 0.1), "--reject"),
        (("--engine", "pytorch"), "--engine"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_what_does_not_suit_the_network_is_known_before_the_data_are_read(
    flags: tuple[Any, ...], words: str, refused: Callable[..., str], out: Path, tmp_path: Path
) -> None:
    refused(("train", tmp_path / "absent", "--out", out, "--json", *flags), words)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_here(refused: Callable[..., str], out: Path, tmp_path: Path) -> None:
    refused(("train", two_classes(tmp_path / "data"), "--out", out, "--device", "cuda", "--json"), "cuda")


@pytest.mark.parametrize(
    "text",
    ["epochs = ", "epoch = 3", "epochs = 'x'", "net = 3", "net_options = 3", "net = 'lenet'"],
)
def test_a_recipe_file_that_cannot_be(text: str, refused: Callable[..., str], out: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    words = ("lenet5",) if "lenet" in text else (str(recipe),)
    refused(("train", two_classes(tmp_path / "data"), "--out", out, "--recipe", recipe, "--json"), *words)


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_a_run_folder_that_exists(kind: str, refused: Callable[..., str], out: Path, tmp_path: Path) -> None:
    out.parent.mkdir()
    if kind == "file":
        out.write_text("years of work")
    else:
        out.mkdir()
        (out / "thesis.txt").write_text("years of work")
    refused(("train", two_classes(tmp_path / "data"), "--out", out, "--json"), str(out), "exists", "--resume")


def test_a_run_folder_below_a_file(refused: Callable[..., str], plain: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("hello")
    command = ("train", two_classes(tmp_path / "data"), "--out", tmp_path / "file" / "run", *RECIPE, *plain, "--json")
    refused(command, str(tmp_path / "file"), "cannot be written")


def test_an_empty_run_folder_is_taken(
    svertka_call: Callable[..., Any], plain: tuple[str, ...], out: Path, tmp_path: Path
) -> None:
    out.mkdir(parents=True)
    data = two_classes(tmp_path / "data")
    assert svertka_call("train", data, "--out", out, *RECIPE, *plain, "--json").status == 0


def test_a_loss_that_is_not_finite(
    svertka_call: Callable[..., Any], plain: tuple[str, ...], out: Path, tmp_path: Path
) -> None:
    data = two_classes(tmp_path / "data")
    command = ("train", data, "--out", out, *RECIPE, *plain, "--json", "--optimizer", "sgd")
    answer = svertka_call(*command, "--lr", 1e38, "--batch", 2)
    assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert re.search(r"step \d+ \(epoch 1\): the loss", answer.err)
    assert not (out / "model.safetensors").exists()


# --- commands -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("trian",), ("trian", "train")),
        (("--nonsense",), ("--nonsense",)),
        (("train",), ("DATA", "svertka train --help")),
        (("nets", "lenet6"), ("'lenet6'", "did you mean lenet5")),
        (("nets", "lenet5", "mlp"), ("mlp",)),
        (("predict",), ("MODEL",)),
        (("evaluate", "MODEL"), ("DATA",)),
        (("predict", "MODEL"), ("no image was given",)),
        (("export", "MODEL", "--format", "tflite"), ("tflite", "onnx")),
        (("evaluate", "MODEL", ".", "--part", "tset"), ("tset", "test")),
        (("verify", "MODEL", "--tolerance", "1"), ("--tolerance",)),
        (("predict", "absent.onnx", "a.png"), ("absent.onnx", "no such model")),
        (("evaluate", "absent", "."), ("absent", "no such model")),
        (("verify", "absent.safetensors"), ("absent.safetensors", "no such model")),
        (("export", "absent.safetensors"), ("absent.safetensors", "no such model")),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_impossible_commands(
    command: tuple[str, ...], words: tuple[str, ...], refused: Callable[..., str], tiny_model: Path
) -> None:
    refused(tuple(tiny_model if word == "MODEL" else word for word in command), *words)


def test_an_existing_demo_folder(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    refused(("demo", "--out", tmp_path / "demo", "--json"), "exists", "--out")


def test_evaluating_a_class_that_the_model_does_not_know(
    refused: Callable[..., str], tiny_model: Path, tmp_path: Path
) -> None:
    data = two_classes(tmp_path / "data")
    picture(data / "emu" / "1.png")
    refused(("evaluate", tiny_model, data, "--json"), "'emu'", "cat, dog, hippopotamus")


def test_evaluating_a_part_that_is_not_there(refused: Callable[..., str], tiny_model: Path, tmp_path: Path) -> None:
    refused(("evaluate", tiny_model, two_classes(tmp_path / "data"), "--part", "test", "--json"), "'test'", "all")


# --- model files --------------------------------------------------------------------------------------------------


def with_card(model: Path, path: Path, change: Callable[[dict[str, Any]], None], *, seal: bool = True) -> Path:
    """A copy of a model file with another card, and a digest that fits it."""
    data = model.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    card = json.loads(header["__metadata__"]["svertka.card"])
    change(card)
    text = json.dumps(card)
    header["__metadata__"]["svertka.card"] = text
    if seal:
        header["__metadata__"]["svertka.card.sha256"] = hashlib.sha256(text.encode()).hexdigest()
    encoded = json.dumps(header).encode()
    path.write_bytes(len(encoded).to_bytes(8, "little") + encoded + data[8 + length :])
    return path


def broken_models(model: Path, onnx: Path, folder: Path) -> Iterator[tuple[Path, tuple[str, ...]]]:
    """Models that cannot be used, and words that the refusal has."""
    data = model.read_bytes()
    for size in (0, 5, 8, 100, len(data) // 2, len(data) - 1):
        path = folder / f"cut{size}.safetensors"
        path.write_bytes(data[:size])
        yield path, ("not a readable model file",)
    path = folder / "long.safetensors"
    path.write_bytes(data + b"x")
    yield path, ("not a readable model file",)
    flipped = bytearray(data)
    flipped[-1] ^= 1
    path = folder / "flipped.safetensors"
    path.write_bytes(flipped)
    yield path, ("its weights are not those its card was written for",)
    yield (
        with_card(model, folder / "v3.safetensors", lambda card: card.update(version=3)),
        ("version 3", "versions 1 and 2"),
    )
    yield (
        with_card(model, folder / "altered.safetensors", lambda card: card.update(licence="MIT"), seal=False),
        ("altered",),
    )
    yield with_card(model, folder / "unknown.safetensors", lambda card: card.update(net="lenet")), ("'lenet'",)
    yield with_card(model, folder / "other.safetensors", lambda card: card.update(net="lenet5")), ("lenet5",)
    yield with_card(model, folder / "less.safetensors", lambda card: card.pop("output")), ("damaged",)
    plain = folder / "plain.safetensors"
    safetensors.torch.save_file({"weight": torch.zeros(3)}, plain)
    yield plain, ("no card",)
    text = folder / "text.safetensors"
    text.write_text("hello")
    yield text, ("not a readable model file",)
    for name in ("model.pt", "pickle.safetensors", "pickle.pth"):
        torch.save({"weight": torch.zeros(3)}, folder / name)
        yield folder / name, ("pickle",)
    old = folder / "old.safetensors"
    torch.save({"weight": torch.zeros(3)}, old, _use_new_zipfile_serialization=False)
    yield old, ("pickle",)
    graph = onnx.read_bytes()
    for size in (0, 50, len(graph) // 2):
        path = folder / f"cut{size}.onnx"
        path.write_bytes(graph[:size])
        yield path, ("not a readable ONNX model",)
    (folder / "empty").mkdir()
    yield folder / "empty", ("a folder without model.safetensors",)


def test_models_that_cannot_be_used(
    tiny_model: Path, tiny_onnx: Path, refused: Callable[..., str], tmp_path: Path
) -> None:
    image = picture(tmp_path / "a.png")
    data = two_classes(tmp_path / "data")
    for model, words in list(broken_models(tiny_model, tiny_onnx, tmp_path)):
        commands = [("predict", model, image), ("evaluate", model, data), ("verify", model)]
        if model.suffix != ".onnx":
            commands.append(("export", model))
        for command in commands:
            refused((*command, "--json"), model.name, *words)


def test_only_a_safetensors_model_is_exported(tiny_onnx: Path, refused: Callable[..., str]) -> None:
    refused(("export", tiny_onnx, "--json"), str(tiny_onnx), ".safetensors")


def test_a_golden_output_that_is_not_reproduced_is_status_one(
    tiny_model: Path, svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    def change(card: dict[str, Any]) -> None:
        card["golden"][0]["outputs"]["logits"]["base64"] = "AAAAAAAAAAAAAAAA"  # three zeros

    answer = svertka_call("verify", with_card(tiny_model, tmp_path / "wrong.safetensors", change), "--json")
    assert answer.status == 1
    assert answer.json["ok"] is False
    assert answer.err == ""
    assert svertka_call("export", tmp_path / "wrong.safetensors", "--json").status == 2
    assert not (tmp_path / "wrong.onnx").exists()


# --- a full disk --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bytes_a_file", "net", "save_every", "file"),
    [
        (400, "perceptron", 1000, "recipe.toml"),
        (60_000, "perceptron", 0, "checkpoint.safetensors"),
        (100_000, "lenet5", 1000, "model.safetensors"),
        (60_000, "perceptron", 1000, "report.html"),
    ],
)
def test_no_room_for_a_file(
    bytes_a_file: int,
    net: str,
    save_every: float,
    file: str,
    digits: Path,
    plain: tuple[str, ...],
    start: Callable[..., Any],
    svertka_call: Callable[..., Any],
    tmp_path: Path,
) -> None:
    # As `ulimit -f` sets it: the largest size of a file, of the image cache too.
    run = tmp_path / "run"
    recipe = ("--net", net, "--epochs", 2, "--augment", "none", *plain, "--save-every", save_every)
    command = ("train", digits, "--out", run, *recipe, "--json")
    environment = {"SVERTKA_CACHE": str(tmp_path / "cache")}
    answer = start(*command, bytes_a_file=bytes_a_file, environment=environment).wait()
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.count("\n") == 1
    assert f"{run / file}: the disk is full" in answer.err
    assert not [path for path in tmp_path.rglob("*") if path.name.endswith(".partial")]
    assert not (run / "run.json").exists()
    assert not (run / file).exists()
    assert run.exists() == (file != "recipe.toml")
    answer = svertka_call(*command, "--resume")
    assert answer.status == 0, answer.err


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or not mount or os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("mounting is not allowed here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk(
    small_disk: Path, digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], tmp_path: Path
) -> None:
    run = small_disk / "run"
    command = ("train", digits, "--out", run, "--epochs", 4, "--augment", "none", "--ema", 0.9, *plain, "--json")
    full = svertka_call(*command, "--save-every", 0)  # two checkpoints and a third that takes the place of one
    assert (full.status, full.out, full.err.count("\n")) == (2, "", 1)
    assert "the disk is full" in full.err
    assert not any(run.glob(".*"))
    # What was saved is whole: where there is room, it goes on to the bits of the run that had room from the start.
    moved, plenty = tmp_path / "moved", tmp_path / "plenty"
    shutil.copytree(run, moved)
    checkpoints = list(moved.glob("checkpoint*"))
    assert checkpoints
    for folder in (moved, plenty):
        answer = svertka_call(*command[:3], folder, *command[4:], "--save-every", 0, "--resume")
        assert answer.status == 0
        assert answer.err == ""
    assert (moved / "model.safetensors").read_bytes() == (plenty / "model.safetensors").read_bytes()


def test_no_room_at_all(
    small_disk: Path, few_digits: Path, plain: tuple[str, ...], svertka_call: Callable[..., Any], trained: Any
) -> None:
    (small_disk / "filler").write_bytes(bytes(1 << 20))
    command = ("train", few_digits, "--out", small_disk / "run", *RECIPE, *plain, "--json")
    for answer in (
        svertka_call(*command),
        svertka_call("export", trained[0], "--out", small_disk / "model.onnx", "--json"),
    ):
        assert (answer.status, answer.out, answer.err.count("\n")) == (2, "", 1)
        assert "the disk is full" in answer.err
        assert [path.name for path in small_disk.iterdir()] == ["filler"]


# --- the same in a process of its own -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [("train", "absent"), ("train", ".", "--epochs", "0"), ("predict", "pickle.safetensors", "a.png"), ("trian",)],
    ids=lambda command: " ".join(command)[:30],
)
def test_in_a_process(command: tuple[str, ...], start: Callable[..., Any], tmp_path: Path) -> None:
    torch.save({}, tmp_path / "pickle.safetensors")
    before = snapshot(tmp_path)
    answer = start(*command, cwd=tmp_path).wait()
    assert answer.status == 2
    assert answer.out == ""
    assert answer.err.startswith("svertka: ")
    assert answer.err.count("\n") == 1
    assert snapshot(tmp_path) == before


def test_debug_shows_the_traceback(start: Callable[..., Any], tmp_path: Path) -> None:
    answer = start("train", "absent", "--debug", cwd=tmp_path).wait()
    assert answer.status not in (0, 2)
    assert "Traceback" in answer.err
    assert "UserError: absent: no such folder" in answer.err


# --- adopt --------------------------------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """The smallest ResNet under torchvision's names, of four classes."""
    from svertka.zoo import registry

    torch.manual_seed(0)
    net = registry.build("resnet18", {"classes": 4})
    names = {".residual": "", ".conv.": ".", ".norm.": ".", "trunk.": ""}
    state = {}
    for name, tensor in net.state_dict().items():
        theirs = name.replace("head.linear", "fc")
        theirs = re.sub(r"conv(\d)\.norm", r"bn\1", theirs)
        theirs = re.sub(r"conv(\d)\.block(\d)", lambda m: f"layer{int(m[1]) - 1}.{int(m[2]) - 1}", theirs)
        theirs = theirs.replace("shortcut.conv", "downsample.0").replace("shortcut.norm", "downsample.1")
        for ours, new in names.items():
            theirs = theirs.replace(ours, new)
        state[theirs] = tensor
    path = tmp_path / "theirs.pth"
    torch.save(state, path)
    return path


def test_the_checkpoint_of_these_tests_would_be_adopted(
    svertka_call: Callable[..., Any], checkpoint: Path, tmp_path: Path
) -> None:
    answer = svertka_call("adopt", checkpoint, "--net", "resnet18", "--json")
    assert answer.status == 0, answer.err
    assert (tmp_path / "theirs.safetensors").is_file()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--net", "resnet34"), ("another network", "is missing", "it fits resnet18")),
        (("--net", "vgg16"), ("the names in it are not those of torchvision", "it fits resnet18")),
        (("--net", "lenet5"), ("nothing can be converted to lenet5",)),
        (("--net", "resnet19"), ("unknown network 'resnet19'", "resnet18")),
        (("--net", "resnet18", "--source", "keras"), ("cannot be converted from 'keras'", "torchvision")),
        (("--net", "resnet18", "--classes", "a,b"), ("2 class names", "4 classes")),
        (("--net", "resnet18", "--classes", "a,b,c,c"), ("3 class names", "4 classes")),
        (("--net", "resnet18", "--classes", "none.txt"), ("none.txt", "class names cannot be read")),
        (("--net", "resnet18", "--image-size", "0"), ("from 1×1 on, not 0×0",)),
        (("--net", "resnet18", "--mean", "0.5", "0.5"), ("2 values of mean for 3 channels",)),
        (("--net", "resnet18", "--std", "0"), ("std above zero",)),
        (("--net", "resnet18", "--out", "model.pt"), ("ends in .safetensors",)),
        (("--net", "resnet18", "--out", "none/model.safetensors"), ("cannot be written",)),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_a_checkpoint_that_does_not_suit(
    given: tuple[str, ...], words: tuple[str, ...], checkpoint: Path, refused: Callable[..., str]
) -> None:
    refused(("adopt", checkpoint, *given, "--json"), *words)


@pytest.mark.parametrize("kind", ["code", "cut", "text", "nothing", "missing", "list"])
def test_a_file_that_is_no_checkpoint(kind: str, checkpoint: Path, refused: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / f"{kind}.pth"
    if kind == "code":
        torch.save({"weight": torch.zeros(3), "run": os.system}, path)
    elif kind == "list":
        torch.save([torch.zeros(3)], path)
    elif kind != "missing":
        path.write_bytes({"cut": checkpoint.read_bytes()[:1000], "text": b"hello", "nothing": b""}[kind])
    word = {"missing": "no such checkpoint", "list": "no tensors by name"}.get(
        kind, "not a checkpoint of tensors alone"
    )
    refused(("adopt", path, "--net", "resnet18", "--json"), path.name, word)


def test_an_input_too_small_for_the_network(refused: Callable[..., str], tmp_path: Path) -> None:
    models = pytest.importorskip("torchvision.models")
    torch.save(models.squeezenet1_1(weights=None, num_classes=2).state_dict(), tmp_path / "s.pth")
    refused(("adopt", tmp_path / "s.pth", "--image-size", 16, "--json"), "from 17×17 on, not 16×16", "--image-size 224")
