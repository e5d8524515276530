"""Every task the whole way: trained, judged, exported, predicted with, served, explained, pruned, cut and resumed.

What is peculiar to one of them is in a file of its own.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import svertka
from svertka.zoo.modelfile import load_model
from task_cases import CASES, FROZEN, Case

Call = Callable[..., Any]


class Learnt(NamedTuple):
    """A case, the data that was written for it, the folder of the run, what training said, and the exported file."""

    case: Case
    data: Path
    run: Path
    said: Any
    graph: Path


@pytest.fixture(scope="session", params=CASES, ids=lambda case: case.task)
def learnt(request: pytest.FixtureRequest, task_data: Call, task_run: Call, task_graph: Call) -> Learnt:
    """Every case, trained and exported once."""
    case = request.param
    run, answer = task_run(case.task)
    return Learnt(case, task_data(case.task), run, answer.json, task_graph(case.task))


def same(case: Case, ours: Any, theirs: Any) -> None:
    """Whether two engines find the same in an image."""
    assert case.names(theirs) == case.names(ours)
    assert case.numbers(theirs) == pytest.approx(case.numbers(ours), abs=case.apart)


def test_it_learns_and_reports(learnt: Learnt) -> None:
    case, said = learnt.case, learnt.said
    assert said["metrics"][case.metric] > case.least
    report = (learnt.run / "report.html").read_text()
    assert [words for words in case.report if words not in report] == []
    card = load_model(learnt.run / "model.safetensors")[1]
    assert (card.task, card.classes) == (case.task, case.classes)


def test_it_is_judged_as_training_judged_it(learnt: Learnt, svertka_call: Call) -> None:
    answer = svertka_call("evaluate", learnt.run, learnt.data, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["judged_on"] == learnt.said["judged_on"]
    again = answer.json["metrics"]  # of boxes, without the loss
    assert learnt.case.metric in again
    assert again == pytest.approx({name: learnt.said["metrics"][name] for name in again}, rel=1e-5, abs=1e-6)
    assert [row["class"] for row in answer.json["per_class"]] == list(learnt.case.classes)
    assert svertka_call("evaluate", learnt.run, learnt.data).status == 0


def test_it_proves_itself_in_every_engine(learnt: Learnt, svertka_call: Call) -> None:
    for model, engines in ((learnt.run, {"pytorch", "onnxruntime"}), (learnt.graph, {"onnxruntime"})):
        verified = svertka_call("verify", model, "--json")
        assert verified.json["ok"], verified.out
        assert engines <= {engine["name"] for engine in verified.json["engines"]}


def test_the_exported_file_finds_the_same_without_torch(learnt: Learnt, svertka_call: Call) -> None:
    case, pictures = learnt.case, learnt.case.pictures(learnt.data)
    ours = svertka_call("predict", learnt.run, *pictures, "--json").json
    assert sum(len(case.names(said)) for said in ours) >= len(pictures) / 2
    for said, theirs in zip(ours, without_torch(learnt.graph, pictures), strict=True):
        same(case, said, theirs)


def without_torch(graph: Path, pictures: Sequence[Path]) -> Any:
    """What `svertka predict` says where there is no torch."""
    program = "import sys; sys.modules['torch'] = None; import svertka.cli; svertka.cli.run(sys.argv[1:])"
    command = [sys.executable, "-c", program, "predict", graph, *pictures, "--json"]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_predicted_is_written(learnt: Learnt, svertka_call: Call, tmp_path: Path) -> None:
    picture = learnt.case.pictures(learnt.data)[0]
    (told,) = svertka_call("predict", learnt.graph, picture, "--out", tmp_path / "out", "--json").json
    assert {path.name for path in (tmp_path / "out").iterdir()} == {picture.stem + end for end in learnt.case.written}
    assert json.loads((tmp_path / "out" / f"{picture.stem}.json").read_text()) == told


def test_a_server_says_the_same(learnt: Learnt, svertka_call: Call) -> None:
    picture = learnt.case.pictures(learnt.data)[0]
    (told,) = svertka_call("predict", learnt.graph, picture, "--json").json
    answers: list[Any] = []

    document = json.dumps({"image": base64.b64encode(picture.read_bytes()).decode()}).encode()

    def ask(serving: Any) -> None:
        url, headers = f"{serving.address}/v1/predict", {"Content-Type": "application/json"}
        try:
            with urllib.request.urlopen(urllib.request.Request(url, document, headers), timeout=60) as file:
                answers.append(json.load(file))
        finally:
            serving.stop()

    def ready(serving: Any) -> None:
        threading.Thread(target=ask, args=(serving,)).start()

    svertka.serve(learnt.graph, port=0, ready=ready, progress=False)
    same(learnt.case, told, answers[0]["result"])


def test_it_is_explained(learnt: Learnt, svertka_call: Call, tmp_path: Path) -> None:
    methods = [word for name in learnt.case.explained for word in ("--method", name)]
    command = ("explain", learnt.run, learnt.data, *methods, "--examples", 2, "--out", tmp_path / "out", "--json")
    answer = svertka_call(*command)
    assert answer.status == 0, answer.err
    assert set(answer.json["methods"]) == set(learnt.case.explained)
    assert {image["explained"] for image in answer.json["images"]} <= set(learnt.case.classes)
    assert (tmp_path / "out" / "explain.html").is_file()


def test_a_finished_run_is_diagnosed(learnt: Learnt, svertka_call: Call) -> None:
    answer = svertka_call("diagnose", learnt.run, "--json")
    assert answer.status in (0, 1), answer.err
    assert "diagnoses" in answer.json


def test_it_is_pruned_or_that_is_refused(learnt: Learnt, svertka_call: Call, tmp_path: Path) -> None:
    case, out = learnt.case, tmp_path / "out"
    answer = svertka_call("prune", learnt.run, learnt.data, "--out", out, "--steps", 1, "--epochs", 4, "--json")
    if case.pruned is None:
        assert answer.status == 2
        assert "can be pruned" in answer.err
        return
    assert answer.status == 0, answer.err
    first, last = answer.json["points"]
    assert first["metrics"][case.metric] == pytest.approx(learnt.said["metrics"][case.metric], abs=1e-6)
    assert last["macs"] <= 0.7 * first["macs"]
    assert last["metrics"][case.metric] > case.pruned
    assert svertka_call("verify", out, "--json").json["ok"]
    metrics = load_model(out / "model.safetensors")[1].metrics[answer.json["judged_on"]]
    assert metrics[case.metric] == pytest.approx(last["metrics"][case.metric])


CUTS = [pytest.param(case, flags, id=f"{case.task}-{flags[1]}") for case in CASES for flags in case.cut]


@pytest.mark.parametrize(("case", "flags"), CUTS)
def test_a_run_that_is_cut_ends_with_the_same_bits(
    case: Case,
    flags: tuple[object, ...],
    weights: Path,
    plain: tuple[str, ...],
    svertka_call: Call,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from svertka.workflows.progress import Display

    data = case.write(tmp_path / "data", 0.4)
    begin = ("--weights", weights) if FROZEN[0] in flags else ()
    command = ("train", data, *flags, *begin, "--epochs", 2, "--save-every", 0, *plain, "--json")
    assert svertka_call(*command, "--out", tmp_path / "through").status == 0
    steps = iter(range(100))
    with monkeypatch.context() as patch:
        patch.setattr(Display, "stopping", lambda _: next(steps) == 5)
        assert svertka_call(*command, "--out", tmp_path / "cut").status == 2
    answer = svertka_call(*command, "--out", tmp_path / "cut", "--resume")
    assert answer.status == 0, answer.err
    one, other = ((tmp_path / place / "model.safetensors").read_bytes() for place in ("through", "cut"))
    assert one == other
