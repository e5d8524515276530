"""What is refused: with a status and a way to mend it, without waiting, and without memory."""

from __future__ import annotations

import base64
import json
import socket
from urllib.parse import urlsplit

import numpy as np
import pytest
from sites import Engine, Site, card, form, picture, png, proven, site, source

from svertka.runtime.predictor import Predictor
from svertka.serving.running import bind

FORM = {"Content-Type": "multipart/form-data; boundary=limit"}
JSON = {"Content-Type": "application/json"}


def document(data: bytes) -> bytes:
    return json.dumps({"image": base64.b64encode(data).decode()}).encode()


@pytest.mark.parametrize(
    ("status", "what", "body", "headers"),
    [
        (415, "a body without Content-Type", b"x", {}),
        (415, "a body of type 'image/png'", b"x", {"Content-Type": "image/png"}),
        (415, "a body with Content-Encoding 'gzip'", b"x", FORM | {"Content-Encoding": "gzip"}),
        (400, "no form", b"x", FORM),
        (400, "a form that is cut short", form(b"abc")[:-6], FORM),
        (400, "a form without a boundary between its parts", form(b"abc"), {"Content-Type": "multipart/form-data"}),
        (
            400,
            "a form without a boundary between its parts",
            form(b"a"),
            {"Content-Type": "multipart/form-data; boundary=" + "b" * 71},
        ),
        (400, "a part that is not called image", form(b"abc", name="file"), FORM),
        (400, "a form of more than one part", form(b"abc").replace(b"--limit--", b"--limit\r\n") + form(b"abc"), FORM),
        (400, "an empty image", form(b""), FORM),
        (400, "an empty image", document(b""), JSON),
        (400, "no JSON", b"", JSON),
        (400, "no JSON", b"\xff\xfe\xff", JSON),
        (400, "JSON without just one text called image", b"[]", JSON),
        (400, "JSON without just one text called image", b"17", JSON),
        (400, "JSON without just one text called image", b'{"image": 1}', JSON),
        (400, "JSON without just one text called image", b'{"image": "", "url": "http://example.org/x.png"}', JSON),
        (400, "JSON in JSON", b'{"image": {}}', JSON),
        (400, "JSON in JSON", b"[" * 100_000, JSON),
        (400, "no base64", b'{"image": "a"}', JSON),
        (400, "no base64", '{"image": "é"}'.encode(), JSON),
        (400, "no base64", b'{"image": "AAAAA"}', JSON),
        (400, "no base64", b'{"image": "AAAA=AAA"}', JSON),
        (400, "no base64", b'{"image": "data:image/svg+xml,AAAA"}', JSON),
        (400, "no base64", b'{"image": "http://a.example/;base64,AAAA"}', JSON),
        (422, "no image format that is read here (allowed:", form(b"no image at all"), FORM),
        (422, "not a readable PNG image", form(png(picture(0))[:60]), FORM),
        (422, "a text such as HTML or SVG", form(b"<svg xmlns='http://www.w3.org/2000/svg'/>"), FORM),
    ],
)
def test_a_bad_body_is_refused(colours: Site, status: int, what: str, body: bytes, headers: dict[str, str]) -> None:
    reply = colours.ask("/v1/predict", body, headers)
    assert reply.status == status, reply.body
    assert reply.what.startswith(what)
    assert colours.reports == []


@pytest.mark.parametrize(
    ("status", "path", "method"),
    [
        (404, "/v1/predictions", "GET"),
        (405, "/v1/predict", "GET"),
        (405, "/v1/models", "DELETE"),
        (400, "/v1/predict?modle=x", "POST"),
        (400, "/v1/predict?drawn=maybe", "POST"),
        (400, "/v1/models?model=x", "GET"),
    ],
)
def test_a_bad_address_is_refused(colours: Site, status: int, path: str, method: str) -> None:
    reply = colours.ask(path, form(b"abc") if method == "POST" else None, FORM, method)
    assert reply.status == status
    assert reply.what


