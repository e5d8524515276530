import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from svertka.errors import UserError
from svertka.zoo import download as module
from svertka.zoo.download import download

CONTENT = bytes(range(256)) * 20_000
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Server(ThreadingHTTPServer):
    cut_after: int | None = None
    ranges = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights-{DIGEST[7:15]}.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append(asked)
        if "missing" in self.path:
            self.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.server.ranges else 0
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        end = len(CONTENT) if self.server.cut_after is None else start + self.server.cut_after
        self.wfile.write(CONTENT[start:end])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def test_a_download_is_whole_and_is_not_repeated(server: Server, tmp_path) -> None:
    seen = []
    path = download(server.url, tmp_path / "models" / "w.pth", digest=DIGEST, advance=lambda *done: seen.append(done))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    download(server.url, path, digest=DIGEST)
    assert len(server.asked) == 1


def test_a_cut_download_goes_on_where_it_stopped(server: Server, tmp_path) -> None:
    server.cut_after = len(CONTENT) // 3 + 1
    path = download(server.url, tmp_path / "w.pth", digest=DIGEST[:15])
    assert path.read_bytes() == CONTENT
    assert [asked is None for asked in server.asked] == [True, False, False]
    assert not list(tmp_path.glob("*.partial"))


def test_what_came_is_kept_for_the_next_call(server: Server, tmp_path) -> None:
    server.cut_after = 1000
    with pytest.raises(UserError, match="cannot be fetched"):
        download(server.url, tmp_path / "w.pth", digest=DIGEST)
    assert (tmp_path / "w.pth.partial").stat().st_size == 4000
    server.cut_after = None
    assert download(server.url, tmp_path / "w.pth", digest=DIGEST).read_bytes() == CONTENT
    assert server.asked[-1] == "bytes=4000-"


def test_a_server_without_ranges_is_asked_for_all_of_it(server: Server, tmp_path) -> None:
    (tmp_path / "w.pth.partial").write_bytes(b"stale")
    server.ranges = False
    assert download(server.url, tmp_path / "w.pth", digest=DIGEST).read_bytes() == CONTENT


@pytest.mark.parametrize("algorithm", ["sha256", "sha1", "md5"])
def test_another_hash_is_refused_and_deleted(algorithm: str, server: Server, tmp_path) -> None:
    with pytest.raises(UserError, match=f"its digest is {algorithm}:[0-9a-f]{{32,}}, not {algorithm}:0"):
        download(server.url, tmp_path / "w.pth", digest=f"{algorithm}:{'0' * 32}")
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_named(server: Server, tmp_path) -> None:
    with pytest.raises(UserError, match="404"):
        download(server.url.replace("weights", "missing"), tmp_path / "w.pth", digest=None)


def test_offline_means_offline(server: Server, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SVERTKA_OFFLINE", "1")
    with pytest.raises(UserError, match="SVERTKA_OFFLINE"):
        download(server.url, tmp_path / "w.pth", digest=DIGEST)
    assert server.asked == []


def test_no_network_is_one_line(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(module, "_TRIES", 1)
    with pytest.raises(UserError, match="cannot be fetched"):
        download("http://127.0.0.1:9/w.pth", tmp_path / "w.pth", digest=None)


def test_files_are_not_fetched(tmp_path) -> None:
    with pytest.raises(UserError, match="http"):
        download("file:///etc/passwd", tmp_path / "w.pth", digest=None)


@pytest.mark.skipif(os.name != "posix", reason="links need rights elsewhere")
@pytest.mark.parametrize("trap", ["link", "link to nothing", "second name", "pipe", "folder", "being written to"])
def test_what_others_put_in_the_place_of_a_download_is_left_alone(trap: str, server: Server, tmp_path) -> None:
    import fcntl

    victim, place = tmp_path / "victim", tmp_path / "w.pth.partial"
    victim.write_bytes(b"precious")
    makes = {
        "link": lambda: place.symlink_to(victim),
        "link to nothing": lambda: place.symlink_to(tmp_path / "nothing"),
        "second name": lambda: place.hardlink_to(victim),
        "pipe": lambda: os.mkfifo(place),
        "folder": place.mkdir,
        "being written to": lambda: place.write_bytes(CONTENT[:1000]),
    }
    makes[trap]()
    other = place.open("ab") if trap == "being written to" else None
    if other:
        fcntl.flock(other, fcntl.LOCK_EX)
    before = sorted(path.name for path in tmp_path.iterdir())
    assert download(server.url, tmp_path / "w.pth", digest=DIGEST).read_bytes() == CONTENT
    assert victim.read_bytes() == b"precious"
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "w.pth"])
    if other:
        assert place.read_bytes() == CONTENT[:1000]
        other.close()


def test_a_damaged_download_is_fetched_again(server: Server, tmp_path, caplog) -> None:
    path = download(server.url, tmp_path / "w.pth", digest=DIGEST)
    path.write_bytes(CONTENT[:-1] + b"?")
    assert download(server.url, path, digest=DIGEST).read_bytes() == CONTENT
    assert "w.pth is damaged; it is fetched again" in caplog.text
    assert len(server.asked) == 2


def test_several_at_once_get_the_same_file(server: Server, tmp_path) -> None:
    failed: list[BaseException] = []

    def fetch() -> None:
        try:
            assert download(server.url, tmp_path / "w.pth", digest=DIGEST).read_bytes() == CONTENT
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=fetch) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert [path.name for path in tmp_path.iterdir()] == ["w.pth"]
