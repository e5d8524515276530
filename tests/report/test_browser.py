"""The report in a browser: quiet, offline, as wide as the screen, and its few controls work."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from svertka.report.page import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDTHS = (360, 1280)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        yield browser
        browser.close()


class Visit:
    """A page, with all that the browser said and asked for while it was open."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.path = path
        self.noise: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.noise.append(message.text))
        self.page.on("pageerror", lambda error: self.noise.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.noise.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def check(self) -> None:
        assert self.noise == []
        assert [url for url in self.requests if not url.startswith("data:")] == [self.path.as_uri()]
        inner, outer = self.page.evaluate(
            "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
        )
        assert inner == outer, "the page scrolls sideways"


def written(folder: Path, report: dict[str, Any]) -> Path:
    path = folder / "report.html"
    write_report(path, **report)
    return path


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", ["realistic", "hostile"])
def test_is_quiet_offline_and_fits(
    browser: Any, tmp_path: Path, request: pytest.FixtureRequest, kind: str, width: int
) -> None:
    path = written(tmp_path, request.getfixturevalue(kind))
    with Visit(browser, path, viewport={"width": width, "height": 800}) as visit:
        visit.check()
        visit.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        visit.check()


def test_fits_and_shows_everything_without_script(browser: Any, tmp_path: Path, realistic: dict[str, Any]) -> None:
    path = written(tmp_path, realistic)
    with Visit(browser, path, java_script_enabled=False, viewport={"width": 360, "height": 800}) as visit:
        assert visit.page.locator("#theme").is_hidden()
        assert visit.page.locator("th button").count() == 0
        visit.page.locator("summary").last.click()
        assert visit.page.get_by_text("PyTorch").is_visible()
        assert visit.noise == []


@pytest.mark.parametrize(("system", "other"), [("light", "dark"), ("dark", "light")])
def test_theme_follows_the_system_until_it_is_toggled(
    browser: Any, tmp_path: Path, realistic: dict[str, Any], system: str, other: str
) -> None:
    lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    with Visit(browser, written(tmp_path, realistic), color_scheme=system) as visit:
        before = visit.page.evaluate(lightness)
        assert (before > 127) == (system == "light")
        visit.page.get_by_role("button", name=other.capitalize(), exact=True).click()
        assert (visit.page.evaluate(lightness) > 127) == (other == "light")
        visit.page.get_by_role("button", name=system.capitalize(), exact=True).click()
        assert visit.page.evaluate(lightness) == before
        visit.check()


def test_a_table_sorts_by_each_column(browser: Any, tmp_path: Path, realistic: dict[str, Any]) -> None:
    def column(index: int) -> list[str]:
        return visit.page.locator(f"table[data-sortable] tbody td:nth-child({index})").all_inner_texts()

    with Visit(browser, written(tmp_path, realistic)) as visit:
        head = visit.page.locator("table[data-sortable] thead th")
        head.nth(1).get_by_role("button").focus()
        visit.page.keyboard.press("Enter")
        assert column(2) == sorted(column(2), key=int, reverse=True)
        assert head.nth(1).get_attribute("aria-sort") == "descending"
        head.nth(1).get_by_role("button").click()
        assert column(2) == sorted(column(2), key=int)
        head.nth(0).get_by_role("button").click()
        assert column(1) == [str(digit) for digit in range(10)]
        assert head.nth(1).get_attribute("aria-sort") is None
        visit.check()


def test_a_matrix_cell_is_read_out(browser: Any, tmp_path: Path, hostile: dict[str, Any]) -> None:
    with Visit(browser, written(tmp_path, hostile), has_touch=True) as visit:
        for matrix, cell in enumerate(("td[class]", "path")):
            part = visit.page.locator("[data-matrix]").nth(matrix)
            part.locator(cell).nth(5).tap()
            assert " of " in part.locator(".detail").inner_text()
        assert visit.noise == []


def test_choices_are_made_by_click_and_by_key(browser: Any, tmp_path: Path, realistic: dict[str, Any]) -> None:
    with Visit(browser, written(tmp_path, realistic)) as visit:
        choice = visit.page.locator(".chooser").first
        outer = choice.locator(":scope > .tabs [role=tab]")
        assert outer.all_inner_texts() == ["stage 0", "stage 1"]
        panels = choice.locator(":scope > .option")
        assert [panels.nth(n).is_visible() for n in range(2)] == [True, False]
        outer.nth(1).click()
        assert [panels.nth(n).is_visible() for n in range(2)] == [False, True]
        inner = panels.nth(1).locator(".tabs [role=tab]")
        inner.nth(0).focus()
        for key, expected in (("ArrowRight", 1), ("ArrowRight", 2), ("ArrowRight", 0), ("End", 2), ("ArrowLeft", 1)):
            visit.page.keyboard.press(key)
            chosen = [tab.get_attribute("aria-selected") == "true" for tab in inner.all()]
            assert chosen == [n == expected for n in range(3)]
            shown = panels.nth(1).locator(".option")
            assert [shown.nth(n).is_visible() for n in range(3)] == chosen
            assert inner.nth(expected).evaluate("(tab) => tab === document.activeElement")
        visit.page.keyboard.press("Tab")
        assert not inner.nth(1).evaluate("(tab) => tab === document.activeElement")
        visit.check()
        visit.page.emulate_media(media="print")
        assert all(panels.nth(n).is_visible() for n in range(2))


def test_a_script_that_came_through_would_not_run(browser: Any, tmp_path: Path, realistic: dict[str, Any]) -> None:
    path = written(tmp_path, realistic)
    attack = "<script>document.title = 'run'</script><img src='no' onerror='document.title = \"run\"'>"
    path.write_text(path.read_text("utf-8").replace("</main>", f"{attack}</main>"), "utf-8")
    with Visit(browser, path) as visit:
        assert visit.page.title() == realistic["title"]
        assert any("Content Security Policy" in line for line in visit.noise)


def test_every_text_has_contrast(browser: Any, tmp_path: Path, realistic: dict[str, Any]) -> None:
    # WCAG 2.2, 1.4.3: 4.5 to 1. Every shade of the matrix is put on the page, also those that no cell has.
    measure = """() => {
      const context = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
      const rgba = (colour) => {
        context.clearRect(0, 0, 1, 1);
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data];
      };
      const channel = (v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
      const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
      const behind = (element) => {
        const colour = rgba(getComputedStyle(element).backgroundColor);
        return colour[3] || !element.parentElement ? colour : behind(element.parentElement);
      };
      const heat = document.createElement("table");
      heat.className = "heat";
      for (const kind of ["right", "wrong"]) {
        for (let shade = 1; shade <= 10; shade++) {
          const cell = heat.insertRow().insertCell();
          cell.className = `${kind} s${shade}`;
          cell.textContent = shade;
        }
      }
      document.querySelector("main").append(heat);
      const poor = [];
      const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
      for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const parent = node.parentElement;
        if (!node.textContent.trim() || parent.matches("script, title")) continue;
        const style = getComputedStyle(parent);
        const [a, b] = [rgba(parent.closest("svg") ? style.fill : style.color), behind(parent)];
        const [high, low] = [Math.max(light(a), light(b)), Math.min(light(a), light(b))];
        if ((high + 0.05) / (low + 0.05) < 4.5) poor.push(`${parent.outerHTML.slice(0, 80)} ${a} on ${b}`);
      }
      return poor;
    }"""
    path = written(tmp_path, realistic)
    for scheme in ("light", "dark"):
        with Visit(browser, path, color_scheme=scheme) as visit:
            assert visit.page.evaluate(measure) == []
