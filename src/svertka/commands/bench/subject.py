"""Models that are measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from svertka.deploy.onnx import onnx_bytes, with_card
from svertka.deploy.quantising import quantise
from svertka.errors import UserError
from svertka.runtime.card import Card, image_input
from svertka.runtime.deployment import Deployment, Precision
from svertka.runtime.onnx_card import read_onnx_card
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.preprocess import Preprocess
from svertka.workflows.models import model_file
from svertka.zoo import registry
from svertka.zoo.measure import measure
from svertka.zoo.modelfile import load_model, save_model
from svertka.zoo.records import NetRecord
from svertka.zoo.weights import weights_records

if TYPE_CHECKING:
    from svertka.layers.net import Net


_BYTES = 4  # of a number in single precision
_CALIBRATED = 4  # images of noise
_METRICS = ("accuracy", "miou", "map")


@dataclass(frozen=True)
class Subject:
    """A model that is measured.

    Attributes:
        name: As it was given, and with the side of the images where it is a network of the registry.
        card: Its card.
        size: Height and width of the images.
        macs: Multiply-accumulate operations for one image.
        parameters: How many it has.
        elements: Numbers that its layers with weights give for one image.
        bytes: Size of its file.
        score: The metric that counts, a fraction of one; None where nothing is known of it.
        judged_by: What that was measured on, and by whom.
        file: The model file that PyTorch reads, where there is one.
        graphs: By precision, the exported graphs that there are.
        net: The name in the table of machines; None for a model of one's own.
    """

    name: str
    card: Card = field(repr=False)
    size: tuple[int, int]
    macs: int
    parameters: int
    elements: int
    bytes: int
    score: float | None
    judged_by: str
    file: Path | None = field(repr=False)
    graphs: dict[Precision, Path] = field(repr=False)
    net: str | None = None

    @classmethod
    def of(cls, name: str, image_size: int | None, folder: Path) -> Subject:
        """The model file, run or network of this name.

        Args:
            name: Of a file, a folder, or a network.
            image_size: Side of the images for a network.
            folder: For what has to be written.

        Raises:
            UserError: There is no such model, or it cannot be exported.
        """
        folder.mkdir()
        given = Path(name)
        if not given.exists() and registry.has(name):
            return cls._of_net(registry.record(name), image_size, folder)
        source = model_file(given)
        if source.suffix.lower() == ".onnx":
            card = read_onnx_card(source)
            file, graphs = None, {(card.deployment or Deployment()).precision: source}
        else:
            net, card = load_model(source)
            file, graphs = source, _exported(net, card, folder)
        part = next((part for part in ("test", "val") if part in card.metrics), "")
        metrics: Mapping[str, Any] = card.metrics.get(part, {})
        metric = next((metric for metric in _METRICS if metric in metrics), None)
        data = card.provenance.get("data", {})
        return cls._measured(
            name,
            card,
            source,
            file,
            graphs,
            score=None if metric is None else float(metrics[metric]),
            judged_by=f"{metric} on {part} of {data.get('name', 'its data')}" if metric else "",
        )

    @classmethod
    def _of_net(cls, record: NetRecord, image_size: int | None, folder: Path) -> Subject:
        if record.media != "image":
            raise UserError(f"{record.name} takes {record.media}, and this is for networks that take images")
        side = image_size or record.image_size
        registry.check_side(record, side)
        if not record.takes("classes"):
            raise UserError(
                f"{record.name} gives {record.traits.gives}, and is timed once it is trained", mend="give a model file"
            )
        arguments = record.as_counted()
        if record.one_size:
            arguments["image_size"] = side
        torch.manual_seed(0)
        net = registry.build_any(record.name, arguments)
        card = Card(
            net=record.name,
            arguments=arguments,
            task=record.tasks[0],
            input=Preprocess(
                height=side,
                width=side,
                channels=record.channels,
                fit=record.traits.fit,
                mean=(0,) * record.channels,
                std=(1,) * record.channels,
                margin=record.margin,
            ),
            output=OutputSpec(classes=tuple(map(str, range(record.classes)))),
            licence="unspecified",
            provenance={},
            metrics={},
            golden=(),
            weights="",
        )
        source = folder / "model.safetensors"
        card = save_model(source, net.state_dict(), card)
        published = [
            weights.top1 for weights in weights_records() if (weights.net, weights.data) == (record.name, "imagenet")
        ]
        label = f"{record.name} {side}"
        return cls._measured(
            label,
            card,
            source,
            source,
            _exported(net, card, folder),
            score=max((top1 for top1 in published if top1), default=None),
            judged_by="published accuracy on ImageNet",
            net=label,
        )

    @classmethod
    def _measured(
        cls,
        name: str,
        card: Card,
        source: Path,
        file: Path | None,
        graphs: dict[Precision, Path],
        *,
        score: float | None,
        judged_by: str,
        net: str | None = None,
    ) -> Subject:
        preprocess = image_input(card, where=source)
        with torch.device("meta"):
            built = registry.build_any(card.net, card.arguments)
        stages = measure(built, preprocess.height, preprocess.width)
        return cls(
            name,
            card,
            (preprocess.height, preprocess.width),
            sum(stage.macs for stage in stages),
            sum(value.numel() for value in built.parameters()),
            sum(layer.elements for stage in stages for layer in stage.layers),
            source.stat().st_size,
            score,
            judged_by,
            file,
            graphs,
            net,
        )

    def intensity(self, batch: int) -> float:
        """Operations for a byte that has to be moved at least.

        Weights are read once a batch; images, and what layers with weights give, are written once and read once.
        """
        image = math.prod(self.card.input.shape)
        moved = _BYTES * (self.parameters + batch * (image + 2 * self.elements))
        return 2 * self.macs * batch / moved

    @property
    def takes_pixels(self) -> bool:
        """Whether its graph prepares images itself."""
        return self.card.deployment is not None and self.card.deployment.pixels

    def images(self, count: int) -> NDArray[Any]:
        """So many images of noise, as it takes them."""
        chance = np.random.default_rng(0)
        if self.takes_pixels:
            return chance.integers(0, 256, (count, *self.size, 3), np.uint8)
        return chance.standard_normal((count, *self.card.input.shape), np.float32)

    def quantise(self, folder: Path) -> None:
        """Add a graph in int8, of which only the time means something: it is calibrated on noise.

        Raises:
            UserError: There is no graph to quantise, or it cannot be.
        """
        plain = self.graphs.get("fp32")
        if plain is None:
            raise UserError(f"{self.name} is not there in single precision")
        model = quantise(plain.read_bytes(), [image[None] for image in self.images(_CALIBRATED)])
        self.graphs["int8"] = folder / "int8.onnx"
        self.graphs["int8"].write_bytes(with_card(model, self.card))

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        hidden = ("card", "file", "graphs")
        return {name: value for name, value in vars(self).items() if name not in hidden} | {"size": list(self.size)}


def _exported(net: Net, card: Card, folder: Path) -> dict[Precision, Path]:
    file = folder / "model.onnx"
    try:
        file.write_bytes(onnx_bytes(net, card))
    except UserError:  # onnx is not installed, and PyTorch is measured alone
        return {}
    return {"fp32": file}
