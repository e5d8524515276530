"""What the report of a run shows, and in which order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from svertka.data.batching.handling import handling_for
from svertka.exhibits import Bars, Curve, Curves, Exhibit, Facts, Gallery, Listing, Picture, Table
from svertka.report.page import Section, write_report
from svertka.runtime.predictor import Predictor
from svertka.wording import counted, inflected
from svertka.zoo.engine import TorchEngine

if TYPE_CHECKING:
    from svertka.data.checks.findings import Finding
    from svertka.data.preparing import Prepared
    from svertka.data.samples import Sample
    from svertka.runtime.card import Card
    from svertka.tasks.task import Evaluation, Task
    from svertka.training.loop import Outcome
    from svertka.training.recipe import Recipe
    from svertka.workflows.rejection import Rejection
    from svertka.workflows.trained import Trained
    from svertka.workflows.training.stages import Data, Learnt

_EXAMPLES = 24
_NAMED = 10  # files of a finding
_METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "map50": "mean average precision at IoU 0.5",
    "map": "mean average precision",
    "miou": "mean IoU",
    "boundary_f1": "boundary F1",
}
_PART_NAMES = {"train": "training", "val": "validation", "test": "test"}


def write_run_report(trained: Trained, card: Card, data: Data, learnt: Learnt, doctor: Section | None) -> None:
    """Write the report of a finished run; ``doctor`` is what the doctor says of it, where one looked on."""
    outcome, evaluations, recipe = learnt.outcome, learnt.evaluations, learnt.recipe
    prepared, task = data.prepared, data.task
    sections = []
    samples, noun = prepared.counts.get("train", 0), prepared.dataset.media
    seconds = outcome.seconds or trained.seconds
    classes = f"{counted(len(card.classes), 'class')} " if card.classes else ""
    lead = f"{card.net} learnt {classes}from {counted(samples, noun)} in {_duration(seconds)}."
    headline: list[tuple[str, str]] = []
    if trained.judged_on:
        judged = evaluations[trained.judged_on]
        count = prepared.counts[trained.judged_on]
        name = _PART_NAMES[trained.judged_on]
        lead += f" {task.sentence(judged, name)}"
        headline = [
            *(
                (_title(metric), f"{judged.metrics[metric]:.1%}")
                for metric in task.headline
                if metric in judged.metrics
            ),
            (inflected(count, f"{name} {noun}"), f"{count:,}"),
            ("trained in", _duration(seconds)),
        ]
        predictor = Predictor(TorchEngine(learnt.net), card)
        galleries = _galleries(task, judged, prepared, trained.judged_on, predictor)
        sections.append(Section(name="What goes wrong", exhibits=task.exhibits(judged)))
        if galleries:
            sections.append(Section(name="Look at them", exhibits=galleries))
    if learnt.rejection:
        sections.append(Section(name="None of these", exhibits=[_refused(learnt.rejection, recipe)]))
    how: list[Exhibit] = [
        *_steps(learnt, task.headline[0]),
        *(_curves(outcome, recipe, task.headline) if outcome.history else []),
    ]
    sections.insert(1 if sections else 0, Section(name="How it learnt", exhibits=how))
    if doctor:
        sections.append(doctor)
    sections.append(Section(name="The data", exhibits=_data(prepared, data.findings or ())))
    stages = [(name, value) for name, value in trained.seconds.items() if value >= 0.005]
    sections.append(Section(name="Time", exhibits=[Bars(title="Time by stage", unit="s", items=stages)]))
    sections.append(
        Section(
            name="To do it again",
            exhibits=[
                Listing(
                    title="Recipe", text=recipe.to_toml(), note="recipe.toml, beside this page, has paths in full."
                ),
                _versions(card),
            ],
        )
    )
    title = f"{card.net} on {prepared.dataset.root.resolve().name}"
    write_report(trained.report, title=title, lead=lead, headline=headline, sections=sections)


def _steps(learnt: Learnt, metric: str) -> list[Exhibit]:
    if not learnt.tried:
        return []
    rows = [
        [
            step.name,
            *([step.metrics[metric], step.metrics.get("loss", "–")] if step.metrics else ["–", "–"]),
            f"{step.seconds:.1f}",
            "yes" if step.kept else "",
        ]
        for step in learnt.tried
    ]
    frozen = learnt.record["transfer"].get("frozen")
    note = "Validation chose what was kept." if learnt.tried[0].metrics else "The last step was kept."
    if frozen:
        note += (
            f" All stages up to {frozen['up to']} are as they were, statistics included: SHA-256 {frozen['sha256']}."
        )
    return [
        Table(
            title="What was tried",
            columns=("step", f"validation {_title(metric)}", "validation loss", "seconds", "kept"),
            rows=rows,
            note=note,
        )
    ]


def _curves(outcome: Outcome, recipe: Recipe, headline: Sequence[str]) -> list[Curves]:
    history = outcome.history
    columns = list(dict.fromkeys(name for row in history for name in row))

    def curve(name: str, column: str) -> list[Curve]:
        rows = [row for row in history if column in row]  # an update may not run in every epoch
        return [Curve(name=name, x=[row["epoch"] for row in rows], y=[row[column] for row in rows])] if rows else []

    terms = [name for name in columns if name.startswith("train_") and name != "train_loss"]
    best = float(outcome.best_epoch) if any(name.startswith("val_") for name in columns) else None
    note = f"The weights of epoch {outcome.best_epoch} were kept." if best else "The last epoch's weights were kept."
    if recipe.augment or recipe.dropout or recipe.label_smoothing:
        note += " Training loss is measured under augmentation and regularisation, so it may lie above validation's."
    losses = [*curve("training", "train_loss"), *curve("validation", "val_loss")]
    plots = [Curves(title="Loss", x_label="epoch", y_label="loss", curves=losses, mark=best, note=note)]
    if not losses:  # of several updates, each has its own
        plots = []
    if terms:
        curves = [item for term in terms for item in curve(term.removeprefix("train_"), term)]
        plots.append(Curves(title="Loss by term", x_label="epoch", y_label="loss", curves=curves))
    scores = [item for name in dict.fromkeys([*_METRICS, *headline]) for item in curve(_title(name), f"val_{name}")]
    if scores:
        plots.append(Curves(title="On validation", x_label="epoch", y_label="share of one", curves=scores, mark=best))
    rates = [item for name in columns if name.partition("_")[0] == "lr" for item in curve(name[3:], name)]
    plots.append(Curves(title="Learning rate", x_label="epoch", y_label="learning rate", curves=rates))
    return plots


def _title(metric: str) -> str:
    return _METRICS.get(metric, metric.replace("_", " "))


def _refused(rejection: Rejection, recipe: Recipe) -> Table:
    return Table(
        title="Images of these classes that are refused",
        columns=("part", "images", "refused", "false-reject rate", "from", "to"),
        rows=[
            [_PART_NAMES[part], rate.images, rate.hits, rate.share, *rate.interval]
            for part, rate in rejection.refused.items()
        ],
        note=f"An image is none of the classes if what the head reads is farther than {rejection.limit:.3f} from the "
        f"mean of every class (in deviations a feature). That limit was chosen on validation to refuse at most "
        f"{recipe.reject:.1%} there. The interval is Wilson's at 95 %. How many images of something else get by, only "
        f"such images can tell: svertka evaluate … --unknown FOLDER.",
    )


def _galleries(task: Task, judged: Evaluation, prepared: Prepared, part: str, predictor: Predictor) -> list[Gallery]:
    positions = prepared.parts[part].positions
    galleries = []
    for heading, chosen in task.examples(judged, _EXAMPLES).items():
        pictures, note = [], ""
        for index, caption, detail in chosen:
            sample = prepared.samples[positions[index]]
            panels = _panels(task, prepared, sample, predictor)
            note = f"Side by side: {', '.join(panels)}." if len(panels) > 1 else ""
            pictures.append(
                Picture(
                    image=np.concatenate(list(panels.values()), axis=1),
                    caption=caption,
                    detail=f"{detail} · {sample.name}",
                    panels=len(panels),
                )
            )
        galleries.append(Gallery(title=heading, pictures=pictures, key=task.colour_key(), note=note))
    return galleries


def _panels(task: Task, prepared: Prepared, sample: Sample, predictor: Predictor) -> dict[str, NDArray[np.uint8]]:
    value, _ = sample.source.load()
    picture = handling_for(prepared).picture(value, prepared.contents.transform)
    return task.panels(picture, sample.annotation, lambda _: predictor.predict([value])[0])


def _data(prepared: Prepared, findings: Sequence[Finding]) -> list[Facts | Listing]:
    items = [("Read from", str(prepared.dataset.root)), ("Format", prepared.dataset.format)]
    for part, count in prepared.counts.items():
        classes = prepared.per_class(part)
        spread = f"{min(classes.values(), default=0):,} to {max(classes.values(), default=0):,} a class"
        items.append((_PART_NAMES.get(part, part).capitalize(), f"{counted(count, prepared.dataset.media)}, {spread}"))
    items.append(("Left out", counted(len(prepared.skipped), "file")))
    found: list[Facts | Listing] = [Facts(title="What was read", items=items)]
    if prepared.notes:
        found.append(Listing(title="Choices made while reading", text="\n".join(prepared.notes)))
    if findings:
        lines = []
        for finding in findings:
            lines += [finding.line(), *(f"    {line}" for line in finding.lines()[:_NAMED])]
        found.append(
            Listing(title="What was found in it", text="\n".join(lines), note=handling_for(prepared).more_findings)
        )
    if prepared.skipped:
        lines = [f"{item.file}: {item.error}" for item in prepared.skipped]
        found.append(Listing(title="Files left out", text="\n".join(lines)))
    return found


def _versions(card: Card) -> Facts:
    packages = card.provenance["packages"]
    items = [
        *packages.items(),
        ("weights, SHA-256", card.weights),
        ("data fingerprint", card.provenance["data"]["fingerprint"]),
    ]
    return Facts(title="Versions and digests", items=items)


def _duration(seconds: Mapping[str, float]) -> str:
    total = sum(seconds.values())
    if total < 120:
        return f"{total:.1f} s" if total < 10 else f"{total:.0f} s"
    return f"{total // 60:.0f} min {total % 60:.0f} s"
