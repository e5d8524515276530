"""``--task``: a task by its name, refused in one line before data are read where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from calling import call
from svertka.errors import UserError
from svertka.training.recipe import Recipe
from svertka.workflows.training.flags import check_flags


@pytest.mark.parametrize(
    ("task", "net", "said"),
    [
        ("clasification", "lenet5", "unknown task 'clasification'; did you mean classification"),
        (
            "detection",
            "lenet5",
            "lenet5 predicts classes, and --task detection",
        ),
    ],
)
def test_a_task_that_cannot_be_is_refused_before_data_are_read(task: str, net: str, said: str) -> None:
    with pytest.raises(UserError) as caught:
        check_flags(Recipe(task=task, net=net), {"task", "net"})
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_task_that_does_not_learn_from_the_annotations_is_refused(digits: Path, tmp_path: Path) -> None:
    answer = call("train", digits, "--task", "multilabel", "--out", tmp_path / "run")
    assert answer.status == 2
    (line,) = answer.err.splitlines()
    assert "the task multilabel does not learn from these annotations; they are for classification" in line
    assert not (tmp_path / "run").exists()
