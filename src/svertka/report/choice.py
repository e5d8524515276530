"""Choices, prepared for the page: every option with its pictures embedded, and those within it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from svertka.exhibits import Option
from svertka.report.pictures import Embedded, embed, gallery

_THUMBNAIL = 48  # pixels


@dataclass(frozen=True)
class Prepared:
    """An option, and what the template shows of it."""

    option: Option
    thumbnail: Embedded | None
    gallery: dict[str, object]
    inner: list[Prepared]


def choices(options: Sequence[Option]) -> list[Prepared]:
    """The options of a choice."""
    return [
        Prepared(
            option,
            None if option.thumbnail is None else embed(option.thumbnail, longest=_THUMBNAIL),
            gallery(option.pictures),
            choices(option.options),
        )
        for option in options
    ]
