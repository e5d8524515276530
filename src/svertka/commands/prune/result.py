"""What came of pruning a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.wording import counted

if TYPE_CHECKING:
    from svertka.commands.prune.pruning import Choice


@dataclass(frozen=True)
class Point:
    """A network on the way from the whole one to the smallest.

    Attributes:
        name: What it is.
        model: Its model file.
        macs: Multiply-accumulate operations for one image.
        parameters: Parameters that are not zero.
        bytes: Size of the model file.
        compressed: Size of it behind gzip, in bytes.
        val: Metrics on validation.
        metrics: Metrics on the part that is judged by.
        latency: Median seconds for a batch of one image in ONNX Runtime; None where weights were zeroed, which no
            engine here is faster for, or where onnx is not installed.
    """

    name: str
    model: Path
    macs: int
    parameters: int
    bytes: int
    compressed: int
    val: Mapping[str, float]
    metrics: Mapping[str, float]
    latency: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {**vars(self), "model": str(self.model), "val": dict(self.val), "metrics": dict(self.metrics)}


@dataclass(frozen=True)
class Pruned:
    """What came of pruning.

    Attributes:
        model: The model file of the last step.
        report: The page with the curve.
        kind: ``channels`` were taken out, or ``weights`` zeroed.
        points: The network as it was, and after each step.
        tried: The ways to choose channels, the best, which was taken, first; metrics on validation before any training.
        headline: The metric that counts.
        judged_on: The part of the data that ``metrics`` are of.
        images: How many images that are.
    """

    model: Path
    report: Path
    kind: str
    points: tuple[Point, ...]
    tried: tuple[Choice, ...]
    headline: str
    judged_on: str
    images: int

    @property
    def sentence(self) -> str:
        """What came of it, in one line."""
        first, last, metric = self.points[0], self.points[-1], self.headline
        lost = 100 * (first.metrics[metric] - last.metrics[metric])
        change = f"{abs(lost):.1f} points {'lower' if lost > 0 else 'higher'}" if round(abs(lost), 1) else "as it was"
        text = (
            f"With {last.name} {metric.replace('_', ' ')} is {change} on "
            f"{counted(self.images, f'{self.judged_on} image')}"
        )
        if self.kind == "weights":
            return f"{text}; compressed, the file is {first.compressed / last.compressed:.2f} × smaller."
        text += f"; the file is {first.bytes / last.bytes:.2f} × smaller"
        if first.latency and last.latency:
            text += f", and an image takes {first.latency / last.latency:.2f} × less time"
        return f"{text}."

    @property
    def columns(self) -> tuple[str, ...]:
        """What `rows` have."""
        common = ("network", self.headline.replace("_", " "), "M operations", "parameters", "MB", "MB compressed")
        return common if self.kind == "weights" else (*common, "ms an image")

    @property
    def rows(self) -> list[list[str]]:
        """A line for each network, in text."""
        rows = []
        for point in self.points:
            row = [
                point.name,
                f"{point.metrics[self.headline]:.1%}",
                f"{point.macs / 1e6:,.1f}",
                f"{point.parameters:,}",
                f"{point.bytes / 1e6:.2f}",
                f"{point.compressed / 1e6:.2f}",
            ]
            if self.kind == "channels":
                row.append("–" if point.latency is None else f"{1000 * point.latency:.2f}")
            rows.append(row)
        return rows

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            **vars(self),
            "model": str(self.model),
            "report": str(self.report),
            "points": [point.to_json() for point in self.points],
            "tried": [choice.to_json() for choice in self.tried],
        }
