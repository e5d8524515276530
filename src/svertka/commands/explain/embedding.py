"""Explaining what the network takes for alike: all images laid out by what a layer gives for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.commands.explain.study import Study
from svertka.exhibits import Cloud, Exhibit, Spot
from svertka.explaining.embedding import layouts
from svertka.explaining.pictures import fitted, rgb
from svertka.report.page import Section
from svertka.wording import counted

_MOST = 400  # images on the map
_THUMBNAIL = 40
_WIDTH, _HEIGHT = 1200, 900


def show_embedding(study: Study) -> None:
    """Images laid out so that those are neighbours that the network takes for alike."""
    features = study.pass_over_all[1].features()
    chosen = np.unique(np.linspace(0, len(features) - 1, min(_MOST, len(features))).round().astype(np.int64))
    thumbnails = [fitted(rgb(study.material.pixels(np.array([number]))[0]), _THUMBNAIL) for number in chosen.tolist()]
    ways = layouts()
    told: dict[str, Any] = {}
    exhibits: list[Exhibit] = []
    for done, (name, lay_out) in enumerate(ways.items()):
        study.display.working("laying out images", done, len(ways))
        places = lay_out(features[chosen])
        told[name] = places.round(4).tolist()
        study.save(f"embedding-{name.lower()}", _painted(places, thumbnails))
        spots = [
            Spot(x=x, y=y, image=image, name=study.material.names[number], group=study.material.group(number))
            for (x, y), image, number in zip(places.tolist(), thumbnails, chosen.tolist(), strict=True)
        ]
        note = (
            f"{len(chosen):,} of {counted(len(features), 'image')} by the "
            f"{counted(features.shape[1], 'mean')} of {study.layer}."
        )
        exhibits.append(Cloud(title=name, spots=spots, note=note))
    study.display.working("laying out images", len(ways), len(ways))
    names = [study.material.names[number] for number in chosen.tolist()]
    study.found["embedding"] = {"layer": study.layer, "images": names, "layouts": told}
    study.sections.append(Section(name="What looks alike to it", exhibits=exhibits))


def _painted(places: NDArray[np.float64], thumbnails: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    canvas = np.full((_HEIGHT, _WIDTH, 3), 255, np.uint8)
    low, span = places.min(axis=0), np.ptp(places, axis=0)
    room = np.array([_WIDTH - _THUMBNAIL, _HEIGHT - _THUMBNAIL])
    corners = ((places - low) / np.where(span > 0, span, 1) * room).astype(np.int64)
    for (left, top), image in zip(corners.tolist(), thumbnails, strict=True):
        canvas[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas
