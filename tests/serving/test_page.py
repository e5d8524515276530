"""The page in a browser: an image is dropped and its result read; nothing that a stranger wrote becomes markup."""

from __future__ import annotations

import base64
import contextlib
import http.client
import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sites import Engine, MaskEngine, Pixels, Site, card, picture, png, proven, site, source

from svertka.runtime.outputs import OutputSpec
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess
from svertka.serving.models import Explanation, Opened

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


def explain(image: Pixels, target: str | None) -> Explanation:
    return Explanation(target or "red", "stage3", 255 - image)


@pytest.fixture(scope="module")
def server() -> Iterator[Site]:
    hostile = {
        "output": OutputSpec(classes=(HOSTILE, "'\"><script>alert(2)</script>", "blue")),
        "net": HOSTILE,
        "licence": HOSTILE,
    }
    masks = Predictor(MaskEngine(), card(task="segmentation", input=Preprocess(height=32, width=32, fit="whole")))
    sources = {
        "colours": source(proven(Engine()), explain),
        "against": source(proven(Engine(scale=-1.0))),
        HOSTILE: source(proven(Engine(), **hostile), explain),
        "masks": source(masks),
    }
    with site(sources) as found:
        yield found


@contextlib.contextmanager
def visit(browser: Any, address: str, *, noise: tuple[str, ...] = (), **context: Any) -> Iterator[Any]:
    """The page; in the end the browser may not have complained, asked others, or scrolled sideways."""
    said: list[str] = []
    asked: list[str] = []
    made = browser.new_context(**context)
    page = made.new_page()
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
    page.on("request", lambda request: asked.append(request.url))
    try:
        page.goto(f"{address}/")
        page.set_default_timeout(10_000)
        yield page
        assert [line for line in said if not any(known in line for known in noise)] == []
        assert not [url for url in asked if not url.startswith((f"{address}/", "blob:", "data:"))]
        inner, outer = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert inner == outer, "the page scrolls sideways"
    finally:
        made.close()


def until(page: Any, expression: str) -> None:
    """Wait until something is so; not by wait_for_function, which the page's policy forbids."""
    for _ in range(200):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    pytest.fail(f"not so after 10 s: {expression}")


def drop(page: Any, data: bytes, name: str, kind: str = "image/png") -> None:
    text = base64.b64encode(data).decode()
    page.evaluate(
        """([text, name, kind]) => {
          const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], name, { type: kind }));
          for (const type of ["dragenter", "dragover", "drop"]) {
            const event = new DragEvent(type, { bubbles: true, cancelable: true, dataTransfer: transfer });
            document.getElementById("drop").dispatchEvent(event);
          }
        }""",
        [text, name, kind],
    )


def red() -> bytes:
    image = picture(0, (30, 40)) // 4
    image[..., 0] += 150
    return png(image)


def test_a_dropped_image_is_answered_and_read_out(browser: Any, server: Site) -> None:
    with visit(browser, server.address) as page:
        drop(page, red(), "a car.png")
        page.get_by_role("heading", name="a car.png").wait_for()
        page.locator(".line", has_text="red").wait_for()
        (best,) = Predictor(Engine(), card()).predict([np.asarray(picture_of(red()))])
        share = f"{best.to_json()['classes'][0]['score']:.1%}"
        assert page.locator(".line").inner_text() == f"red, {share}"
        assert page.get_by_role("status").inner_text() == f"colours: red, {share}"
        rows = page.locator(".bars").first.get_by_role("listitem")
        assert rows.first.inner_text().startswith("red")
        assert page.get_by_role("progressbar", name="red").get_attribute("value") is not None
        assert page.get_by_role("img", name="a car.png").evaluate("(image) => image.naturalWidth") == 40
        assert page.locator("#images").get_by_role("listitem").count() == 1


def picture_of(data: bytes) -> Pixels:
    from svertka.runtime.image import decode

    return decode(data)


