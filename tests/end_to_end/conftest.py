"""Real data, and a model that is trained once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from calling import Answer, call
from exporting import graphs_remembered, operators_read_once
from task_cases import CASES as ALL
from task_cases import write_digits

PLAIN = ("--precision", "fp32", "--layout", "channels_first", "--device", "cpu", "--threads", "1")
"""What a timing or the number of processors would decide otherwise."""
CASES = {case.task: case for case in ALL}


@pytest.fixture(scope="session", autouse=True)
def _exported_once() -> Iterator[None]:
    with operators_read_once(), graphs_remembered():
        yield


@pytest.fixture(scope="session")
def task_data(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The data of a case of `task_cases`; not to be changed."""
    return functools.cache(lambda task: CASES[task].write(tmp_path_factory.mktemp("data") / task, 1.0))


@pytest.fixture(scope="session")
def task_run(
    task_data: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], tuple[Path, Answer]]:
    """The folder of a run of a case that learnt something, and what training said."""

    @functools.cache
    def trained(task: str) -> tuple[Path, Answer]:
        run = tmp_path_factory.mktemp("runs") / task
        answer = call("train", task_data(task), "--out", run, *CASES[task].learn, *PLAIN, "--json")
        assert answer.status == 0, answer.err
        return run, answer

    return trained


@pytest.fixture(scope="session")
def task_graph(
    task_run: Callable[[str], tuple[Path, Answer]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """What that run was exported to."""

    @functools.cache
    def exported(task: str) -> Path:
        path = tmp_path_factory.mktemp("exported") / f"{task}.onnx"
        answer = call("export", task_run(task)[0], "--out", path)
        assert answer.status == 0, answer.err
        return path

    return exported


@pytest.fixture(scope="session")
def digits(task_data: Callable[[str], Path]) -> Path:
    """200 digits in class folders; not to be changed."""
    return task_data("classification")


@pytest.fixture(scope="session")
def few_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 digits in class folders; not to be changed."""
    return write_digits(tmp_path_factory.mktemp("data") / "few", 0.25)


@pytest.fixture(scope="session")
def trained(task_run: Callable[[str], tuple[Path, Answer]]) -> tuple[Path, Answer]:
    """The folder of a run on ``digits`` that learnt something, and what training said."""
    return task_run("classification")


@pytest.fixture(scope="session")
def refusing(digits: Path, weights: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Answer]:
    """The folder of a run on ``digits`` that refuses images of something else, and what training said."""
    run = tmp_path_factory.mktemp("runs") / "refusing"
    answer = call(
        "train", digits, "--weights", weights, "--reject", 0.05, "--engine", "pytorch", "--out", run, *PLAIN, "--json"
    )
    assert answer.status == 0, answer.err
    return run, answer


@pytest.fixture(scope="session")
def plain() -> tuple[str, ...]:
    return PLAIN
