"""Files are written whole or not at all."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from svertka.errors import UserError
from svertka.runtime.files import cache_folder, make_folder, replacing, write_text


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
