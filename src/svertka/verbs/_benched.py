"""Models that are to be measured, and the measuring."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from svertka.deploy.footprint import footprint
from svertka.deploy.onnx import onnx_bytes
from svertka.deploy.peaks import Peaks, threads_of_torch
from svertka.deploy.timing import measure as timed
from svertka.errors import UserError
from svertka.runtime.card import Card
from svertka.runtime.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine
from svertka.runtime.preprocess import Preprocess
from svertka.verbs._models import model_file
from svertka.verbs.bench import Figure
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine
from svertka.zoo.measure import measure
from svertka.zoo.modelfile import load_model, save_model
from svertka.zoo.weights import weights_records

if TYPE_CHECKING:
    from svertka.layers.net import Net
    from svertka.verbs._progress import Display

_BYTES = 4  # of a number in single precision
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
        files: By kind, ``.safetensors`` or ``.onnx``, what engines read.
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
    files: Mapping[str, Path] = field(repr=False)
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
        known = {record.name: record for record in registry.records()}
        if not given.exists() and name in known:
            return cls._of_net(known[name], image_size, folder)
        source = model_file(given)
        if source.suffix.lower() == ".onnx":
            card = OnnxRuntimeEngine(source).card
            files = {".onnx": source}
        else:
            net, card = load_model(source)
            files = {".safetensors": source, **_exported(net, card, folder)}
        part = next((part for part in ("test", "val") if part in card.metrics), "")
        metrics: Mapping[str, Any] = card.metrics.get(part, {})
        metric = next((metric for metric in _METRICS if metric in metrics), None)
        data = card.provenance.get("data", {})
        return cls._measured(
            name,
            card,
            source,
            files,
            score=None if metric is None else float(metrics[metric]),
            judged_by=f"{metric} on {part} of {data.get('name', 'its data')}" if metric else "",
        )

    @classmethod
    def _of_net(cls, record: registry.NetRecord, image_size: int | None, folder: Path) -> Subject:
        side = image_size or record.image_size
        record.check_side(side)
        arguments: dict[str, Any] = {"classes": record.classes, "in_channels": record.channels}
        if record.one_size:
            arguments["image_size"] = side
        torch.manual_seed(0)
        net = registry.build_any(record.name, arguments)
        card = Card(
            net=record.name,
            arguments=arguments,
            task="classification" if record.kind == "classifier" else "segmentation",
            classes=tuple(map(str, range(record.classes))),
            preprocess=Preprocess(
                height=side,
                width=side,
                channels=record.channels,
                fit=registry.KINDS[record.kind].fit,
                mean=(0,) * record.channels,
                std=(1,) * record.channels,
                margin=getattr(record.constructor(), "margin", 0),
            ),
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
            {".safetensors": source, **_exported(net, card, folder)},
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
        files: Mapping[str, Path],
        *,
        score: float | None,
        judged_by: str,
        net: str | None = None,
    ) -> Subject:
        preprocess = card.preprocess
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
            files,
            net,
        )

    def intensity(self, batch: int) -> float:
        """Operations for a byte that has to be moved at least.

        Weights are read once a batch; images, and what layers with weights give, are written once and read once.
        """
        image = self.card.preprocess.channels * math.prod(self.size)
        moved = _BYTES * (self.parameters + batch * (image + 2 * self.elements))
        return 2 * self.macs * batch / moved

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        hidden = ("card", "files")
        return {name: value for name, value in vars(self).items() if name not in hidden} | {"size": list(self.size)}


class Bench:
    """Measures models.

    Args:
        display: Is told how it goes.
        engines: To measure with.
        batches: Images a batch.
        peaks: What the machine can do, by number of threads.
        seconds: For which each engine is timed.

    Attributes:
        absent: Engines that could not be run, and why.
    """

    def __init__(
        self,
        display: Display,
        engines: Sequence[str],
        batches: Sequence[int],
        peaks: Mapping[int, Peaks],
        seconds: float,
    ) -> None:
        self.display, self.engines, self.batches, self.peaks, self.seconds = display, engines, batches, peaks, seconds
        self.absent: dict[str, str] = {}
        self._memories: dict[tuple[str, str], int | None] = {}

    def figures(self, subject: Subject) -> Iterator[Figure]:
        """What is measured of a model, by threads, then by batch, then by engine."""
        preprocess = subject.card.preprocess
        images = np.random.default_rng(0).standard_normal(
            (max(self.batches), preprocess.channels, *subject.size), np.float32
        )
        for threads, best in self.peaks.items():
            with threads_of_torch(threads):
                running = dict(self._running(subject, threads))
                for batch in self.batches:
                    self.display.say(f"{subject.name}: batch {batch}, threads {threads}")
                    runs = {name: engine.run for name, engine in running.items()}
                    for name, timing in timed(runs, images, batch=batch, seconds=self.seconds).items():
                        gflops = 2 * subject.macs * timing.throughput / 1e9
                        yield Figure(
                            subject.name,
                            name,
                            "fp32",
                            batch,
                            threads,
                            timing.calls,
                            timing.p50,
                            timing.p99,
                            timing.throughput,
                            gflops,
                            gflops / best.gflops,
                            best.attainable(subject.intensity(batch)) / best.gflops,
                            self._memory(subject, name, images.shape),
                        )

    def _memory(self, subject: Subject, engine: str, shape: tuple[int, ...]) -> int | None:
        # With the largest batch on the most threads, which is what is needed; to start a process takes seconds.
        key = subject.name, engine
        if key not in self._memories:
            self._memories[key] = footprint(engine, _file(subject, engine), shape, threads=max(self.peaks))
        return self._memories[key]

    def _running(self, subject: Subject, threads: int) -> Iterator[tuple[str, Engine]]:
        for name in self.engines:
            make = _MAKERS[name]
            try:
                yield name, make(_file(subject, name), threads)
            except (UserError, KeyError) as error:
                reason = str(error) if isinstance(error, UserError) else f"{subject.name} has no such file"
                self.absent[name] = reason


def _torch(file: Path, threads: int) -> Engine:
    del threads  # of the process
    return TorchEngine(load_model(file)[0])


_MAKERS: Mapping[str, Callable[[Path, int], Engine]] = {
    "pytorch": _torch,
    "onnxruntime": lambda file, threads: OnnxRuntimeEngine(file, threads=threads),
    "openvino": lambda file, threads: OpenVinoEngine(file, threads=threads),
}


def _file(subject: Subject, engine: str) -> Path:
    return subject.files[".safetensors" if engine == "pytorch" else ".onnx"]


def _exported(net: Net, card: Card, folder: Path) -> dict[str, Path]:
    file = folder / "model.onnx"
    try:
        file.write_bytes(onnx_bytes(net, card))
    except UserError:  # onnx is not installed, and PyTorch is measured alone
        return {}
    return {".onnx": file}
