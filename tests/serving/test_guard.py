"""Who may ask: this machine's name, this server's pages, and whoever knows the token."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator

import pytest
from sites import Engine, Site, form, picture, png, proven, site, source

from svertka.errors import UserError
from svertka.serving.running import bind, host_names, is_loopback, proxy_names

TOKEN = "correct-horse-battery"


def port(server: Site) -> str:
    return server.address.rpartition(":")[2]


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("[::1]:{port}", 200),
        ("evil.example", 403),
        ("evil.example:{port}", 403),
        ("127.0.0.1.evil.example:{port}", 403),
        ("localhost:{port}.evil.example", 403),
        ("localhost@evil.example", 403),
        ("", 403),
    ],
)
def test_a_page_whose_name_leads_here_is_turned_away(colours: Site, host: str, status: int) -> None:
    assert colours.ask("/v1/models", headers={"Host": host.format(port=port(colours))}).status == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{host}", 200),
        ("null", 403),
        ("http://evil.example", 403),
        ("http://localhost:1", 403),
        ("http://{host}.evil.example", 403),
        ("http://evil.example#{host}", 403),
        ("http://[", 403),
        ("", 403),
    ],
)
def test_a_page_from_elsewhere_gets_nothing(colours: Site, origin: str, status: int) -> None:
    host = colours.address.removeprefix("http://")
    kind = "multipart/form-data; boundary=limit"
    headers = {"Origin": origin.format(host=host), "Content-Type": kind}
    reply = colours.ask("/v1/predict", form(png(picture(0))), headers)
    assert reply.status == status
    assert "access-control-allow-origin" not in reply.headers
    if status == 403:
        assert reply.what == "a page from elsewhere"
        assert colours.ask("/v1/models", headers=headers).status == 403


def test_what_a_browser_says_of_the_page_is_believed(colours: Site) -> None:
    for where, mode, status in (
        ("cross-site", "no-cors", 403),
        ("same-site", "cors", 403),
        ("cross-site", "navigate", 200),
        ("same-origin", "cors", 200),
        ("none", "navigate", 200),
    ):
        headers = {"Sec-Fetch-Site": where, "Sec-Fetch-Mode": mode}
        assert colours.ask("/v1/models", headers=headers).status == status, headers


@pytest.fixture(scope="module")
def proxied() -> Iterator[Site]:
    names = ["Photos.Example", "other.example.", "bücher.example"]
    with site({"one": source(proven(Engine()))}, host_name=names) as server:
        yield server


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("photos.example", None, 200),
        ("PHOTOS.example.:8443", None, 200),
        ("other.example", None, 200),
        ("xn--bcher-kva.example", None, 200),
        ("localhost", None, 200),
        ("evil.photos.example", None, 403),
        ("photos.example.evil", None, 403),
        ("photos.example", "https://photos.example", 200),
        ("photos.example:8443", "https://photos.example:8443", 200),
        ("127.0.0.1:{port}", "https://photos.example", 200),  # a proxy that does not pass the Host header on
        ("127.0.0.1:{port}", "https://evil.example", 403),
        ("photos.example", "https://evil.example", 403),
        ("photos.example", "http://localhost:1", 403),
        ("photos.example", "null", 403),
    ],
)
def test_the_name_of_a_proxy_is_allowed(proxied: Site, host: str, origin: str | None, status: int) -> None:
    headers = {"Host": host.format(port=port(proxied))} | ({} if origin is None else {"Origin": origin})
    assert proxied.ask("/v1/models", headers=headers).status == status


def test_a_refused_name_says_which_flag_allows_it(colours: Site) -> None:
    for headers in ({"Host": "photos.example"}, {"Origin": "https://photos.example"}):
        reply = colours.ask("/v1/models", headers=headers)
        assert reply.status == 403
        assert "--host-name" in reply.json["error"]["mend"]


@pytest.mark.parametrize(
    "name",
    ["", "https://photos.example", "photos.example:80", "photos.example/a", "*", "*.example", "a b", "-a", "a..b"],
)
def test_what_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"--host-name: .* is no host name; give a name alone"):
        proxy_names([name])


@pytest.mark.parametrize("path", ["/healthz", "/metrics", "/", "/page.js", "/v1/models", "/v1/predict", "/nowhere"])
def test_too_many_headers_are_refused_before_the_application(colours: Site, path: str) -> None:
    host, _, number = colours.address.removeprefix("http://").partition(":")
    many = b"a:\r\n" * 10_000
    for head in (many, many[: 4 * 200], b"a: " + b"b" * 2**14 + b"\r\n"):
        with socket.create_connection((host, int(number)), 10) as connection:
            connection.sendall(b"GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n" % (path.encode(), host.encode(), head))
            answer = b"".join(iter(lambda: connection.recv(2**16), b"")).decode()
        assert answer.startswith("HTTP/1.1 431 Request Header Fields Too Large\r\n")
        top, _, body = answer.partition("\r\n\r\n")
        assert "nosniff" in top
        assert json.loads(body)["error"]["what"] == "the headers are too large"


def test_headers_are_counted_in_every_request_of_a_connection(colours: Site) -> None:
    host, _, number = colours.address.removeprefix("http://").partition(":")
    one = b"GET /healthz HTTP/1.1\r\nHost: " + host.encode() + b"\r\n"
    for bad, status in ((one + b"a:\r\n" * 200 + b"\r\n", b"431"), (b"no HTTP\r\n\r\n", b"400")):
        with socket.create_connection((host, int(number)), 10) as connection:
            connection.sendall((one + b"\r\n") * 2 + bad)
            answer = b"".join(iter(lambda: connection.recv(2**16), b""))
        assert re.findall(rb"HTTP/1\.1 (\d+)", answer) == [b"200", b"200", status]
    with socket.create_connection((host, int(number)), 10) as connection:  # as many as a browser behind proxies sends
        connection.sendall(one + b"X-Long: " + b"y" * 150 + b"\r\n" + b"a: b\r\n" * 60 + b"Connection: close\r\n\r\n")
        assert connection.recv(2**16).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("path", ["/", "/docs", "/v1/models", "/metrics", "/no-such-thing", "/page.js"])
def test_every_answer_is_sent_with_what_keeps_a_browser_safe(colours: Site, path: str) -> None:
    headers = colours.ask(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert headers["cache-control"] in ("no-store", "no-cache")
    assert "server" not in headers


@pytest.fixture(scope="module")
def locked() -> Iterator[Site]:
    with site({"one": source(proven(Engine()))}, token=TOKEN) as server:
        yield server


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", TOKEN, "Bearer ключ"]
)
def test_without_the_token_nothing_is_said(locked: Site, given: str | None) -> None:
    headers = {} if given is None else {"Authorization": given.encode("utf-8").decode("latin-1")}
    for path in ("/v1/models", "/metrics", "/no-such-thing"):
        reply = locked.ask(path, headers=headers)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, "Bearer")
        assert TOKEN not in reply.body.decode()
    assert locked.post("/v1/predict", png(picture(0)), **headers).status == 401


def test_with_the_token_all_is_said_and_the_page_without(locked: Site) -> None:
    assert locked.post("/v1/predict", png(picture(0)), Authorization=f"Bearer {TOKEN}").status == 200
    assert locked.ask("/v1/models", headers={"Authorization": f"bearer {TOKEN}"}).status == 200
    for path in ("/", "/page.js", "/docs", "/openapi.json", "/healthz", "/readyz"):
        assert locked.ask(path).status == 200


def test_what_only_this_machine_reaches() -> None:
    for host, own in (("127.0.0.1", True), ("127.8.9.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False)):
        assert is_loopback(host) is own
        assert (host_names(host) is not None) is own
    assert "127.8.9.1" in (host_names("127.8.9.1") or ())
    with pytest.raises(UserError, match=r"'example\.org' is no address to listen on"):
        is_loopback("example.org")


def test_a_port_that_is_taken_is_said() -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        number = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {number} of 127.0.0.1 cannot be had"):
            bind("127.0.0.1", number)
    with pytest.raises(UserError, match=r"port 70000 of 127\.0\.0\.1 cannot be had"):
        bind("127.0.0.1", 70000)