def test_limits_hold_for_each_image() -> None:
    noise = png(picture(1, (60, 60)))
    assert len(noise) > 8000
    with site({"one": source(proven(Engine()))}, bytes=8000, pixels=900) as server:
        for body, headers in ((form(noise), FORM), (document(noise), JSON)):
            reply = server.ask("/v1/predict", body, headers)
            assert (reply.status, reply.json["error"]["mend"]) == (413, "at most 8,000 bytes an image")
        large = server.post("/v1/predict", png(np.zeros((31, 30, 3), np.uint8)))
        assert large.status == 413
        assert large.what == "30×31 pixels, over the limit of 900 for PNG"
        assert server.post("/v1/predict", png(picture(2, (30, 30)))).status == 200


def test_a_declared_length_is_refused_before_anything_is_sent(colours: Site) -> None:
    parts = urlsplit(colours.address)
    head = f"POST /v1/predict HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: multipart/form-data; boundary=b\r\n"
    for length in ("Content-Length: 900000000", "Transfer-Encoding: chunked"):
        with socket.create_connection((parts.hostname, parts.port), 10) as connection:
            connection.sendall(f"{head}{length}\r\n\r\n".encode())
            answer = connection.recv(2**16)
        assert answer.startswith(b"HTTP/1.1 413 " if "Content" in length else b"HTTP/1.1 411 ")
        assert b"connection: close" in answer


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    with site({"one": source(proven(Engine()))}, seconds=0.5) as server:
        parts = urlsplit(server.address)
        head = f"POST /v1/predict HTTP/1.1\r\nHost: {parts.netloc}\r\nContent-Type: application/json\r\n"
        with socket.create_connection((parts.hostname, parts.port), 10) as connection:
            connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
            assert connection.recv(2**16).startswith(b"HTTP/1.1 408 ")


def test_an_answer_that_is_not_found_in_time_is_given_up() -> None:
    engine = Engine()
    with site({"one": source(proven(engine))}, seconds=0.5) as server:
        engine.gate.clear()
        try:
            reply = server.post("/v1/predict", png(picture(0)))
            assert (reply.status, reply.headers["retry-after"]) == (503, "1")
        finally:
            engine.gate.set()
        assert server.post("/v1/predict", png(picture(0))).status == 200


def test_a_mistake_of_a_model_is_a_500_that_says_so_and_is_reported() -> None:
    engine = Engine()
    with site({"one": source(Predictor(engine, card()))}) as server:
        engine.scale = float("inf")
        reply = server.post("/v1/predict", png(picture(0)))
        assert reply.status == 500
        assert reply.what.startswith("the network gave logits")
        assert server.reports == []
    broken = Engine()
    with site({"one": source(Predictor(broken, card()))}) as server:
        broken.black_fails = True
        reply = server.post("/v1/predict", png(np.zeros((8, 8, 3), np.uint8)))
        assert (reply.status, reply.what) == (500, "a mistake in the server")
        assert "planted" not in reply.body.decode()
        assert server.post("/v1/predict", png(picture(0))).status == 200
        assert "ValueError: planted" in server.reports[0]


def test_headers_are_bounded(colours: Site) -> None:
    parts = urlsplit(colours.address)
    with socket.create_connection((parts.hostname, parts.port), 10) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX: " + b"y" * 20_000)
        assert connection.recv(2**16).startswith(b"HTTP/1.1 431 ")


def test_whoever_sends_everything_before_reading_hears_why_it_was_refused(colours: Site) -> None:
    parts = urlsplit(colours.address)
    head = b"POST /v1/predict HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (parts.netloc.encode(), b"X: y\r\n" * 100_000)
    for _ in range(20):
        with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
            connection.sendall(head)
            assert connection.recv(100).startswith(b"HTTP/1.1 431 ")


def test_small_packets_are_sent_at_once() -> None:
    with bind("127.0.0.1", 0) as bound:  # asyncio goes by it
        assert bound.proto == socket.IPPROTO_TCP
