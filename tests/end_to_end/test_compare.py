"""``svertka compare`` on real images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import svertka
from svertka.tasks.intervals import wilson

CLASSICAL = ["SVM", "random forest", "nearest neighbours"]


@pytest.fixture(scope="module")
def compared(
    digits: Path,
    trained: tuple[Path, Any],
    svertka_call: Callable[..., Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Any]:
    """Where all ways were compared on 200 digits, and what was said."""
    out = tmp_path_factory.mktemp("compared") / "out"
    ways = ("--weights", trained[0], "--net", "perceptron", "--budget", 2)
    answer = svertka_call("compare", digits, *ways, "--out", out, "--json")
    assert (answer.status, answer.err) == (0, "")
    return out, answer.json


def test_every_way_is_measured_on_the_same_images(compared: tuple[Path, Any], trained: tuple[Path, Any]) -> None:
    said = compared[1]
    name = trained[0].name
    networks = [f"{name}, frozen, linear head", f"{name}, fine-tuned", "perceptron, from scratch"]
    tried = [way["name"] for way in said["ways"]]
    # Fine-tuning is left out where it made validation worse; every other way has its line.
    assert {item["name"] for item in said["left_out"]} <= {networks[1]}
    assert sorted([*tried, *(item["name"] for item in said["left_out"])]) == sorted(
        [*(f"colours and gradients, {kind}" for kind in CLASSICAL), *networks]
    )
    assert said["judged_on"] == "val"
    assert said["images"] == {"train": 130, "val": 30, "test": 40}
    for way in said["ways"]:
        hits = round(40 * way["accuracy"])
        assert way["accuracy"] == hits / 40
        assert (way["low"], way["high"]) == wilson(hits, 40)
        assert way["accuracy"] > 0.5
        assert 0 < way["macro_f1"] <= 1
        assert 0 < way["latency_low"] <= way["latency"] <= way["latency_high"]
        assert way["seconds"] > 0
        assert way["bytes"] > 1000


def test_one_graph_has_one_figure_and_all_are_timed_in_turns(
    digits: Path, trained: tuple[Path, Any], svertka_call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from svertka.deploy.timing import in_turns

    timed: list[set[str]] = []

    def look(runs: Any, **how: Any) -> Any:
        timed.append(set(runs))
        return in_turns(runs, **how)

    monkeypatch.setattr("svertka.commands.compare.course.in_turns", look)
    weights = ("--weights", trained[0], trained[0])  # the same network twice, with the same kind of head
    answer = svertka_call("compare", digits, *weights, "--net", "none", "--budget", 0.0001, "--json")
    assert answer.status == 0, answer.err
    frozen = [way for way in answer.json["ways"] if "frozen" in way["name"]]
    assert len(frozen) == 2
    assert frozen[0]["latency"] == frozen[1]["latency"]
    assert [len(graphs) for graphs in timed] == [len(CLASSICAL) + 1]


def test_the_advice_agrees_with_the_table(compared: tuple[Path, Any]) -> None:
    said = compared[1]
    ways = {way["name"]: way for way in said["ways"]}
    taken, best = ways[said["take"]], max(said["ways"], key=lambda way: way["accuracy"])
    assert best["p_value"] == 1
    assert taken["p_value"] >= 0.05
    assert all(0 < way["p_value"] <= 1 for way in said["ways"])
    assert said["advice"].startswith(f"Take {said['take']}: {taken['accuracy']:.1%} (")


def test_the_page_shows_every_way(compared: tuple[Path, Any]) -> None:
    out, said = compared
    page = (out / "compare.html").read_text()
    assert said["report"] == str(out / "compare.html")
    for way in said["ways"]:
        assert page.count(way["name"]) >= 5  # picture, table, three costs
    assert said["advice"].split(";")[0] in page.replace("\xa0", " ")
    assert {path.name for path in out.iterdir()} == {"compare.html", *(["model.safetensors"] if said["model"] else [])}


def test_the_model_is_that_of_the_advised_network(
    trained: tuple[Path, Any],
    digits: Path,
    svertka_call: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from svertka.commands.compare import command as verb
    from svertka.commands.compare.advice import Advice

    def frozen(ways: Any) -> Advice:
        return Advice(next(way for way in ways if "frozen" in way.name), "as planted")

    monkeypatch.setattr(verb, "advise", frozen)
    found = svertka.compare(
        digits, weights=[trained[0]], net=[], budget=0.0001, out=tmp_path / "out", progress=False, max_images=60
    )
    assert found.images == {"train": 60, "val": 30, "test": 40}
    # Nothing fits into so small a budget but what needs no epoch.
    assert [item["name"] for item in found.left_out] == [f"{trained[0].name}, fine-tuned"]
    assert "give a larger --budget" in found.left_out[0]["error"]
    assert found.model is not None
    assert found.model.stat().st_size == found.advice.way.bytes
    assert svertka_call("verify", found.model, "--json").json["ok"] is True
    # The very images that were held out are recognised and held out again.
    evaluated = svertka_call("evaluate", found.model, digits, "--json").json
    assert (evaluated["judged_on"], evaluated["images"]) == ("val", 40)
    assert evaluated["metrics"]["accuracy"] == found.advice.way.accuracy


def test_text_for_people(few_digits: Path, svertka_call: Callable[..., Any], tmp_path: Path) -> None:
    answer = svertka_call("compare", few_digits, "--weights", "none", "--net", "none")
    assert answer.status == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "on val, 10 images:"
    assert lines[2].split()[:5] == ["way", "accuracy,", "95", "%", "interval"]
    assert [line.startswith("colours and gradients") for line in lines[3:6]] == [True] * 3
    assert lines[-1].startswith("Take colours and gradients")
    assert "from scratch" not in answer.err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--net", "resnet20_cifarr"), "did you mean resnet20_cifar"),
        (("--weights", "no-such-model"), "no-such-model: no such model"),
        (("--weights", "lenet5"), "there are no published weights of lenet5"),
        (("--budget", 0), "budget is 0; it must be a number of seconds above 0"),
        (("--max-images", 1), "max-images is 1; it must be at least 2"),
        (("--out", "."), "the folder exists; choose another --out"),
    ],
    ids=str,
)
def test_bad_arguments_are_refused_before_anything_takes_time(
    words: tuple[Any, ...], said: str, few_digits: Path, svertka_call: Callable[..., Any]
) -> None:
    answer = svertka_call("compare", few_digits, "--weights", "none", "--net", "none", *words)
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.splitlines()[-1].startswith("svertka: ")
    assert said in answer.err
    assert "colours" not in answer.err