@pytest.mark.parametrize("width", [360, 390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_strangers_wrote_stays_text(browser: Any, server: Site, width: int, scheme: str) -> None:
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with visit(browser, server.address, **options) as page:
        page.get_by_label("Model", exact=True).select_option(HOSTILE)
        drop(page, red(), HOSTILE + "/../" + "long" * 60)
        page.locator(".line", has_text=HOSTILE).wait_for()
        assert HOSTILE in page.get_by_role("status").inner_text()
        page.get_by_text("Where it comes from").click()
        assert page.locator("#result img").count() == 1
        assert page.locator("script").count() == 1
        page.get_by_role("button", name=HOSTILE, exact=True).first.click()
        page.get_by_text("Grad-CAM of").wait_for()
        assert page.locator("#result img").count() == 1


def test_it_works_by_keyboard_alone(browser: Any, server: Site, tmp_path: Path) -> None:
    path = tmp_path / "chosen.png"
    path.write_bytes(red())
    with visit(browser, server.address) as page:
        page.locator("#ask").wait_for()  # there is nothing to go to before the models are known
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.id") == "file":
                break
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Space")
        chooser.value.set_files(str(path))
        page.locator(".line", has_text="red").wait_for()
        page.get_by_role("radio", name="Image").focus()
        page.keyboard.press("ArrowRight")
        page.get_by_role("img", name="Where red is seen, by Grad-CAM").wait_for()
        assert "stage3" in page.locator(".time").inner_text()
        page.keyboard.press("ArrowLeft")
        page.get_by_role("img", name="chosen.png").wait_for()


def test_two_models_beside_each_other(browser: Any, server: Site) -> None:
    with visit(browser, server.address) as page:
        page.get_by_label("beside").select_option("against")
        drop(page, red(), "one.png")
        page.locator(".line").nth(1).filter(has_text=",").wait_for()
        lines = page.locator(".line").all_inner_texts()
        assert lines[0].startswith("red")
        assert not lines[1].startswith("red")
        assert page.locator("#verdict").inner_text() == "They differ."
        assert page.locator("#cards article").count() == 2
        page.get_by_label("beside").select_option(HOSTILE)
        page.locator(".line").nth(1).filter(has_text=HOSTILE).wait_for()


def test_masks_are_drawn(browser: Any, server: Site) -> None:
    with visit(browser, server.address) as page:
        page.get_by_label("Model", exact=True).select_option("masks")
        drop(page, red(), "cells.png")
        shown = page.locator("#result img")
        until(page, "document.querySelector('#result img')?.src.startsWith('data:image/png')")
        assert shown.get_attribute("alt").endswith("drawn on cells.png")
        page.get_by_text("Image", exact=True).click()
        page.get_by_role("img", name="cells.png", exact=True).wait_for()


def test_the_gallery_brings_an_image_back(browser: Any, server: Site) -> None:
    with visit(browser, server.address) as page:
        drop(page, red(), "first.png")
        page.locator(".line", has_text="red").wait_for()
        drop(page, png(np.full((9, 9, 3), (0, 0, 255), np.uint8)), "second.png")
        page.get_by_role("heading", name="second.png").wait_for()
        page.locator(".line", has_text="blue").wait_for()
        page.get_by_role("button", name="first.png").click()
        assert page.get_by_role("heading", name="first.png").is_visible()
        assert page.locator(".line").inner_text().startswith("red")
        assert page.locator("#images [aria-current=true]").inner_text().startswith("first.png")


def test_what_is_no_image_is_said(browser: Any, server: Site) -> None:
    with visit(browser, server.address, noise=("422",)) as page:
        drop(page, b"<html>", "page.html", "text/html")
        page.locator(".line", has_text="No answer").wait_for()
        assert "a text such as HTML or SVG, which is not read here" in page.get_by_role("status").inner_text()


def test_an_image_is_pasted(browser: Any, server: Site) -> None:
    with visit(browser, server.address) as page:
        page.evaluate(
            """(text) => {
              const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
              const clipboardData = new DataTransfer();
              clipboardData.items.add(new File([bytes], "pasted.png", { type: "image/png" }));
              document.body.dispatchEvent(new ClipboardEvent("paste", { bubbles: true, clipboardData }));
            }""",
            base64.b64encode(red()).decode(),
        )
        page.get_by_role("heading", name="pasted.png").wait_for()
        page.locator(".line", has_text="red").wait_for()


def test_an_image_that_comes_before_the_models_are_known_waits_for_them(browser: Any, server: Site) -> None:
    held: list[Any] = []
    with visit(browser, server.address) as page:
        page.route("**/v1/models", lambda route: held.append(route))
        page.reload()
        drop(page, red(), "early.png")
        assert not page.get_by_role("heading", name="early.png").is_visible()
        held.pop().continue_()
        page.locator(".line", has_text="red").wait_for()


def test_a_photo_is_taken(browser: Any, server: Site) -> None:
    with visit(browser, server.address, permissions=["camera"]) as page:
        page.get_by_role("button", name="Take a photo").click()
        until(page, "document.getElementById('video').videoWidth > 0")
        page.get_by_role("button", name="Take it").click()
        page.locator("#image-name", has_text="photo").wait_for()
        page.locator(".line", has_text=",").wait_for()
        assert not page.locator("#photo").is_visible()


def test_a_token_is_asked_for(browser: Any) -> None:
    token = "correct-horse-battery"
    with (
        site({"colours": source(proven(Engine()))}, token=token) as locked,
        visit(browser, locked.address, noise=("401",)) as page,
    ):
        page.get_by_label("Token").fill("wrong")
        page.keyboard.press("Enter")
        page.get_by_text("That token is another one.").wait_for()
        page.get_by_label("Token").fill(token)
        page.get_by_role("button", name="Go on").click()
        drop(page, red(), "one.png")
        page.locator(".line", has_text="red").wait_for()


@contextlib.contextmanager
def proxy(server: Site, folder: str) -> Iterator[str]:
    """A reverse proxy that takes a folder off the path, as nginx does by default: it names the server as the host."""
    upstream = server.address.removeprefix("http://")

    class Handler(http.server.BaseHTTPRequestHandler):
        def forward(self) -> None:
            if not self.path.startswith(folder):
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            connection = http.client.HTTPConnection(upstream, timeout=20)
            connection.request(self.command, self.path.removeprefix(folder.rstrip("/")), body or None, headers)
            answer = connection.getresponse()
            data = answer.read()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
            connection.close()

        do_GET = do_POST = forward  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

    made = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    try:
        yield f"http://photos.localhost:{made.server_port}{folder.rstrip('/')}"
    finally:
        made.shutdown()
        made.server_close()
        thread.join()


def test_it_works_below_a_path_behind_a_proxy(browser: Any) -> None:
    sources = {"colours": source(proven(Engine()), explain)}
    with (
        site(sources, host_name=["photos.localhost"]) as server,
        proxy(server, "/svertka/") as address,
        visit(browser, address) as page,
    ):
        drop(page, red(), "one.png")
        page.locator(".line", has_text="red").wait_for()
        page.get_by_text("Grad-CAM", exact=True).click()
        page.get_by_role("img", name="Where red is seen, by Grad-CAM").wait_for()
        page.get_by_role("link", name="For programs").click()
        page.get_by_role("heading", name="POST /v1/predict").wait_for()
        assert page.get_by_text(f"curl -F image=@photo.jpg {address}/v1/predict").is_visible()
        page.get_by_role("link", name="The page").click()
        page.locator("#ask").wait_for()
        assert page.url == f"{address}/"


def test_it_says_that_models_are_loading(browser: Any) -> None:
    gate = threading.Event()

    def slow() -> Opened:
        gate.wait(20)
        return source(proven(Engine()))()

    with site({"slow": slow}, wait=False) as server, visit(browser, server.address, noise=("503",)) as page:
        page.get_by_text("Loading slow, 1 of 1 model,").wait_for()
        drop(page, red(), "early.png")
        assert not page.locator("#ask").is_visible()
        gate.set()
        page.locator(".line", has_text="red").wait_for()


def test_the_description_is_shown(browser: Any, server: Site) -> None:
    with visit(browser, server.address, viewport={"width": 390, "height": 800}) as page:
        page.get_by_role("link", name="For programs").click()
        page.get_by_role("heading", name="POST /v1/predict").wait_for()
        assert page.get_by_text(f"curl -F image=@photo.jpg {server.address}/v1/predict").is_visible()
        assert page.get_by_text("NoneOfThese", exact=True).is_visible()
