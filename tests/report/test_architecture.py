"""The picture of a network is an SVG file that stands alone."""

import itertools
from xml.etree import ElementTree

import pytest

from svertka.report.architecture import Block, architecture

SVG = "{http://www.w3.org/2000/svg}"
BLOCKS = (
    Block("image", (3, 64, 64)),
    Block("conv <1>", (16, 64, 16), 3, 448, 1_769_472),
    Block("pool", (16, 16, 4), 5, 0, 0),
    Block("head", (10,), None, 170, 160),
)


@pytest.fixture
def drawing() -> ElementTree.Element:
    return ElementTree.fromstring(architecture("net & co", "Somebody, 1998", BLOCKS))


def test_everything_is_said(drawing: ElementTree.Element) -> None:
    texts = [element.text for element in drawing.iter(f"{SVG}text")]
    assert texts[:2] == ["net & co", "Somebody, 1998 · 618 parameters · 1.8 M MACs"]
    assert texts[2:4] == ["image", "3 × 64 × 64"]
    assert texts[4:9] == ["conv <1>", "16 × 64 × 16", "sees 3 px", "448 parameters", "1.8 M MACs"]
    assert texts[9:14] == ["pool", "16 × 16 × 4", "sees 5 px", "no parameters", "no MACs"]
    assert texts[14:] == ["head", "10", "sees all", "170 parameters", "0.2 k MACs"]


def test_nothing_lies_outside_or_comes_from_elsewhere(drawing: ElementTree.Element) -> None:
    width, height = float(drawing.attrib["width"]), float(drawing.attrib["height"])
    for element in drawing.iter():
        x, y = float(element.get("x", 0)), float(element.get("y", 0))
        assert 0 <= x <= width
        assert 0 <= y <= height
        assert not any("href" in key or "url(" in value for key, value in element.attrib.items())


def test_higher_maps_are_drawn_higher_and_more_channels_wider(drawing: ElementTree.Element) -> None:
    image, conv, pool, _ = [element for element in drawing.iter(f"{SVG}rect") if "stroke" in element.attrib]
    assert float(image.attrib["height"]) == float(conv.attrib["height"]) == 2 * float(pool.attrib["height"])
    assert float(image.attrib["width"]) < float(conv.attrib["width"]) == float(pool.attrib["width"])


def test_columns_do_not_overlap(drawing: ElementTree.Element) -> None:
    names = [element for element in drawing.iter(f"{SVG}text") if element.get("font-weight") and "y" in element.attrib]
    places = [float(element.attrib["x"]) for element in names[1:]]
    assert places == sorted(places)
    assert all(after - before > 60 for before, after in itertools.pairwise(places))
