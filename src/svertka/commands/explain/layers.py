"""Explaining what layers have learnt: filters, maps, patches, projections, made-up images."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svertka.commands.explain.study import Study
from svertka.exhibits import Gallery, Picture
from svertka.explaining.activations import feature_maps
from svertka.explaining.deconvnet import deconvnet
from svertka.explaining.filters import first_filters
from svertka.explaining.maximisation import maximise
from svertka.explaining.patches import window
from svertka.explaining.pictures import grey, rgb, share, sheet, signed
from svertka.explaining.targets import ChannelMean, ClassLogit, Unit
from svertka.report.page import Section
from svertka.wording import counted

_FILTERS = 64  # that are shown, at most
_MAPS = 16  # of an image at a stage
_TILE, _MAP_TILE, _FILTER_TILE = 64, 56, 40  # pixels
_SHEETS, _APART = 4, 12  # channels side by side in a file, and pixels between them
_NOISE = 0.02
_PROJECTED = 4  # channels of a stage, at most, where none are named: each takes nine passes
_MADE_UP = 6  # channels of a stage, at most: each takes seconds


def show_filters(study: Study) -> None:
    """The filters of the first layer."""
    try:
        filters = first_filters(study.net, study.images)
    except ValueError as error:
        study.note(f"no filters are shown: {error}")
        return
    tiles = [signed(study.coloured(weights)) for weights in filters[:_FILTERS].numpy()]
    picture = sheet(tiles, columns=8 if len(tiles) > 4 else len(tiles), side=_FILTER_TILE)
    study.save("filters", picture)
    count, channels, height, width = filters.shape
    study.found["filters"] = {"count": count, "channels": channels, "height": height, "width": width}
    shown = "" if count <= _FILTERS else f", the first {_FILTERS} of them"
    detail = f"{counted(count, 'filter')} of {height}×{width} over {counted(channels, 'channel')}{shown}; grey is zero"
    gallery = Gallery(
        title="Filters of the first layer", pictures=[Picture(image=picture, caption="filters", detail=detail)]
    )
    study.sections.append(Section(name="First layer", exhibits=[gallery]))


def show_maps(study: Study) -> None:
    """Of every shown image, the maps that it excites most, from the first stage to the last."""
    found = feature_maps(study.net, {name: study.subject.stages[name] for name in study.stages}, study.images)
    told: list[dict[str, list[int]]] = [{} for _ in study.shown]
    for stage, maps in found.items():
        count, height, width = maps.shape[1:]
        if height * width == 1:
            continue  # a number is no picture
        strongest = maps.flatten(2).amax(dim=2).argsort(dim=1, descending=True, stable=True)[:, :_MAPS]
        for number, channels in enumerate(strongest.tolist()):
            tiles = [grey(share(maps[number, channel].numpy())) for channel in channels]
            picture = sheet(tiles, columns=4, side=_MAP_TILE)
            study.save(f"maps-{number + 1}-{stage}", picture)
            told[number][stage] = channels
            detail = f"{counted(count, 'map')} of {height}×{width}; channels {', '.join(map(str, channels))}"
            study.map_pictures[number].append(Picture(image=picture, caption=stage, detail=detail))
    study.found["maps"] = told


def show_patches(study: Study) -> None:
    """The pieces of images that excite channels most."""
    told: dict[str, Any] = {}
    for stage in study.stages:
        units = study.pass_over_all[0][stage]
        sheets: list[NDArray[np.uint8]] = []
        channels: list[dict[str, Any]] = []
        for channel in study.shown_channels(stage):
            tiles = [_cut(study, stage, channel, rank) for rank in range(units.values.shape[1])]
            sheets.append(sheet(tiles, columns=3, side=_TILE))
            names = [study.material.names[number] for number in units.images[channel].tolist()]
            values = units.values[channel].tolist()
            channels.append(
                {
                    "channel": channel,
                    "values": values,
                    "images": names,
                    "rows": units.rows[channel].tolist(),
                    "columns": units.columns[channel].tolist(),
                }
            )
            detail = f"activations {values[0]:.3g} to {values[-1]:.3g}"
            study.add_to_channel(stage, channel, Picture(image=sheets[-1], caption="top patches", detail=detail))
        sizes = [axis.size for axis in study.fields[stage]]
        dead = int((units.values[:, 0] <= 0).sum())
        told[stage] = {
            "receptive_field": [None if np.isinf(size) else int(size) for size in sizes],
            "channels": channels,
            "never_active": dead,
        }
        if sheets:
            study.save(f"patches-{stage}", sheet(sheets, columns=_SHEETS, side=3 * _TILE + 4, gap=_APART))
    study.found["patches"] = {"images": len(study.material), "stages": told}


def show_projections(study: Study) -> None:
    """What in those pieces excited the channels, by a deconvolutional network."""
    told: dict[str, list[int]] = {}
    for done, stage in enumerate(study.stages):
        study.display.working("projecting", done, len(study.stages))
        units = study.pass_over_all[0][stage]
        channels = study.shown_channels(stage)[: None if study.channels else _PROJECTED]
        sheets = []
        for channel in channels:
            target = Unit(torch.full_like(units.rows[channel], channel), units.rows[channel], units.columns[channel])
            images = study.material.batch(units.images[channel].numpy())
            signal = deconvnet(study.net, study.subject.stages[stage], target, images).numpy()
            tiles = []
            for rank, values in enumerate(signal):
                top, left, bottom, right = _window(study, stage, channel, rank)
                tiles.append(signed(study.coloured(values[:, top:bottom, left:right]), most=99.5))
            sheets.append(sheet(tiles, columns=3, side=_TILE))
            study.add_to_channel(stage, channel, Picture(image=sheets[-1], caption="projected back"))
        if sheets:
            study.save(f"deconvnet-{stage}", sheet(sheets, columns=_SHEETS, side=3 * _TILE + 4, gap=_APART))
        told[stage] = channels
    study.display.working("projecting", len(study.stages), len(study.stages))
    study.found["deconvnet"] = told


def show_maximised(study: Study) -> None:
    """Images made up so that they excite channels, and the classes of the shown images."""
    preprocess = study.material.preprocess
    mean, std = torch.tensor(preprocess.mean), torch.tensor(preprocess.std)
    low, high = -mean / std, (1 - mean) / std

    def made(count: int) -> Tensor:
        noise = torch.randn(count, len(mean), *study.subject.size, generator=torch.Generator().manual_seed(0))
        return (0.5 + _NOISE * noise - mean[:, None, None]) / std[:, None, None]

    def picture(image: Tensor) -> NDArray[np.uint8]:
        pixels = (image * std[:, None, None] + mean[:, None, None]).clamp(0, 1)
        return rgb((255 * study.coloured(pixels.numpy())).round().astype(np.uint8).transpose(1, 2, 0))

    for done, stage in enumerate(study.stages):
        study.display.working("making up images", done, len(study.stages) + 1)
        channels = study.shown_channels(stage)[:_MADE_UP]
        if not channels:
            continue
        target = ChannelMean(torch.tensor(channels))
        images = maximise(study.net, study.subject.stages[stage], target, made(len(channels)), low=low, high=high)
        pictures = [picture(image) for image in images]
        for channel, found in zip(channels, pictures, strict=True):
            study.add_to_channel(stage, channel, Picture(image=found, caption="made up to excite it"))
        study.save(f"maximised-{stage}", sheet(pictures, columns=_SHEETS, side=3 * _TILE + 4, gap=_APART))
    study.found["maximisation"] = {"stages": list(study.stages), "classes": []}
    if not study.subject.class_images:
        return
    classes = sorted(set(study.target.classes.tolist()))
    images = maximise(study.net, study.net, ClassLogit(torch.tensor(classes)), made(len(classes)), low=low, high=high)
    study.display.working("making up images", len(study.stages) + 1, len(study.stages) + 1)
    gallery = []
    for number, image in zip(classes, images, strict=True):
        study.save(f"maximised-class-{number}", picture(image))
        gallery.append(Picture(image=picture(image), caption=study.subject.card.classes[number]))
    study.sections.append(
        Section(name="Made-up images", exhibits=[Gallery(title="What classes look like to it", pictures=gallery)])
    )
    study.found["maximisation"]["classes"] = [study.subject.card.classes[number] for number in classes]


def _window(study: Study, stage: str, channel: int, rank: int) -> tuple[int, int, int, int]:
    units = study.pass_over_all[0][stage]
    row, column = int(units.rows[channel, rank]), int(units.columns[channel, rank])
    return window(study.fields[stage], row, column, *study.subject.size)


def _cut(study: Study, stage: str, channel: int, rank: int) -> NDArray[np.uint8]:
    number = int(study.pass_over_all[0][stage].images[channel, rank])
    top, left, bottom, right = _window(study, stage, channel, rank)
    (pixels,) = study.material.pixels(np.array([number]))
    return rgb(pixels[top:bottom, left:right])
