"""Cross-validation: a run for each fold, and what they have measured in common.

R. Kohavi, "A Study of Cross-Validation and Bootstrap for Accuracy Estimation and Model Selection", 1995.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from svertka.commands.train.result import CrossValidated
from svertka.runtime.files import write_text
from svertka.wording import counted
from svertka.workflows.run_folder import Run
from svertka.workflows.trained import Trained


def cross_validate(run: Run, source: Path, train: Callable[[Run], Trained]) -> CrossValidated:
    """Train each fold of the recipe, or find it trained; a run that is resumed goes on where it was.

    Args:
        run: The folder that the folds' runs go into.
        source: The data set.
        train: Trains one fold, or hands back what it made before.
    """
    from svertka.zoo.modelfile import read_card

    trained = []
    for fold in range(1, run.recipe.folds + 1):
        folder = run.folder / f"fold-{fold}"
        # Once begun, its recipe has nothing left open.
        recipe = None if (folder / "recipe.toml").is_file() else run.recipe.changed({"fold": fold})
        trained.append(train(replace(Run.open(source, recipe, {}, folder, resume=True), within=run)))
    by_fold = [read_card(result.model).metrics["val"] for result in trained]
    means = {name: statistics.fmean(metrics[name] for metrics in by_fold) for name in by_fold[0]}
    spread = {name: statistics.stdev(metrics[name] for metrics in by_fold) for name in by_fold[0]}
    report = run.folder / "report.html"
    found = CrossValidated(run.folder, means, spread, tuple(trained), tuple(by_fold), report)
    _write_report(found, source)
    write_text(run.folder / "run.json", json.dumps(found.to_json(), indent=1))
    return found


def _write_report(found: CrossValidated, source: Path) -> None:
    from svertka.exhibits import Table
    from svertka.report.page import Section, write_report

    names = list(found.metrics)
    rows: list[list[str | float]] = [
        [f"fold {number}", *(metrics[name] for name in names)] for number, metrics in enumerate(found.by_fold, 1)
    ]
    rows.append(["mean", *(found.metrics[name] for name in names)])
    rows.append(["deviation", *(found.deviation[name] for name in names)])
    note = (
        "Each fold was judged on what it held out. The deviation is over the folds; they share what they learnt from."
    )
    table = Table(title="By fold", columns=("", *(name.replace("_", " ") for name in names)), rows=rows, note=note)
    first = names[0]
    score = f"{first.replace('_', ' ')} {found.metrics[first]:.3f} ± {found.deviation[first]:.3f}"
    write_report(
        found.report,
        title=f"Cross-validation on {source.resolve().name}",
        lead=f"{counted(len(found.folds), 'fold')}: {score}.",
        sections=[Section(name="What was measured", exhibits=[table])],
    )
