"""Older versions of the card: what a release before this one wrote, as this one would have written it."""

from __future__ import annotations

from typing import Any

CARD_VERSION = 2
"""Of the cards that are written."""

READ_VERSIONS = (1, CARD_VERSION)


def as_written_now(values: dict[str, Any], version: int) -> dict[str, Any]:
    """The values of a card of a version that is read, under the names of the version that is written.

    Version 1 was of images and classes alone: it had ``preprocess`` for ``input``, ``classes`` for ``output``, and
    golden inputs called ``image``.

    Raises:
        KeyError, TypeError: They are not those of such a card.
    """
    if version == CARD_VERSION:
        return values
    values = dict(values)
    preprocess, classes = values.pop("preprocess"), values.pop("classes")
    if {"input", "output"} & values.keys() or "media" in preprocess:
        raise TypeError("a card of version 1 with names of version 2")
    golden = [{"input": item["image"], "outputs": item["outputs"]} for item in values["golden"]]
    return values | {
        "input": {"media": "image", **preprocess},
        "output": {"classes": classes},
        "golden": golden,
    }
