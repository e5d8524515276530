"""What the page of a pruning shows, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from svertka.exhibits import Curve, Curves, Exhibit, Facts, Table
from svertka.report.page import Section, write_report
from svertka.wording import counted

if TYPE_CHECKING:
    from svertka.commands.prune.result import Point, Pruned
    from svertka.data.preparing import Prepared
    from svertka.runtime.card import Card


def write_page(pruned: Pruned, card: Card, prepared: Prepared) -> None:
    """Write the page of a pruning to its ``report``."""
    first, last, metric = pruned.points[0], pruned.points[-1], pruned.headline
    words = metric.replace("_", " ")
    headline = [
        (f"{words}, before", f"{first.metrics[metric]:.1%}"),
        (f"{words}, now", f"{last.metrics[metric]:.1%}"),
        ("operations left", f"{last.macs / first.macs:.0%}"),
        ("weights left", f"{last.parameters / first.parameters:.0%}"),
    ]
    if first.latency and last.latency:
        headline.append(("faster", f"{first.latency / last.latency:.2f} ×"))
    sections = [
        Section(name="What it cost, and what it brought", exhibits=[_curve(pruned), *_sizes(pruned), _table(pruned)])
    ]
    if pruned.tried:
        sections.append(Section(name="How channels were chosen", exhibits=[_choices(pruned)]))
    items = [("Read from", str(prepared.dataset.root)), ("Format", prepared.dataset.format)]
    items += [(part, counted(count, "image")) for part, count in prepared.counts.items()]
    sections.append(Section(name="The data", exhibits=[Facts(title="What was read", items=items)]))
    write_report(
        pruned.report,
        title=f"{card.net}, pruned",
        lead=pruned.sentence,
        headline=headline,
        sections=sections,
    )


def _table(pruned: Pruned) -> Table:
    note = f"On {counted(pruned.images, f'{pruned.judged_on} image')}. Parameters that are zero are not counted. "
    if pruned.kind == "channels":
        note += "An image is the median time of a batch of one in ONNX Runtime, all networks in turns, on all cores."
    else:
        note += "Engines here multiply by zeros as by other weights, so nothing is said of time."
    return Table(title="Step by step", columns=pruned.columns, rows=pruned.rows, note=note)


def _share(pruned: Pruned, point: Point) -> float:
    first = pruned.points[0]
    return point.macs / first.macs if pruned.kind == "channels" else point.parameters / first.parameters


def _curve(pruned: Pruned) -> Curves:
    x = [_share(pruned, point) for point in pruned.points]
    curves = [Curve(name="validation", x=x, y=[point.val[pruned.headline] for point in pruned.points])]
    if pruned.judged_on != "val":
        y = [point.metrics[pruned.headline] for point in pruned.points]
        curves.append(Curve(name=pruned.judged_on, x=x, y=y))
    return Curves(
        title=f"{pruned.headline.replace('_', ' ').capitalize()} by what is left",
        x_label=_left(pruned),
        y_label="share of one",
        curves=curves,
        note="Each after its own training. The rightmost point is the network as it was.",
    )


def _sizes(pruned: Pruned) -> list[Exhibit]:
    points, first = pruned.points, pruned.points[0]
    x = [_share(pruned, point) for point in points]

    def relative(name: str, values: Sequence[float]) -> Curve:
        return Curve(name=name, x=x, y=[value / values[0] for value in values])

    curves = [
        relative("operations", [point.macs for point in points]),
        relative("file", [point.bytes for point in points]),
        relative("compressed", [point.compressed for point in points]),
    ]
    latencies = [point.latency for point in points if point.latency is not None]
    if first.latency and len(latencies) == len(points):
        curves.append(relative("latency", latencies))
    return [Curves(title="Cost by what is left", x_label=_left(pruned), y_label="share of what it was", curves=curves)]


def _left(pruned: Pruned) -> str:
    return "share of the operations" if pruned.kind == "channels" else "share of the weights that are not zero"


def _choices(pruned: Pruned) -> Table:
    metrics = list(pruned.tried[0].metrics)
    return Table(
        title="Four ways, before any training",
        columns=("importance", "each group gives up", *(f"validation {name.replace('_', ' ')}" for name in metrics)),
        rows=[
            [choice.ranking, choice.allocation, *(float(choice.metrics[name]) for name in metrics)]
            for choice in pruned.tried
        ],
        note="All leave the share of operations that was asked for, with the statistics of normalisations measured "
        "anew. Magnitude is the size of the weights that make a channel; Taylor, the change of the loss without it, to "
        "first order. The first was taken.",
    )
