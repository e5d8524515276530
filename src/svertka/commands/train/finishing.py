"""The last stage of a training: what was learnt is judged, written down, and shown."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path

from svertka.commands.train.page import write_run_report
from svertka.errors import UserError
from svertka.report.page import Section
from svertka.workflows.diagnosing import judged, records, section
from svertka.workflows.progress import Display
from svertka.workflows.rejection import FALSE_REJECTS
from svertka.workflows.run_folder import Run
from svertka.workflows.trained import Trained
from svertka.workflows.training.card import card_of
from svertka.workflows.training.stages import Context, Data, Learnt, Plan
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import save_model


def finish(plan: Plan, data: Data, learnt: Learnt, context: Context) -> Trained:
    """Write the model file, the history and the report of a run; from then on it is complete.

    Args:
        plan: Says where, and whether this process is the one that writes.
        data: What was learnt from.
        learnt: What came of it.
        context: Is told what is diagnosed.

    Raises:
        UserError: What was measured is not finite, or something cannot be written.
    """
    run, prepared = plan.run, data.prepared
    data = dataclasses.replace(data, task=data.task.settled(learnt.evaluations.get("val")))
    evaluations = {part: data.task.score().evaluate(found.arrays) for part, found in learnt.evaluations.items()}
    learnt = dataclasses.replace(learnt, evaluations=evaluations)
    judged_on = next((part for part in ("test", "val") if part in prepared.parts), None)
    metrics = _metrics(learnt, run.folder)
    if not plan.machine.first:
        return run.trained(metrics.get(judged_on or "", {}), judged_on, {}, ())
    engine = TorchEngine(learnt.net)
    card = card_of(learnt, data, metrics, engine, judged_on or "train")
    trained = run.trained(
        metrics[judged_on] if judged_on else {},
        judged_on,
        context.clock.seconds | learnt.outcome.seconds,
        tuple(item.to_json() for item in prepared.skipped),
        tuple(step.to_json() for step in learnt.tried),
        tuple(finding.to_json() for finding in data.findings or () if finding.severity != "note"),
        tuple(prepared.notes),
    )
    card = save_model(trained.model, learnt.outcome.weights, card)
    run.write_history(learnt.outcome.history)
    write_run_report(trained, card, data, learnt, _diagnosed(run, context.display))
    run.finish(trained)
    run.forget_checkpoints()
    return trained


def _metrics(learnt: Learnt, folder: Path) -> Mapping[str, Mapping[str, float]]:
    """What was measured, by part; all finite."""
    metrics = {part: dict(evaluation.metrics) for part, evaluation in learnt.evaluations.items()}
    if learnt.rejection:
        for part, rate in learnt.rejection.refused.items():
            metrics[part][FALSE_REJECTS] = rate.share
    for part, values in metrics.items():
        for name, value in values.items():
            if not math.isfinite(value):
                raise UserError(f"the {name} on {part} is {value}", where=folder, mend="try a lower --lr")
    return metrics


def _diagnosed(run: Run, display: Display) -> Section | None:
    """What the doctor says of the run, where one looked on; what was not said while it learnt is said now."""
    seen = records(run.folder)
    diagnoses = judged(seen)
    told = {name for signals in seen.values() for name in signals.said}
    for diagnosis in diagnoses:
        if diagnosis.name not in told:
            display.say(f"diagnosis: {diagnosis.line()}")
    return section(seen, diagnoses) if seen else None
