"""Files are written whole or not at all."""

from __future__ import annotations

import errno
import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from svertka.errors import UserError
from svertka.runtime.checked import read_checked
from svertka.runtime.files import cache_folder, make_folder, new_file, partial_name, remove_stale, replacing, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / "file.txt"
    path.write_text("old")
    return path


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, MemoryError])
def test_an_exception_inside_leaves_the_old_file_and_nothing_beside_it(old: Path, error: type[BaseException]) -> None:

    def interrupted() -> None:
        with replacing(old, keep=old.with_name("kept")) as file:
            file.write(b"half of the ne")
            raise error

    with pytest.raises(error):
        interrupted()
    assert old.read_text() == "old"
    assert names(old.parent) == ["file.txt"]


def test_the_new_file_appears_only_at_the_end(old: Path) -> None:
    with replacing(old) as file:
        file.write(b"new")
        file.flush()
        assert old.read_text() == "old"
    assert old.read_text() == "new"
    assert names(old.parent) == ["file.txt"]


def test_the_old_file_can_be_kept(old: Path) -> None:
    kept = old.with_name("kept.txt")
    for text in (b"new", b"newer"):
        with replacing(old, keep=kept) as file:
            file.write(text)
    assert (old.read_text(), kept.read_text()) == ("newer", "new")


def test_keeping_nothing_is_no_error(tmp_path: Path) -> None:
    with replacing(tmp_path / "new", keep=tmp_path / "kept") as file:
        file.write(b"1")
    assert names(tmp_path) == ["new"]


def test_a_full_disk_is_said_in_one_line_and_leaves_the_old_file(old: Path) -> None:
    with pytest.raises(UserError, match=r"file\.txt: the disk is full; free some space"), replacing(old):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert old.read_text() == "old"
    assert names(old.parent) == ["file.txt"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full")
def test_a_truly_full_device() -> None:
    with pytest.raises(UserError, match=r"cannot be written|the disk is full"):
        write_text(Path("/dev/full/file"), "text")


def test_a_folder_that_is_not_there_or_in_the_way(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file"):
        write_text(tmp_path / "nowhere" / "file", "text")
    (tmp_path / "folder").mkdir()
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / "folder", "text")
    assert names(tmp_path) == ["folder"]


def test_text_is_utf_8(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "свёртка\n")
    assert (tmp_path / "file").read_bytes() == "свёртка\n".encode()


def test_making_a_folder(tmp_path: Path) -> None:
    assert make_folder(tmp_path / "a" / "b").is_dir()
    assert make_folder(tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        make_folder(tmp_path / "file" / "folder")


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    monkeypatch.setenv("SVERTKA_CACHE", "/own")
    assert cache_folder() == Path("/own")
    monkeypatch.delenv("SVERTKA_CACHE")
    assert cache_folder() == Path("/xdg/svertka")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path.home() / ".cache" / "svertka"


def test_temporary_names_cannot_be_guessed_and_fit(tmp_path: Path) -> None:
    for name in ("machines.json", "a" * 255, "ж" * 127):
        found = {partial_name(name) for _ in range(100)}
        assert len(found) == 100
        assert max(len(os.fsencode(one)) for one in found) <= 255
        write_text(tmp_path / name, "text")
    assert len(names(tmp_path)) == 3


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
@pytest.mark.parametrize("target", ["victim", "nowhere"])
def test_a_link_in_the_place_of_a_temporary_file_is_not_followed(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "victim").write_text("precious")
    monkeypatch.setattr("svertka.runtime.files.partial_name", lambda name: f".{name}.guessed.partial")
    (tmp_path / ".file.guessed.partial").symlink_to(tmp_path / target)
    with pytest.raises(UserError, match="cannot be written"):
        write_text(tmp_path / "file", "written")
    with pytest.raises(FileExistsError):  # whoever put it there has it still
        new_file(tmp_path / ".file.guessed.partial")
    assert (tmp_path / "victim").read_text() == "precious"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.skipif(os.name != "posix", reason="other systems have no such modes")
def test_a_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "text")
        (tmp_path / "other").write_text("text")
    finally:
        os.umask(before)
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "other")} == {0o640}


def test_what_a_killed_process_left_is_removed_after_a_day(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    (kept / "inside").mkdir(parents=True)
    places = {name: tmp_path / partial_name(name) for name in ("old", "new", "folder", "link")}
    for name in ("old", "new"):
        places[name].write_text("half")
    (places["folder"] / "inside").mkdir(parents=True)
    if os.name == "posix":
        places["link"].symlink_to(kept)
    for name in ("old", "folder", "link"):
        if places[name].is_symlink() or places[name].exists():
            long_ago = time.time() - 2 * 24 * 3600
            os.utime(places[name], (long_ago, long_ago), follow_symlinks=name != "link")
    remove_stale(tmp_path)
    assert names(tmp_path) == sorted(["kept", places["new"].name])
    assert names(kept) == ["inside"]


WRITER = """
import sys
from pathlib import Path
from svertka.runtime.checked import write_checked
number = 0
while True:
    number += 1
    write_checked(Path(sys.argv[1]), {"who": sys.argv[2], "values": [number] * 50_000})
"""


@pytest.mark.skipif(os.name != "posix", reason="processes are killed here")
def test_two_processes_that_are_killed_at_will_never_tear_a_file(tmp_path: Path) -> None:
    path, chance = tmp_path / "cache.json", random.Random(0)

    def start(who: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", WRITER, str(path), who])

    running = [start("one"), start("other")]
    try:
        waited = time.monotonic() + 60
        while not path.exists():
            assert time.monotonic() < waited
            time.sleep(0.01)
        seen = set()
        for turn in range(16):
            time.sleep(chance.uniform(0.05, 0.3))
            victim = turn % 2
            running[victim].send_signal(signal.SIGKILL)
            running[victim].wait()
            for _ in range(20):
                values = read_checked(path)
                assert len(values["values"]) == 50_000
                seen.add(values["who"])
            running[victim] = start(("one", "other")[victim])
        assert seen == {"one", "other"}
    finally:
        for process in running:
            process.kill()
            process.wait()
