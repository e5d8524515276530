"""Processors that may be used, within the limits of a container."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from svertka.runtime.cores import available_cores


def system(root: Path, group: str | None, limits: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "sys/fs/cgroup").mkdir(parents=True)
    if group is not None:
        (root / "proc/self/cgroup").write_text(f"1:name=systemd:/other\n0::/{group}\n")
    for place, text in limits.items():
        folder = root / "sys/fs/cgroup" / place
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cpu.max").write_text(text)
    return root


@pytest.mark.parametrize(
    ("group", "limits", "cores"),
    [
        ("", {}, 8),  # no limit is set
        (None, {}, 8),  # no control groups
        ("", {"": "max 100000\n"}, 8),
        ("", {"": "200000 100000\n"}, 2),  # --cpus=2
        ("", {"": "150000 100000\n"}, 1),
        ("", {"": "10000 100000\n"}, 1),  # a tenth of a processor still needs a thread
        ("", {"": "6400000 100000\n"}, 8),  # no more than the process is bound to
        ("a/b", {"a/b": "max 100000\n", "a": "300000 100000\n"}, 3),  # the group around it limits it
        ("a/b", {"a/b": "200000 100000\n", "a": "300000 100000\n"}, 2),
        ("a", {"other": "100000 100000\n"}, 8),
        ("../../x", {"": "400000 100000\n"}, 4),
        ("", {"": "nonsense"}, 8),
        ("", {"": "100000 0"}, 8),
    ],
)
def test_a_container_s_share_is_kept(
    group: str | None, limits: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert available_cores(system(tmp_path, group, limits)) == cores


def test_what_the_process_is_bound_to_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert available_cores(system(tmp_path, "", {"": "400000 100000"})) == 1
