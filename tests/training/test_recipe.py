"""The recipe: what may stand in it, and that TOML brings it back."""

from __future__ import annotations

import dataclasses
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from svertka.errors import UserError
from svertka.training.recipe import Recipe
from svertka.training.sections import SECTIONS

OTHER: dict[str, Any] = {
    "task": "segmentation",
    "net": "mlp",
    "net_options": {"hidden": [256, 12], "activation": "elu", "pieces": 3},
    "epochs": 7,
    "batch": 3,
    "accumulate": 2,
    "optimizer": "nesterov",
    "lr": 1 / 3,
    "momentum": 0.87,
    "schedule": "cosine",
    "warmup": 0.25,
    "step_epochs": 9,
    "step_factor": 0.1,
    "weight_decay": 1e-05,
    "l1": 1e-7,
    "weight_elimination": 0.25,
    "weight_elimination_scale": 2.5,
    "dropout": 0.125,
    "label_smoothing": 0.1,
    "clip": 1.5,
    "ema": 0.99,
    "early_stop": 3,
    "augment": ("affine", "flip"),
    "format": "voc",
    "image_size": 48,
    "channels": 3,
    "val_fraction": 0.15,
    "seed": -5,
    "workers": 2,
    "precision": "bf16",
    "layout": "channels_last",
    "device": "cpu",
    "threads": 1,
    "save_every": 0.5,
    "weights": "some/weights.safetensors",
    "head": "kernel_svm",
    "taps": ("c3", "c5"),
    "freeze": "c3",
    "views": ("identity", "flip"),
    "engine": "onnxruntime",
    "balance": "weights",
    "reject": 0.02,
    "budget": 90.0,
    "lr_decay": 0.7,
    "trunk": "vgg16",
    "loss": ("focal", "dice"),
    "border": True,
    "group": "(person[0-9]+)_",
    "split": "split.csv",
    "folds": 5,
    "fold": 2,
}


def read(tmp_path: Path, text: str) -> Recipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return Recipe.from_toml(path)


def test_every_field_is_tried_below() -> None:
    fields = {item.name: getattr(Recipe(), item.name) for item in dataclasses.fields(Recipe)}
    assert OTHER.keys() == fields.keys()
    assert [name for name, value in OTHER.items() if fields[name] == value] == []


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(**OTHER)], ids=["plain", "other"])
def test_toml_brings_it_back(recipe: Recipe, tmp_path: Path) -> None:
    again = read(tmp_path, recipe.to_toml())
    assert again == recipe
    assert again.to_toml() == recipe.to_toml()


@pytest.mark.parametrize("name", OTHER)
def test_each_field_alone_comes_back(name: str, tmp_path: Path) -> None:
    recipe = Recipe().changed({name: OTHER[name]})
    assert read(tmp_path, recipe.to_toml()) == recipe


def test_what_is_not_in_the_file_has_its_default(tmp_path: Path) -> None:
    assert read(tmp_path, "epochs = 3") == Recipe(epochs=3)
    assert read(tmp_path, "") == Recipe()


def test_changed_leaves_the_original(tmp_path: Path) -> None:
    del tmp_path
    recipe = Recipe(epochs=3)
    assert recipe.changed({"batch": 5, "lr": 0.5}) == Recipe(epochs=3, batch=5, lr=0.5)
    assert recipe == Recipe(epochs=3)
    assert recipe.changed({}) == recipe


def test_an_unknown_field_suggests_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no field 'epoch'; did you mean epochs"):
        Recipe().changed({"epoch": 3})
    with pytest.raises(UserError, match=r"recipe.toml: a recipe has no field 'optimiser'; did you mean optimizer"):
        read(tmp_path, 'optimiser = "sgd"')


def test_none_means_no_augmentation() -> None:
    assert Recipe(augment=("none",)).augment == ()
    assert Recipe(augment=["crop", "flip"]).augment == ("crop", "flip")


