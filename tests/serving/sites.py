"""Servers on loopback, with engines made for a test, in a thread of this process."""

from __future__ import annotations

import contextlib
import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import svertka
from svertka.runtime.card import Card, Golden
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess
from svertka.serving.app import Application
from svertka.serving.keeping import Keeper
from svertka.serving.limits import Limits
from svertka.serving.metrics import Metrics
from svertka.serving.models import Explain, Open, Opened, Shelf
from svertka.serving.running import Server, address_of, bind, host_names, proxy_names, run

Pixels = NDArray[np.uint8]


class Engine:
    """Takes the means of the channels for logits; can be slow, broken, or wait to be let on."""

    name = "made for a test"

    def __init__(self, seconds: float = 0.0, scale: float = 1.0) -> None:
        self.seconds, self.scale = seconds, scale
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.black_fails = False

    def run(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        self.gate.wait(20)
        time.sleep(self.seconds * len(batch))
        self.batches.append(len(batch))
        if self.black_fails and (batch.max(axis=(1, 2, 3)) == 0).any():
            raise ValueError("planted")
        return {"logits": self.scale * batch.mean(axis=(2, 3))}


class MaskEngine(Engine):
    """Says red, green or blue of every pixel."""

    def run(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        return {"logits": batch}


class BoxEngine(Engine):
    """Finds the left half of every image, as likely of a colour as there is of it."""

    def run(self, batch: NDArray[np.float32]) -> Mapping[str, NDArray[np.float32]]:
        boxes = np.broadcast_to(np.array([0, 0, 0.5, 1], np.float32), (len(batch), 1, 4))
        return {"boxes": boxes, "scores": batch.mean(axis=(2, 3))[:, None]}


def card(**changed: Any) -> Card:
    """Of a classifier of colours."""
    values: dict[str, Any] = {
        "net": "made for a test",
        "arguments": {},
        "task": "classification",
        "input": Preprocess(height=8, width=8),
        "output": OutputSpec(classes=("red", "green", "blue")),
        "licence": "CC0-1.0",
        "provenance": {"data": {"name": "цвета"}},
        "metrics": {"val": {"accuracy": 0.5}},
        "golden": (),
        "weights": "",
    }
    return Card(**values | changed)


def proven(engine: Engine, **changed: Any) -> Predictor:
    """A predictor with a golden input that it reproduces."""
    plain = Predictor(engine, card(**changed))
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), np.uint8)
    outputs = {name: value[0] for name, value in plain.raw([image]).items()}
    return Predictor(engine, card(**changed | {"golden": (Golden(image, outputs),)}))


def source(predictor: Predictor, explain: Explain | None = None, file: Path = Path("made.onnx")) -> Open:
    return lambda: Opened(predictor, (file,), explain, "" if explain else "made for a test")


@dataclass(frozen=True)
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def what(self) -> str:
        """The error's text, which has all of its parts."""
        error = self.json["error"]
        assert list(error) == ["what", "where", "mend"]
        return str(error["what"])


class Site:
    """A server that listens."""

    def __init__(self, address: str, stop: Callable[[], None] = lambda: None, reports: list[str] | None = None) -> None:
        self.address, self.stop = address, stop
        self.reports = [] if reports is None else reports

    def ask(
        self, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, method: str | None = None
    ) -> Reply:
        parts = urlsplit(self.address)
        assert parts.hostname is not None
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=30)
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, dict(headers or {}))
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Reply(answer.status, headers, answer.read())
        finally:
            connection.close()

    def post(self, path: str, image: bytes, **headers: str) -> Reply:
        """An image as a form."""
        kind = {"Content-Type": "multipart/form-data; boundary=limit"}
        return self.ask(path, form(image), kind | {name.replace("_", "-"): value for name, value in headers.items()})


def form(image: bytes, name: str = "image", filename: str = "image.png") -> bytes:
    head = f'--limit\r\nContent-Disposition: form-data; name="{name}"; filename="{filename}"\r\n\r\n'
    return head.encode() + image + b"\r\n--limit--\r\n"


def picture(seed: int, shape: tuple[int, int] = (11, 13)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), np.uint8)


def png(pixels: Pixels) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def until_open(address: str) -> None:
    """Wait until something listens there."""
    parts, stop = urlsplit(address), time.monotonic() + 20
    while True:
        with contextlib.suppress(ConnectionError):
            socket.create_connection((parts.hostname or "", parts.port or 0), 10).close()
            return
        assert time.monotonic() < stop
        time.sleep(0.01)


@contextlib.contextmanager
def site(
    sources: Mapping[str, Open],
    *,
    places: int | None = None,
    token: str | None = None,
    host: str = "127.0.0.1",
    host_name: Sequence[str] = (),
    wait: bool = True,
    **limits: Any,
) -> Iterator[Site]:
    """A server in a thread of this process; as soon as it listens, if it need not wait for its models."""
    made, reports = Limits(**limits), list[str]()
    shelf = Shelf(sources, say=[].append, warn=[].append)
    application = Application(shelf, limits=made, places=places, threads=2, version="test", metrics=Metrics())
    proxies = proxy_names(host_name)
    hosts = host_names(host, proxies)
    server = Server(application.guarded(hosts=hosts, proxies=proxies, token=token, report=reports.append), made)
    bound = bind(host, 0)
    address, listening = address_of(bound), threading.Event()

    async def nothing() -> None:
        pass

    load = Keeper(application).load
    thread = threading.Thread(target=lambda: run(server, bound, load=load, ready=listening.set, hang_up=nothing))
    thread.start()
    try:
        assert not wait or listening.wait(20)
        until_open(address)
        yield Site(address, server.stop, reports)
    finally:
        server.stop()
        thread.join(20)
        assert not thread.is_alive()


@contextlib.contextmanager
def served(models: Sequence[Path]) -> Iterator[Site]:
    """`svertka.serve` in a thread of this process."""
    ready, found = threading.Event(), list[Any]()

    def listening(serving: Any) -> None:
        found.append(serving)
        ready.set()

    thread = threading.Thread(target=lambda: svertka.serve(models, port=0, ready=listening, progress=False))
    thread.start()
    try:
        assert ready.wait(60)
        yield Site(found[0].address)
    finally:
        for serving in found:
            serving.stop()
        thread.join(20)
        assert not thread.is_alive()
