"""Exporting what was measured to be best on the user's images: engine, precision, and how a batch is run."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from svertka.commands.export.validating import Score, Validation
from svertka.deploy.choosing import BATCHES, Trial, choose
from svertka.deploy.onnx import onnx_bytes, with_card
from svertka.deploy.parity import largest_difference, one_by_one, resized, scale
from svertka.deploy.quantising import by_sensitivity, quantise
from svertka.errors import UserError
from svertka.layers.net import Net
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Classifier
from svertka.runtime.agreement import difference
from svertka.runtime.card import Card, Golden, image_input
from svertka.runtime.cores import available_cores
from svertka.runtime.decoding import Outputs
from svertka.runtime.deployment import AGREEMENT, Deployment, EngineName, Precision
from svertka.runtime.engines import Engine, OnnxRuntimeEngine
from svertka.runtime.openvino_core import openvino_has_bf16, openvino_is_installed
from svertka.runtime.predictor import Predictor
from svertka.wording import counted
from svertka.zoo.engine import TorchEngine

_MAX_DROP = 0.5  # points
_CALIBRATED = 128  # images: more change the ranges of activations by less than their rounding
_COMPARED = 24  # images that engines are compared by; a multiple of the batches that are compared
_USUAL = 224 * 224  # pixels of an image; of larger ones there are fewer
_PIECE = 512 * 512  # pixels of what an image that is taken whole is cut into, at least
_RANKED = 16  # images by which layers are ranked
_ENGINES: tuple[EngineName, ...] = ("onnxruntime", "openvino")


class Deployed(NamedTuple):
    """What was chosen, and by what.

    Attributes:
        graph: The ONNX file, with its card.
        card: That card.
        difference: The largest absolute difference to the golden outputs, of all engines here.
        measured: As JSON, see `svertka.commands.export.result.Exported`.
    """

    graph: bytes
    card: Card
    difference: float
    measured: dict[str, Any]


@dataclass
class _Deploying:
    net: Net
    card: Card
    validation: Validation
    folder: Path
    max_drop: float
    threads: int
    any_size: bool

    def __post_init__(self) -> None:
        self.plain = onnx_bytes(self.net, self.card, any_size=self.any_size)
        graph = self._written("fp32", self.plain)
        self.graphs: dict[Precision, Path] = {"fp32": graph, "bf16": graph}
        engine = OnnxRuntimeEngine(graph, threads=self.threads)
        self.images = np.concatenate(self.validation.inputs(engine, self._share_of(_COMPARED)))
        self.expected = one_by_one(TorchEngine(self.net), self.images)
        self._prove(engine)
        self.score = self.validation.score(engine)
        self.scores: dict[tuple[EngineName, Precision], Score] = {("onnxruntime", "fp32"): self.score}
        self.head = self._products_of_the_head()
        self.left: list[str] = []
        self.quantised: Any = None
        self.literal: Outputs = {}
        self.quantising_error = 0.0

    def _share_of(self, count: int) -> int:
        preprocess = image_input(self.card)
        pixels = preprocess.height * preprocess.width
        if preprocess.fit == "whole":
            pixels = max(pixels, _PIECE)
        return max(2, min(count, count * _USUAL // pixels))

    def _prove(self, engine: Engine) -> None:
        apart, limit = self._apart(engine, "fp32")
        if not apart <= limit:
            raise UserError(
                f"the exported graph differs by {apart:.2g} on your images, more than {limit:.2g}; nothing was written",
                mend="please report the network and its options",
            )

    def trials(self, precisions: Sequence[Precision]) -> list[Trial]:
        """Every engine that is here at every precision, with difference and score, refused where it falls short."""
        found: list[Trial] = []
        for precision in precisions:
            if precision == "int8":
                try:
                    self._quantise()
                except UserError as error:
                    found += [Trial(engine, precision, refused=error.what) for engine in _ENGINES]
                    continue
            for engine in _ENGINES:
                if precision == "bf16" and engine == "onnxruntime":
                    continue
                self.validation.display.say(f"trying {engine}, {precision}")
                found.append(self._trial(engine, precision))
        return found

    def _trial(self, engine: EngineName, precision: Precision) -> Trial:
        trial = Trial(engine, precision, graph=self.graphs[precision])
        if engine == "openvino" and not openvino_is_installed():
            return dataclasses.replace(trial, refused="not installed")
        if precision == "bf16" and not openvino_has_bf16():
            return dataclasses.replace(trial, refused="this processor has no bf16")
        try:
            running = trial.open(threads=self.threads)
        except UserError as error:
            return dataclasses.replace(trial, refused=error.what)
        apart, limit = self._apart(running, precision)
        score = self.scores.get((engine, precision)) or self.validation.score(running)
        drop = self.score.drop(score)
        trial = dataclasses.replace(trial, difference=apart, score=score.value, drop=drop)
        if not apart <= limit:
            return dataclasses.replace(trial, refused=f"differs by {apart:.2g}, more than {limit:.2g}")
        if drop > self.max_drop:
            return dataclasses.replace(trial, refused=f"loses {drop:.2f} points")
        return trial

    def _apart(self, engine: Engine, precision: Precision) -> tuple[float, float]:
        """How far an engine is from what it should compute, and how far it may be."""
        if precision == "int8":
            # Of the graph, operation by operation: an engine may round elsewhere, but not add to what quantising costs.
            return largest_difference(engine, self.images, self.literal), self.quantising_error
        apart = largest_difference(engine, self.images, self.expected)
        if precision == "bf16":
            return apart, math.inf  # its score decides
        return max(apart, self._apart_at_other_sizes(engine)), AGREEMENT * scale(self.expected)

    def _apart_at_other_sizes(self, engine: Engine) -> float:
        preprocess = image_input(self.card)
        if not self.any_size and (preprocess.fit != "whole" or preprocess.margin):
            return 0.0  # the graph takes one size
        height, width = self.images.shape[2:]
        sides = [(height + 32, width), (max(32, height * 3 // 4), max(32, width // 2))]
        apart = 0.0
        for images in resized(self.images[:4], sides):
            expected = one_by_one(TorchEngine(self.net), images)
            # The tolerance is that of the size that the network learnt from.
            apart = max(apart, largest_difference(engine, images, expected) / scale(expected) * scale(self.expected))
        return apart

    def _quantise(self) -> None:
        calibration = self.validation.inputs(TorchEngine(self.net), self._share_of(_CALIBRATED), learnt_from=True)
        ranking: list[str] = []
        while True:
            self.validation.display.say(
                f"quantising, calibrated on {counted(len(calibration), 'image')}"
                + (
                    f"; {counted(len(self.left), 'layer is', 'layers are')} left in single precision"
                    if self.left
                    else ""
                )
            )
            self.quantised = quantise(self.plain, calibration, leave=[*self.head, *self.left])
            path = self._written("int8", with_card(self.quantised, self.card))
            self.graphs["int8"] = path
            self.literal = one_by_one(OnnxRuntimeEngine(path, threads=self.threads, literal=True), self.images)
            self.quantising_error = max(difference(self.literal, self.expected), AGREEMENT)
            engine: EngineName = "openvino" if openvino_is_installed() else "onnxruntime"
            running = Trial(engine, "int8", graph=path).open(threads=self.threads)
            self.scores[engine, "int8"] = self.validation.score(running)
            drop = self.score.drop(self.scores[engine, "int8"])
            if drop <= self.max_drop:
                return
            ranking = ranking or by_sensitivity(
                self.plain, self.quantised, calibration[:_RANKED], advance=self._ranking
            )
            count = 2 * len(self.left) or 1
            if count > len(ranking) // 2:  # little would be left that is faster
                return
            self.validation.display.say(f"int8 loses {drop:.2f} points")
            self.left = ranking[:count]

    def _products_of_the_head(self) -> list[str]:
        # It reads means of several stages, of very different sizes, which one scale for all would round away; and it is
        # small.
        if not isinstance(self.net, Classifier) or not isinstance(self.net.head, TransferHead):
            return []
        import onnx

        nodes = onnx.load_from_string(self.plain).graph.node
        return [node.name for node in nodes if node.op_type in ("Gemm", "MatMul")]

    def _ranking(self, done: int, total: int) -> None:
        self.validation.display.working("layers by what quantising costs", done, total)

    def finished(self, trial: Trial, record: dict[str, Any]) -> Deployed:
        """The chosen graph with the card that proves it."""
        model: Any = self.quantised
        golden, tolerance, largest = self.card.golden, AGREEMENT, 0.0
        if trial.precision == "int8":
            literal = Predictor(OnnxRuntimeEngine(trial.graph, threads=self.threads, literal=True), self.card)
            golden = tuple(_answered(literal, item) for item in golden)
            tolerance = self.quantising_error
        else:
            import onnx

            model = onnx.load_from_string(self.plain)
            if trial.precision == "bf16":
                assert trial.difference is not None
                tolerance = max(AGREEMENT, 2 * trial.difference)
        card = dataclasses.replace(
            self.card,
            golden=golden,
            deployment=Deployment(
                engine=trial.engine, precision=trial.precision, piece=trial.piece, tolerance=tolerance
            ),
            provenance={**self.card.provenance, "export": record},
        )
        data = with_card(model, card)
        path = self._written("final", data)
        final = dataclasses.replace(trial, graph=path)
        # As it ships, in the pieces that were chosen.
        apart, limit = self._apart(final.open(threads=self.threads), trial.precision)
        for name in _ENGINES if openvino_is_installed() else _ENGINES[:1]:
            engine = dataclasses.replace(final, engine=name).open(threads=self.threads)
            golden_apart = Predictor(engine, card).golden_difference()
            if not (apart <= limit and golden_apart <= tolerance):
                raise UserError(
                    f"the exported graph differs by {max(apart, golden_apart):.2g}, more than {tolerance:.2g}; "
                    "nothing was written",
                    mend="please report the network and its options",
                )
            largest = max(largest, golden_apart)
        return Deployed(data, card, largest, record)

    def _written(self, name: str, data: bytes) -> Path:
        path = self.folder / f"{name}.onnx"
        path.write_bytes(data)
        return path


def deploy(
    net: Net,
    card: Card,
    validation: Validation,
    precisions: Sequence[Precision],
    *,
    max_drop: float | None,
    threads: int | None,
    any_size: bool,
) -> Deployed:
    """Try every engine that is here at every precision, and take the fastest that is no worse than is allowed.

    Args:
        net: The network.
        card: Its card.
        validation: The images to measure with.
        precisions: What to try.
        max_drop: How many points of the score a precision may lose; half a point if None.
        threads: How many each engine has; all that this process may use if None.
        any_size: Leave height and width open.

    Raises:
        UserError: The exported graph does not agree with the network, or all that was tried is refused.
    """
    max_drop = _MAX_DROP if max_drop is None else max_drop
    threads = threads or available_cores()
    with tempfile.TemporaryDirectory() as folder:
        work = _Deploying(net, card, validation, Path(folder), max_drop, threads, any_size)
        trials = work.trials(precisions)
        if all(trial.refused for trial in trials):
            why = "; ".join(f"{trial.engine}, {trial.precision}: {trial.refused}" for trial in trials)
            raise UserError(f"nothing was written: {why}", mend="allow more with --max-drop, or take --precision auto")
        validation.display.say(f"timing with {counted(threads, 'thread')}")
        # Pieces of an image that is taken whole are run one by one.
        batches = (1,) if image_input(card).fit == "whole" else BATCHES
        trials = choose(trials, work.images, threads=threads, batches=batches)
        (chosen,) = (trial for trial in trials if trial.refused is None)
        record = {
            "trials": [trial.to_json() for trial in trials],
            "metric": validation.metric,
            "score": work.score.value,
            "judged_on": validation.part,
            "images": validation.images,
            "threads": threads,
            "left_in_single_precision": [*work.head, *work.left] if chosen.precision == "int8" else [],
        }
        return work.finished(chosen, record)


def _answered(predictor: Predictor, golden: Golden) -> Golden:
    return Golden(golden.input, {name: value[0] for name, value in predictor.raw([golden.input]).items()})
