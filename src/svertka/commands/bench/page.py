"""What the page of a bench shows, and in which order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from svertka.exhibits import Curve, Curves, Exhibit, Table
from svertka.report.page import Section, write_report
from svertka.runtime.files import make_folder
from svertka.wording import counted

if TYPE_CHECKING:
    from svertka.commands.bench.figure import Figure
    from svertka.commands.bench.result import Benched


def write_page(benched: Benched) -> None:
    """Write the page of a bench to its ``report``."""
    assert benched.report is not None
    make_folder(benched.report.parent)
    line = benched.machines[-1]
    best = benched.peaks[-1]
    sections = [
        Section(name="How right, how fast", exhibits=_pictures(benched)),
        Section(name="What was measured", exhibits=[_models(benched), _figures(benched)]),
        Section(name="Machines", exhibits=[_machines(benched)]),
    ]
    write_report(
        benched.report,
        title=f"{counted(len(benched.subjects), 'model')} on {line.name}",
        lead=f"On {counted(best.threads, 'thread')} this machine reaches {best.gflops:,.0f} GFLOP/s in a "
        "product of matrices and "
        f"{best.bandwidth:,.1f} GB/s in a copy.",
        headline=[("GFLOP/s", f"{best.gflops:,.0f}"), ("GB/s", f"{best.bandwidth:,.1f}")],
        sections=[section for section in sections if section.exhibits],
    )


def _pictures(benched: Benched) -> list[Exhibit]:
    """Accuracy against speed, for models that were judged by the same."""
    pictures: list[Exhibit] = []
    judges = dict.fromkeys(subject.judged_by for subject in benched.subjects if subject.score is not None)
    for judge in judges:
        curves = []
        for subject in benched.subjects:
            mine = [figure for figure in benched.figures if figure.name == subject.name]
            if subject.judged_by == judge and subject.score is not None and mine:
                fastest = min(mine, key=_seconds)
                curves.append(Curve(name=subject.name, x=[1000 * _seconds(fastest)], y=[subject.score]))
        pictures.append(
            Curves(
                title=f"{judge[0].upper()}{judge[1:]}, against time",
                x_label="milliseconds an image, by the fastest engine, batch and threads",
                y_label="share of one",
                curves=curves,
                note="Up is more accurate, left is faster.",
            )
        )
    return pictures


def _seconds(figure: Figure) -> float:
    return 1 / figure.throughput


def _models(benched: Benched) -> Table:
    rows = [
        [
            subject.name,
            f"{subject.size[1]}×{subject.size[0]}",
            f"{subject.macs / 1e6:,.1f}",
            f"{subject.parameters:,}",
            f"{subject.bytes / 1e6:.2f}",
            "–" if subject.score is None else f"{subject.score:.1%}",
            subject.judged_by,
        ]
        for subject in benched.subjects
    ]
    return Table(
        title="Models", columns=("model", "images", "M operations", "parameters", "MB", "score", "of"), rows=rows
    )


def _figures(benched: Benched) -> Table:
    return Table(
        title="Times",
        columns=benched.columns,
        rows=benched.rows,
        note="p50 and p99 are milliseconds a batch that half, and 99 in 100, of the calls did not exceed; engines take "
        "turns. Of peak is the share of what this machine reaches in a product of matrices on as many threads; at "
        "most, the share that a roofline allows, by the numbers that have to be moved and the bandwidth of a copy: "
        "caches can beat it. Memory is the most that a process of its own took to load the model and answer the "
        "largest batch.",
    )


def _machines(benched: Benched) -> Table:
    return Table(
        title="What machines can do",
        columns=benched.machine_columns,
        rows=benched.machine_rows,
        note="Products of matrices in single and double precision, a copy, and by network, milliseconds for one image "
        f"and the most images a second. Kept in {benched.table}.",
    )
