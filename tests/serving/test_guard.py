"""Who may ask: this machine's name, this server's pages, and whoever knows the token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sites import Engine, Site, form, picture, png, proven, site, source

from svertka.errors import UserError
from svertka.serving.running import bind, host_names, is_loopback

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
