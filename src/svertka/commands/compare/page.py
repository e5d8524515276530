"""What the page of a comparison shows, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from svertka.commands.compare.advice import COLUMNS, Way, duration, row
from svertka.exhibits import Bars, Exhibit, Facts, Interval, Intervals, Listing, Table
from svertka.report.page import Section, write_report
from svertka.wording import counted

if TYPE_CHECKING:
    from svertka.commands.compare.result import Compared
    from svertka.data.preparing import Prepared

_USES = {"train": "To learn from", "val": "To choose by", "test": "To judge by"}


def write_comparison(compared: Compared, prepared: Prepared) -> None:
    """Write the page of a comparison to its ``report``."""
    assert compared.report is not None
    ways, taken = compared.ways, compared.advice.way
    ranked = sorted(ways, key=lambda way: -way.accuracy)
    picture = Intervals(
        title="Accuracy",
        items=[Interval(name=way.name, share=way.accuracy, low=way.low, high=way.high) for way in ranked],
        note=f"On the same {counted(compared.images['test'], 'image')}. The range is Wilson's 95 % interval of each "
        "by itself. The advice goes by McNemar's test at 5 %, which sees which images each has right: of two ways that "
        "find the same images hard, one can be surely better though their ranges overlap.",
    )
    sections = [
        Section(name="How right", exhibits=[picture]),
        Section(name="At what cost", exhibits=[_table(ways), *_costs(ways)]),
        Section(name="The data", exhibits=_data(compared, prepared)),
    ]
    write_report(
        compared.report,
        title=f"Ways to learn {prepared.dataset.root.resolve().name}",
        lead=compared.advice.text,
        headline=[
            ("accuracy", f"{taken.accuracy:.1%}"),
            ("macro F1", f"{taken.macro_f1:.1%}"),
            ("to train", duration(taken.seconds)),
            ("an image", duration(taken.latency.median)),
        ],
        sections=sections,
    )


def _table(ways: Sequence[Way]) -> Table:
    return Table(
        title="All of it",
        columns=COLUMNS,
        rows=[row(way) for way in ways],
        note="Training is from decoded images to the model, on all cores. One image is the median time from a decoded "
        "image to its class on one thread, all timed in turns; networks run in PyTorch, and those that differ in their "
        "weights alone are timed as one.",
    )


def _costs(ways: Sequence[Way]) -> list[Exhibit]:
    return [
        Bars(title="Training", unit="s", items=[(way.name, way.seconds) for way in ways]),
        Bars(title="One image", unit="ms", items=[(way.name, 1000 * way.latency.median) for way in ways]),
        Bars(title="Model", unit="MB", items=[(way.name, way.bytes / 1e6) for way in ways]),
    ]


def _data(compared: Compared, prepared: Prepared) -> list[Exhibit]:
    items = [("Read from", str(prepared.dataset.root)), ("Format", prepared.dataset.format)]
    items += [(_USES[part], counted(count, "image")) for part, count in compared.images.items()]
    items += [("Classes", f"{len(compared.classes):,}"), ("Left out", counted(len(compared.skipped), "file"))]
    found: list[Exhibit] = [Facts(title="What was read", items=items)]
    if compared.left_out:
        lines = [f"{item['name']}: {item['error']}" for item in compared.left_out]
        found.append(Listing(title="Ways left out", text="\n".join(lines)))
    if compared.skipped:
        lines = [f"{item['file']}: {item['error']}" for item in compared.skipped]
        found.append(Listing(title="Files left out", text="\n".join(lines)))
    return found
