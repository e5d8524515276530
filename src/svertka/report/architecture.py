"""A network as a picture: an SVG file that stands alone, one block a stage.

A block is as high as its maps and as wide as its channels are many, both on a square-root scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from svertka.wording import counted

_HIGHEST, _WIDEST, _THINNEST = 190.0, 96.0, 3.0
_MARGIN, _GAP, _TITLE, _LINE, _LETTER = 28.0, 18.0, 66.0, 17.0, 7.0
_BACK = 7.0  # how far the far side of a block lies up and to the right
_FONT = 'font-family="sans-serif" font-size="12"'
_INK, _MUTED, _PAPER = "#1b1d20", "#5b6068", "#ffffff"
_MAP, _MAP_SIDE, _MAP_EDGE = "#cfe0f5", "#9fbde3", "#1b4f9c"
_VECTOR, _VECTOR_EDGE = "#f3e3c8", "#8a5a12"


@dataclass(frozen=True)
class Block:
    """What is drawn of a stage.

    Attributes:
        name: Its name.
        shape: Shape of its output without the batch axis.
        receptive_field: Pixels of the image that a unit of its output sees along the longer axis; None for all.
        parameters: Number of parameters.
        macs: Multiply-accumulate operations for one image; None for the image itself.
    """

    name: str
    shape: tuple[int, ...]
    receptive_field: int | None = None
    parameters: int = 0
    macs: int | None = None

    @property
    def is_map(self) -> bool:
        """It has a spatial extent; else it is a vector."""
        return len(self.shape) > 1

    @property
    def lines(self) -> tuple[str, ...]:
        """What is written below it, under its name."""
        shape = " × ".join(str(extent) for extent in self.shape)
        if self.macs is None:
            return (shape,)
        return (
            shape,
            "sees all" if self.receptive_field is None else f"sees {self.receptive_field:,} px",
            counted(self.parameters, "parameter") if self.parameters else "no parameters",
            f"{_amount(self.macs)} MACs" if self.macs else "no MACs",
        )


def architecture(title: str, note: str, blocks: Sequence[Block]) -> str:
    """The picture, as the text of an SVG file.

    Args:
        title: Name of the network.
        note: Where it comes from; stands below, with its totals.
        blocks: The image, the stages and the head, in order.
    """
    side = max(max(block.shape[1:], default=1) for block in blocks)
    channels = max(block.shape[0] for block in blocks)
    sizes = [_size(block, side, channels) for block in blocks]
    columns = [
        max(wide + 2 * _BACK, max(len(text) for text in (block.name, *block.lines)) * _LETTER) + _GAP
        for block, (wide, _) in zip(blocks, sizes, strict=True)
    ]
    macs = _amount(sum(block.macs or 0 for block in blocks))
    note = f"{note} · {counted(sum(block.parameters for block in blocks), 'parameter')} · {macs} MACs"
    width = 2 * _MARGIN + max(sum(columns), len(note) * _LETTER)
    middle = _TITLE + _MARGIN + _HIGHEST / 2
    below = middle + _HIGHEST / 2 + _MARGIN
    height = below + max(len(block.lines) for block in blocks) * _LINE + _MARGIN
    extent = f'width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {extent} role="img" {_FONT} fill="{_INK}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="100%" height="100%" fill="{_PAPER}"/>',
        f'<text x="{_MARGIN:g}" y="34" font-size="20" font-weight="600">{escape(title)}</text>',
        f'<text x="{_MARGIN:g}" y="54" fill="{_MUTED}">{escape(note)}</text>',
    ]
    left, end = _MARGIN, None
    for block, (wide, high), column in zip(blocks, sizes, columns, strict=True):
        centre = left + column / 2
        if end is not None:
            parts.append(_arrow(end, centre - wide / 2 - 3, middle))
        parts += _drawn(block, centre, middle, wide, high)
        parts.append(_centred(block.name, centre, below, 'font-weight="600"'))
        parts += [
            _centred(line, centre, below + row * _LINE, f'fill="{_MUTED}"')
            for row, line in enumerate(block.lines, start=1)
        ]
        end = centre + wide / 2 + (_BACK if block.is_map else 0) + 3
        left += column
    return "\n".join([*parts, "</svg>"]) + "\n"


def _size(block: Block, side: int, channels: int) -> tuple[float, float]:
    if not block.is_map:
        return 2 * _THINNEST, _HIGHEST / 2
    wide = _WIDEST * math.sqrt(block.shape[0] / channels)
    high = _HIGHEST * math.sqrt(max(block.shape[1:]) / side)
    return max(_THINNEST, wide), max(_THINNEST, high)


def _drawn(block: Block, centre: float, middle: float, wide: float, high: float) -> list[str]:
    left, right, top, bottom = centre - wide / 2, centre + wide / 2, middle - high / 2, middle + high / 2
    fill, edge = (_MAP, _MAP_EDGE) if block.is_map else (_VECTOR, _VECTOR_EDGE)
    front = f'<rect x="{left:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{high:.1f}" fill="{fill}" stroke="{edge}"/>'
    if not block.is_map:
        return [front]
    upper = ((left, top), (left + _BACK, top - _BACK), (right + _BACK, top - _BACK), (right, top))
    outer = ((right, top), (right + _BACK, top - _BACK), (right + _BACK, bottom - _BACK), (right, bottom))
    return [_face(upper), _face(outer), front]


def _face(corners: Sequence[tuple[float, float]]) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return f'<polygon points="{points}" fill="{_MAP_SIDE}" stroke="{_MAP_EDGE}" stroke-linejoin="round"/>'


def _arrow(start: float, end: float, y: float) -> str:
    line = f"M{start:.1f} {y:.1f}H{end:.1f}m-5 -3l5 3l-5 3"
    return f'<path d="{line}" fill="none" stroke="{_MUTED}" stroke-linejoin="round"/>'


def _centred(text: str, x: float, y: float, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="middle" {style}>{escape(text)}</text>'


def _amount(value: int) -> str:
    unit, name = next(((unit, name) for unit, name in ((1e9, "G"), (1e6, "M")) if value >= unit), (1e3, "k"))
    return f"{value / unit:.1f} {name}"
