"""`svertka serve` as a process: what it prints, refuses, reloads, and that it calls nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sites import Engine, Site, picture, png, proven, served, site, source

import svertka
from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY
from svertka.runtime.onnx_card import DIGEST_KEY, onnx_digest
from svertka.serving import running

if sys.platform == "win32":
    pytest.skip("processes are signalled here", allow_module_level=True)

# As in tests/end_to_end/test_offline.py, but that it may listen.
GUARD = """
import os, sys

def guard(event, arguments):
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo", "socket.gethostbyname"):
        with open(os.environ["GUARD_LOG"], "a") as log:
            log.write(f"{event} {arguments}\\n")
        raise OSError("the network is blocked")

sys.addaudithook(guard)
"""


class Process(Site):
    """A server in a process, and what it said."""

    def __init__(self, process: subprocess.Popen[str], line: str) -> None:
        self.process, self.told = process, json.loads(line)
        super().__init__(self.told["address"])

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, str]:
        """Its status, and all that it printed on standard error."""
        self.process.send_signal(number)
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err


@contextlib.contextmanager
def started(arguments: Sequence[object], **environment: str) -> Iterator[Process]:
    command = [sys.executable, "-m", "svertka", "serve", *map(str, arguments), "--port", "0", "--json"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            pytest.fail(process.communicate()[1])
        yield Process(process, line)
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def scores(reply: Any) -> dict[str, float]:
    assert reply.status == 200, reply.body
    return {entry["name"]: entry["score"] for entry in reply.json["result"]["classes"]}


def test_it_serves_and_ends_when_told(tiny_onnx: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pets"
    folder.mkdir()
    shutil.copy(tiny_onnx, folder / "model.onnx")
    with started([folder / "model.onnx", f"again={tiny_onnx}"]) as server:
        assert [model["name"] for model in server.told["models"]] == ["pets", "again"]
        assert server.told["models"][0]["engine"] == "onnxruntime"
        image = picture(0)
        path = tmp_path / "image.png"
        path.write_bytes(png(image))
        (offline,) = svertka.predict(tiny_onnx, [path])
        expected = {entry["name"]: entry["score"] for entry in offline.to_json()["classes"]}
        assert scores(server.post("/v1/predict?model=again", png(image))) == pytest.approx(expected, abs=1e-6)
        began = time.monotonic()
        assert server.end() == (0, "")
        assert time.monotonic() - began < 5


def test_it_opens_no_connection_and_asks_for_no_name(tiny_onnx: Path, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    log = tmp_path / "log"
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    with started([tiny_onnx], PYTHONPATH=paths, GUARD_LOG=str(log)) as server:
        assert server.post("/v1/predict?drawn=true", png(picture(0))).status == 200
        body = b'{"image": "http://127.0.0.1:9/image.png"}'
        assert server.ask("/v1/predict", body, {"Content-Type": "application/json"}).status == 400
        for path in ("/", "/docs", "/metrics", "/v1/models", "/readyz"):
            assert server.ask(path, headers={"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Host": "a"}).status == 200
        server.process.send_signal(signal.SIGHUP)
        reloaded(server)
        assert server.end()[0] == 0
    assert not log.exists()


def test_the_guard_guards(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(GUARD)
    environment = os.environ | {"PYTHONPATH": str(tmp_path), "GUARD_LOG": str(tmp_path / "log")}
    code = "import socket; socket.create_connection(('127.0.0.1', 9))"
    assert subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=False).returncode
    assert (tmp_path / "log").read_text()


def reloaded(server: Site, generation: int = 2) -> None:
    stop = time.monotonic() + 20
    while server.ask("/v1/models").json["models"][0]["generation"] < generation:
        assert time.monotonic() < stop
        time.sleep(0.05)


@pytest.mark.parametrize("watch", [False, True])
def test_a_model_is_replaced_and_no_request_notices(tiny_model: Path, tmp_path: Path, watch: bool) -> None:
    onnx = pytest.importorskip("onnx")
    model = tmp_path / "model.onnx"
    svertka.export(tiny_model, out=model)
    before = model.read_bytes()
    other = onnx.load_from_string(before)
    text = next(entry.value for entry in other.metadata_props if entry.key == CARD_KEY)
    text = text.replace("hippopotamus", "rhinoceros")
    del other.metadata_props[:]
    digest = onnx_digest(other.SerializeToString(), text)
    onnx.helper.set_model_props(other, {CARD_KEY: text, DIGEST_KEY: digest})
    statuses: list[int] = []
    with started([model, *(["--watch"] if watch else [])]) as server:
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                statuses.append(server.post("/v1/predict", png(picture(0))).status)

        askers = [threading.Thread(target=ask) for _ in range(3)]
        for asker in askers:
            asker.start()
        try:
            fresh = tmp_path / "fresh"
            fresh.write_bytes(other.SerializeToString())
            fresh.replace(model)
            if not watch:
                server.process.send_signal(signal.SIGHUP)
            reloaded(server)
            assert "rhinoceros" in scores(server.post("/v1/predict", png(picture(0))))
            model.write_bytes(before[: len(before) // 2])
            if watch:
                time.sleep(3)
            else:
                server.process.send_signal(signal.SIGHUP)
                time.sleep(1)
            assert "rhinoceros" in scores(server.post("/v1/predict", png(picture(0))))
            metrics = server.ask("/metrics").body.decode()
            assert 'outcome="replaced"} 1.0' in metrics
            assert 'outcome="refused"} 1.0' in metrics
        finally:
            stop.set()
            for asker in askers:
                asker.join()
        assert server.end()[0] == 0
    assert set(statuses) == {200}
    assert len(statuses) > 10


def test_a_run_is_answered_by_its_export_and_explained_by_its_weights(
    weights: Path, tiny_onnx: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    model = Path(shutil.copy(weights, run / "model.safetensors"))
    with served([run]) as server:
        (described,) = server.ask("/v1/models").json["models"]
        assert (described["name"], described["engine"], described["file"]) == ("run", "pytorch", "model.safetensors")
        by_torch = scores(server.post("/v1/predict", png(picture(0))))
    svertka.export(model)
    with served([run]) as server:
        (described,) = server.ask("/v1/models").json["models"]
        assert (described["engine"], described["file"], described["explains"]) == ("onnxruntime", "model.onnx", True)
        assert scores(server.post("/v1/predict", png(picture(0)))) == pytest.approx(by_torch, abs=1e-4)
        explained = server.post("/v1/explain?class=c", png(picture(0))).json
        assert (explained["class"], explained["layer"]) == ("c", "conv4")
        assert explained["picture"].startswith("data:image/png;base64,")
    svertka.export(model, pixels=True)  # the same model, run otherwise
    with served([run]) as server:
        assert server.ask("/v1/models").json["models"][0]["file"] == "model.onnx"
    shutil.copy(tiny_onnx, run / "model.onnx")
    with served([run]) as server:
        assert server.ask("/v1/models").json["models"][0]["engine"] == "pytorch"
    with served([run / "model.onnx"]) as server:
        refused = server.post("/v1/explain", png(picture(0)))
        assert (refused.status, refused.json["error"]["mend"][:34]) == (501, "an exported model has no gradients")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "no model is given"),
        (["absent.onnx"], "absent.onnx: no such model"),
        (["{model}", "{model}"], "two models called "),
        (
            ["{model}", "--host", "0.0.0.0"],
            "--token: whoever reaches 0.0.0.0 could ask; give a --token, or SVERTKA_TOKEN",
        ),
        (["{model}", "--host", "example.org"], "--host: 'example.org' is no address to listen on"),
        (["{model}", "--host-name", "http://a/"], "--host-name: 'http://a/' is no host name"),
        (["{model}", "--token", "short"], "--token: a token has at least 16 letters"),
        (["{model}", "--max-bytes", "0"], "a limit of 0 bytes"),
        (["{model}", "--places", "0"], "0 places"),
    ],
)
def test_a_mistake_is_one_line(
    tiny_onnx: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    from svertka.cli import run

    assert run(["serve", *(argument.format(model=tiny_onnx) for argument in arguments)]) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert err.startswith(f"svertka: {said}") or said in err


def test_a_damaged_model_is_not_served(tiny_onnx: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(tiny_onnx.read_bytes()[:100])
    with pytest.raises(UserError, match="not a readable ONNX model"):
        svertka.serve([path], port=0, progress=False)


def test_what_others_reach_is_served_with_a_token(tiny_onnx: Path) -> None:
    token = "0123456789abcdef"
    with started([tiny_onnx, "--host", "0.0.0.0"], SVERTKA_TOKEN=token) as server:
        server.address = server.address.replace("0.0.0.0", "127.0.0.1")
        assert server.ask("/v1/models").status == 401
        assert (
            server.ask("/v1/models", headers={"Authorization": f"Bearer {token}", "Host": "any.example"}).status == 200
        )


def slow_clients(server: Site) -> list[socket.socket]:
    """Clients that send nothing, headers, and bodies without end, keep connections, and do not read."""
    host, _, port = server.address.removeprefix("http://").partition(":")
    post = f"POST /v1/predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n".encode()
    get = f"GET /page.js HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
    begun = [b"", b"GET / HTTP/1.1\r\nHo", post + b"Content-Length: 100000\r\n\r\n{", get, get * 500]
    clients = [socket.create_connection((host, int(port)), 10) for _ in range(3 * len(begun))]
    for number, client in enumerate(clients):
        client.sendall(begun[number % len(begun)])
    return clients


def test_it_ends_in_time_amid_slow_clients(tiny_onnx: Path) -> None:
    with started([tiny_onnx]) as server:
        clients = slow_clients(server)
        try:
            time.sleep(0.5)
            began = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            while server.process.poll() is None and time.monotonic() - began < 20:
                for client in clients:
                    with contextlib.suppress(OSError):
                        client.sendall(b"x")
                with contextlib.suppress(subprocess.TimeoutExpired):
                    server.process.wait(0.2)
            assert time.monotonic() - began < 9
            assert (server.process.returncode, server.process.communicate()[1]) == (0, "")
        finally:
            for client in clients:
                client.close()


def test_decoding_that_hangs_keeps_nobody() -> None:
    code = (
        "import threading, time; from svertka.serving.threads import Crew; crew = Crew(1, name='hangs');"
        "crew.submit(lambda: time.sleep(60)); late = crew.submit(int); crew.close(); print(late.cancelled())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=20, check=True)
    assert done.stdout == "True\n"


@pytest.mark.parametrize("places", [None, 3])
def test_it_says_that_models_are_loading(places: int | None) -> None:
    gate, names = threading.Event(), ("quick", "slow")

    def slow() -> Any:
        gate.wait(20)
        return source(proven(Engine()))()

    with site({names[0]: source(proven(Engine())), names[1]: slow}, places=places, wait=False) as server:
        assert server.ask("/healthz").status == 200
        until(lambda: "slow" in server.ask("/readyz").what)
        for path, body in (
            ("/readyz", None),
            ("/v1/models", None),
            ("/v1/predict?model=quick", b""),
            ("/v1/explain", b""),
        ):
            reply = server.ask(path, body)
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
            assert reply.what.startswith("Loading slow, 2 of 2 models, for ")
        assert server.ask("/v1/predict?model=none", b"").status == 404
        gate.set()
        until(lambda: server.ask("/readyz").status == 200)
        told = server.ask("/v1/models").json
        assert [model["name"] for model in told["models"]] == list(names)
        assert told["limits"]["images"] == (places or 64)
        assert server.post("/v1/predict", png(picture(0))).status == 200


def until(so: Any) -> None:
    stop = time.monotonic() + 20
    while not so():
        assert time.monotonic() < stop
        time.sleep(0.05)


def test_it_ends_while_models_are_loading() -> None:
    gate = threading.Event()

    def never() -> Any:
        gate.wait(20)
        raise UserError("too late")

    with site({"one": never}, wait=False) as server:
        assert server.ask("/readyz").status == 503
    gate.set()


def test_connections_that_say_nothing_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "IDLE_SECONDS", 1)
    with site({"one": source(proven(Engine()))}) as server:
        host, _, port = server.address.removeprefix("http://").partition(":")
        with (
            socket.create_connection((host, int(port)), 10) as silent,
            socket.create_connection((host, int(port)), 10) as slow,
        ):
            began = time.monotonic()
            slow.sendall(b"GET /healthz HTTP/1.1\r\n")
            for _ in range(8):
                time.sleep(0.25)
                with contextlib.suppress(OSError):
                    slow.sendall(b"X: y\r\n")
            for connection in (silent, slow):
                with contextlib.suppress(ConnectionError):
                    assert connection.recv(100) == b""
            assert time.monotonic() - began < 8


def test_a_client_that_goes_away_is_not_computed_for() -> None:
    engine = Engine()
    with site({"one": source(proven(engine))}) as server:
        engine.batches.clear()
        engine.gate.clear()
        try:
            held = threading.Thread(target=server.post, args=("/v1/predict", png(picture(0))))
            held.start()
            time.sleep(0.3)

            async def leave() -> None:
                host, _, port = server.address.removeprefix("http://").partition(":")
                _, writer = await asyncio.open_connection(host, int(port))
                body = b'--limit\r\nContent-Disposition: form-data; name="image"\r\n\r\n' + png(
                    np.zeros((8, 8, 3), np.uint8)
                )
                body += b"\r\n--limit--\r\n"
                head = f"POST /v1/predict HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {len(body)}\r\n"
                writer.write(f"{head}Content-Type: multipart/form-data; boundary=limit\r\n\r\n".encode() + body)
                await writer.drain()
                await asyncio.sleep(0.3)
                writer.close()
                await writer.wait_closed()

            asyncio.run(leave())
            time.sleep(0.3)
        finally:
            engine.gate.set()
        held.join()
        assert server.post("/v1/predict", png(picture(1))).status == 200
        assert 'status="499"' in server.ask("/metrics").body.decode()
    assert engine.batches == [1, 1]
