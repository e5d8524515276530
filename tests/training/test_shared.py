"""Several processes compute what one does, also where a loss is over pairs or a step has several updates."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import shared
import torch
import toys
from torch import nn

from svertka.errors import UserError


@pytest.mark.parametrize("case", ["pairs", "sides"])
def test_two_processes_compute_what_one_does(case: str, start: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    common = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    common |= {"TORCHELASTIC_RUN_ID": "test", "GROUP_RANK": "0"}
    both = [
        start(
            *(case, tmp_path / "two.safetensors"),
            script=Path(shared.__file__),
            environment={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
        )
        for rank in range(2)
    ]
    answers = [running.wait() for running in both]
    assert [(answer.status, answer.err) for answer in answers] == [(0, ""), (0, "")]
    two = safetensors.torch.load_file(tmp_path / "two.safetensors")
    outcome = shared.made(case).run()
    for row, losses in zip(outcome.history, two.pop("losses").tolist(), strict=True):
        assert losses == pytest.approx([value for name, value in row.items() if "train" in name], rel=1e-5)
    for name, value in outcome.weights.items():
        torch.testing.assert_close(two[name], value, rtol=1e-5, atol=1e-6)


def test_batches_whose_pairs_count_are_not_accumulated() -> None:
    train = toys.loader(toys.points(17), 8)
    with pytest.raises(UserError, match=r"pairs within a batch, and --accumulate 2 would cut it up; leave"):
        toys.training(nn.Linear(2, 3), shared.Pairs(), train, watch=shared.Quiet(), accumulate=2)