def test_whole_numbers_may_be_written_with_a_point(tmp_path: Path) -> None:
    recipe = read(tmp_path, "epochs = 3.0\nbatch = 1e2")
    assert (recipe.epochs, recipe.batch) == (3, 100)
    assert isinstance(recipe.epochs, int)
    assert isinstance(recipe.batch, int)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("epochs", 0, "at least 1"),
        ("epochs", 2.5, "whole"),
        ("epochs", "many", "number"),
        ("epochs", True, "number"),
        ("epochs", None, "number"),
        ("batch", -1, "at least 1"),
        ("accumulate", 0, "at least 1"),
        ("lr", 0, "at least"),
        ("lr", float("nan"), "number"),
        ("lr", float("inf"), "number"),
        ("momentum", 1.5, "between 0 and 1"),
        ("warmup", -1, "at least 0"),
        ("step_epochs", 0, "at least 1"),
        ("step_factor", 2, "between 0 and 1"),
        ("weight_decay", -0.1, "at least 0"),
        ("weight_elimination_scale", 0, "at least"),
        ("dropout", 1, "between 0 and 0.999"),
        ("label_smoothing", 1, "between"),
        ("clip", -1, "at least 0"),
        ("ema", 1, "between"),
        ("early_stop", -1, "at least 0"),
        ("early_stop", 1.5, "whole"),
        ("format", 3, "the name of a format"),
        ("image_size", 0, "between 1"),
        ("image_size", 32.5, "whole"),
        ("channels", 0, "between 1 and 3"),
        ("channels", 4, "between 1 and 3"),
        ("val_fraction", 1, "between 0 and 0.9"),
        ("seed", 0.5, "whole"),
        ("workers", -1, "between"),
        ("threads", 1.5, "whole"),
        ("save_every", -1, "at least 0"),
        ("weights", 7, "a name or a path"),
        ("head", "nose", "one of"),
        ("taps", (), "a list of names, at least one"),
        ("views", [3], "a list of names, at least one"),
        ("freeze", 3, "the name of a stage"),
        ("loss", ["square"], "cross_entropy"),
        ("border", "yes", "true or false"),
        ("trunk", 3, "the name of a network"),
        ("engine", "steam", "one of"),
        ("balance", "scales", "one of"),
        ("budget", -1, "at least 0"),
        ("lr_decay", 0, "between 0.01 and 1"),
        ("optimizer", "adma", "one of sgd"),
        ("schedule", "cosinus", "one of constant"),
        ("precision", "fp8", "one of auto"),
        ("layout", "nhwc", "one of auto"),
        ("device", "tpu", "one of auto"),
        ("net", 5, "name"),
        ("net_options", "hidden", "table"),
        ("net_options", [1], "table"),
        ("augment", 3, "list"),
        ("augment", ["crop", 3], "list"),
    ],
)
def test_impossible_values_are_refused_by_name(name: str, value: object, wanted: str) -> None:
    with pytest.raises(UserError) as caught:
        Recipe().changed({name: value})
    line = str(caught.value)
    assert line.startswith(name.replace("_", "-"))
    assert wanted in line
    assert "\n" not in line


@pytest.mark.parametrize("text", ["epochs = ", "[", "\x00", "epochs = 3\nepochs = 4", "net = {"])
def test_what_is_no_toml_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a recipe") as caught:
        read(tmp_path, text)
    assert "recipe.toml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        Recipe.from_toml(tmp_path / "absent.toml")
    with pytest.raises(UserError, match="cannot be read"):
        Recipe.from_toml(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b'net = "\xe9"')
    with pytest.raises(UserError, match="cannot be read"):
        Recipe.from_toml(tmp_path / "latin.toml")


def test_the_saved_text_is_plain_toml() -> None:
    values = tomllib.loads(Recipe(**OTHER).to_toml())
    assert list(values) == ["data", "model", "optimiser", "augmentation", "masks", "run"]
    assert values["model"]["net_options"] == OTHER["net_options"]
    assert values["optimiser"]["lr"] == 1 / 3


def test_a_flat_file_of_version_1_means_the_same(tmp_path: Path) -> None:
    tables = tomllib.loads(Recipe(**OTHER).to_toml())
    flat = {name: value for fields in tables.values() for name, value in fields.items()}
    assert read(tmp_path, tomli_w.dumps(flat)) == Recipe(**OTHER)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[optimiser]\nnet = 'mlp'", "net stands in the table [optimiser]; put it into [model]"),
        ("net = 'mlp'\n[model]\nnet = 'mlp'", "net stands there twice; leave it in [model] alone"),
        ("[optimiser]\nepoch = 3", "a recipe has no field 'epoch'; did you mean epochs"),
        ("[model]\nepochs = 3", "epochs stands in the table [model]; put it into [optimiser]"),
        ("[optimizer]\nlr = 0.1", "a recipe has no table [optimizer]; its tables are [data], [model], [optimiser]"),
        ("[[optimiser]]\nlr = 0.1", "a recipe has no table [[optimiser]]; its tables are [data], [model], [optimiser]"),
        ("[nonsense]", "a recipe has no table [nonsense]; its tables are"),
        ("data = 3", "a recipe has no field 'data'"),
    ],
)
def test_what_stands_in_the_wrong_table_is_refused_in_one_line(written: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, written)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_documentation_of_every_field_is_that_of_its_section() -> None:
    for section in SECTIONS.values():
        for item in dataclasses.fields(section):
            assert f"    {item.name}: " in (section.__doc__ or "")
            assert f"    {item.name}: " in (Recipe.__doc__ or "")


def test_whole_numbers_and_fractions_are_written_alike() -> None:
    assert Recipe(lr=1, save_every=0).to_toml() == Recipe(lr=1.0, save_every=0.0).to_toml()
