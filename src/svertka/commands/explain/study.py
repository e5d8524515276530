"""What the methods of explaining are given, and where they put what they find."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from svertka.exhibits import Picture
from svertka.explaining.embedding import Means
from svertka.explaining.patches import TopUnits, top_units
from svertka.explaining.pictures import rgb
from svertka.layers.receptive_field import Fields, stage_fields
from svertka.report.page import Section
from svertka.results import Result
from svertka.runtime.files import make_folder, replacing
from svertka.workflows.explaining.images import Material
from svertka.workflows.explaining.subject import Score, Subject
from svertka.workflows.progress import Display

CHANNELS = 12
"""That are shown of a stage, where none are named."""


@dataclass
class Study:
    """One explanation of a model.

    Attributes:
        subject: The network.
        material: The images.
        shown: Numbers of the images that are explained one by one.
        layer: The stage that class activation maps and the embedding go by.
        stages: Those that are looked into.
        channels: Those that are shown; empty for the most selective ones.
        named: The class that is explained; None for the likeliest of each image.
        out: Folder for the pictures.
        display: Is told how it goes.
        found: What was found, as JSON, by method.
        files: Pictures that were written.
        notes: What could not be done, and why.
        channel_pictures: By stage and channel, what is shown of it.
        image_pictures: What is shown of each of the images.
        map_pictures: Of each of the images, its maps along the network.
        sections: More for the page.
    """

    subject: Subject
    material: Material
    shown: NDArray[np.int64]
    layer: str
    stages: tuple[str, ...]
    channels: tuple[int, ...]
    named: int | None
    out: Path
    display: Display
    found: dict[str, Any] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    channel_pictures: dict[str, dict[int, list[Picture]]] = field(default_factory=dict)
    image_pictures: list[list[Picture]] = field(default_factory=list)
    map_pictures: list[list[Picture]] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    embed: bool = False
    """Whether the means of `layer` are to be gathered on the one pass over all images."""

    def __post_init__(self) -> None:
        self.image_pictures = [[] for _ in self.shown]
        self.map_pictures = [[] for _ in self.shown]

    @property
    def net(self) -> nn.Module:
        """The network."""
        return self.subject.net

    @cached_property
    def images(self) -> Tensor:
        """The shown images as input of the network."""
        return self.material.batch(self.shown)

    @cached_property
    def pictures(self) -> list[NDArray[np.uint8]]:
        """The shown images as pictures, as large as the network's input."""
        return [rgb(pixels) for pixels in self.material.pixels(self.shown)]

    @cached_property
    def logits(self) -> Any:
        """Of the shown images; see `Subject.logits`."""
        return self.subject.logits(self.images)

    @cached_property
    def results(self) -> list[Result]:
        """What is predicted of the shown images."""
        return self.subject.results(self.images)

    def drawn(self, number: int) -> NDArray[np.uint8] | None:
        """What is predicted of a shown image, drawn on it, where that says where things are; else None."""
        if not self.results[number].located:
            return None
        picture, margin = self.pictures[number], self.subject.margin
        height, width = picture.shape[:2]
        return self.results[number].shown(picture[margin : height - margin, margin : width - margin])

    @cached_property
    def target(self) -> Score:
        """What is explained of the shown images."""
        return self.subject.target(self.logits, self.named)

    @cached_property
    def fields(self) -> dict[str, Fields]:
        """The receptive fields of every stage."""
        return stage_fields(self.subject.net.trunk, *self.subject.size)

    @cached_property
    def pass_over_all(self) -> tuple[dict[str, TopUnits], Means]:
        """The most active units of the chosen stages, and, if asked for, the means of `layer`: of all images."""
        means, done = Means(), 0
        layers = {name: self.subject.stages[name] for name in dict.fromkeys((*self.stages, self.layer))}
        everything = np.arange(len(self.material))

        def advance(images: int) -> None:
            nonlocal done
            done += images
            self.display.working("running all images", done, len(everything))

        batches = self.material.batches(everything)
        beside = {self.layer: means.add} if self.embed else {}
        return top_units(self.net, layers, batches, advance=advance, beside=beside), means

    def shown_channels(self, stage: str) -> list[int]:
        """The channels of a stage that are shown: those named, so far as it has them, or the most selective ones."""
        units = self.pass_over_all[0][stage]
        if self.channels:
            return [channel for channel in self.channels if channel < len(units.values)]
        return units.selective(CHANNELS)

    def add_to_channel(self, stage: str, channel: int, picture: Picture) -> None:
        """Show a picture of a channel."""
        self.channel_pictures.setdefault(stage, {}).setdefault(channel, []).append(picture)

    def coloured(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values ``(C, H, W)`` in the order of the network's channels, as RGB."""
        return values[::-1] if self.material.preprocess.order == "bgr" else values

    def note(self, text: str) -> None:
        """Say once what could not be done."""
        if text not in self.notes:
            self.notes.append(text)

    def save(self, name: str, picture: NDArray[np.uint8]) -> None:
        """Write a picture as ``name``.png."""
        path = self.out / f"{name}.png"
        make_folder(path.parent)
        with replacing(path) as file:
            Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG")
        self.files.append(path.relative_to(self.out).as_posix())
