"""What learns and what stays: stages frozen before they knew anything, or trained ones that are not kept."""

from __future__ import annotations

import statistics

from svertka.exhibits import Bars
from svertka.training.diagnoses.diagnosis import Diagnosis
from svertka.training.diagnoses.readings import by_name, column, known, late, learning, score
from svertka.training.signals import Signals
from svertka.wording import counted

_MOST = 0.5  # of the weights
_FEW = 3000  # images to learn from
_PATH = 0.15  # of the weights of the first stages, over the run
_AHEAD = 0.1  # by which training accuracy is above that of validation
_APART = 2.5  # times the training loss, from which on that of validation says that images were learnt by heart


def everything_frozen(signals: Signals) -> Diagnosis | None:
    """Nothing learns, or what does not learn was never trained."""
    stages = signals.facts["stages"]
    total, learns = (sum(counts[place] for counts in stages.values()) for place in (0, 1))
    frozen = [name for name, (_, learning_ones) in stages.items() if not learning_ones]
    # Where weights are learnt but no gradient ever comes to them, they may as well be frozen.
    cut = [
        name
        for name in learning(signals)
        if len(signals.steps) >= 3
        and all(step["gradient"][name] == 0 == step["update"][name] for step in signals.steps)
    ]
    random = not signals.recipe["weights"] and sum(stages[name][0] for name in (*frozen, *cut)) > _MOST * total
    if not total or (learns and not random):
        return None
    named = ", ".join((*frozen, *cut)[:4]) + (", …" if len((*frozen, *cut)) > 4 else "")
    return Diagnosis(
        kind="everything_frozen",
        confidence=0.95,
        message=f"{named} {'do not' if len((*frozen, *cut)) > 1 else 'does not'} learn"
        + (", and was never trained: random stages stay random" if random and learns else ", so nothing changes"),
        mend="let them learn (requires_grad), or begin from --weights",
        evidence=Bars(
            title="Number of weights by stage",
            unit="",
            items=[
                entry
                for name, (count, here) in list(stages.items())[:12]
                for entry in ((name, float(count)), (f"{name}, learning", float(here if name not in cut else 0)))
            ],
        ),
    )


def nothing_frozen(signals: Signals) -> Diagnosis | None:
    """Trained stages are all let go, far from where they were, for a few images that are learnt by heart."""
    stages = learning(signals)
    name = score(signals)
    if not signals.recipe["weights"] or signals.facts["frozen"] or not name:
        return None
    if len(stages) < max(3, len(signals.facts["stages"])) or int(signals.facts["samples"]) > _FEW or not signals.steps:
        return None
    first = stages[: max(1, len(stages) // 2)]
    path = signals.done * statistics.fmean(step["update"][stage] for step in signals.steps for stage in first)
    here = statistics.fmean(late(column(signals, name)))
    before = signals.facts["before"]
    worse = before is not None and here < before
    last = signals.epochs[-1]
    apart = last["val_loss"] > _APART * last["task_loss"] + 0.1
    if path < _PATH or not (worse or apart or known(signals) > here + _AHEAD):
        return None
    told = f"worse than the {before:.1%} before" if worse else "while training images are learnt by heart"
    return Diagnosis(
        kind="nothing_frozen",
        confidence=0.9 if worse else 0.75,
        message=f"all trained stages learn, from {counted(signals.facts['samples'], 'image')}; the first of "
        "them have moved by "
        f"{path:.1f} times their size, and the score on validation is {here:.1%}, {told}",
        mend="keep what was trained: --freeze all, or up to a later stage; or lower --lr",
        evidence=by_name(signals, "How far weights move at a step", "share of the weights", "update", stages),
    )
