"""Explaining by what becomes of the score: adversarial images, pruned stages."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from svertka.annotations import Annotation
from svertka.commands.explain.study import Study
from svertka.errors import UserError
from svertka.exhibits import Curve, Curves, Exhibit, Gallery, Picture
from svertka.explaining.adversarial import Normalised, fgsm, noisy, pgd, shifted, universal
from svertka.explaining.pictures import rgb, signed
from svertka.explaining.pruning import SHARES, pruning_sensitivity
from svertka.explaining.running import Forward, at_rest
from svertka.explaining.targets import CrossEntropy
from svertka.report.page import Section
from svertka.tasks.making import task_of
from svertka.wording import counted

EPSILONS = (2, 4, 8, 16)
"""By how many of 255 levels a pixel may change."""

_SHOWN = 8  # of those levels, for the pictures
_ATTACKED, _JUDGED, _LEARNT_FROM = 32, 64, 32  # images, at most
_BATCH = 16
_STEPS = 5  # of PGD
_LARGEST = EPSILONS[-1]


def show_adversarial(study: Study) -> None:
    """Images changed so that the network errs, and how its score falls with the change."""
    subject = study.subject
    module = Normalised(subject.net, study.material.preprocess.mean, study.material.preprocess.std)
    numbers = _some(study.material.judged, _ATTACKED)
    truth, known = _truth(study, numbers)
    change = _universal(study, module, numbers)
    attacks = ["FGSM", "PGD", "universal", "random"]
    right: dict[str, list[float]] = {name: [] for name in ("none", *(f"{a} {e}" for a in attacks for e in EPSILONS))}
    sizes = []
    for start in range(0, len(numbers), _BATCH):
        study.display.working("attacking", start, len(numbers))
        pixels = _pixels(study, numbers[start : start + _BATCH])
        wanted = truth[start : start + _BATCH]
        target = CrossEntropy(wanted)
        sizes.append(len(pixels))
        with at_rest(module) as forward, torch.no_grad():
            right["none"].append(subject.agreement(forward(pixels), wanted))
        for levels in EPSILONS:
            epsilon = levels / 255
            made = {
                "FGSM": fgsm(module, module, target, pixels, epsilon=epsilon),
                "PGD": pgd(module, module, target, pixels, epsilon=epsilon, steps=_STEPS),
                "universal": shifted(pixels, change * (levels / _LARGEST)),
                "random": noisy(pixels, epsilon=epsilon),
            }
            for name, images in made.items():
                with at_rest(module) as forward, torch.no_grad():
                    right[f"{name} {levels}"].append(subject.agreement(forward(images), wanted))
    study.display.working("attacking", len(numbers), len(numbers))
    score = {name: float(np.average(values, weights=sizes)) for name, values in right.items()}
    curves = {name: [score["none"], *(score[f"{name} {levels}"] for levels in EPSILONS)] for name in attacks}
    study.found["adversarial"] = {
        "images": len(numbers),
        "judged_by": "labels" if known else "its own predictions",
        "levels": [0, *EPSILONS],
        "score": curves,
    }
    study.sections.append(Section(name="Adversarial images", exhibits=_exhibits(study, module, change, curves, known)))


def show_pruning(study: Study) -> None:
    """How the score falls as the smallest weights of one stage after another are set to zero."""
    subject = study.subject
    numbers = _some(study.material.judged, _JUDGED)
    truth, known = _truth(study, numbers)
    batches = list(study.material.batches(numbers))

    def score(forward: Forward) -> float:
        logits = torch.cat([forward(batch) for batch in batches])
        return subject.agreement(logits, truth)

    stages = {name: subject.stages[name] for name in study.stages}
    with at_rest(subject.net) as forward, torch.no_grad():
        whole = score(forward)

    def advance(done: int, total: int) -> None:
        study.display.working("pruning", done, total)

    found = pruning_sensitivity(subject.net, stages, score, advance=advance)
    study.found["pruning"] = {
        "images": len(numbers),
        "judged_by": "labels" if known else "its own predictions",
        "shares": [0.0, *SHARES],
        "score": {name: [whole, *values] for name, values in found.items()},
    }
    curves = [Curve(name=name, x=(0.0, *SHARES), y=(whole, *values)) for name, values in found.items()]
    exhibit = Curves(
        title="Score by share of pruned weights",
        x_label="share of the stage's smallest weights set to zero",
        y_label=_score_name(known),
        curves=curves,
        note=f"On {counted(len(numbers), 'image')}. One stage is pruned at a time; nothing is trained anew.",
    )
    study.sections.append(Section(name="Pruning", exhibits=[exhibit]))


def _exhibits(
    study: Study, module: Normalised, change: Tensor, curves: dict[str, list[float]], known: bool
) -> list[Exhibit]:
    subject, epsilon = study.subject, _SHOWN / 255
    pixels = _pixels(study, study.shown)
    target = CrossEntropy(subject.decisions(study.logits))
    pictures = []
    for name, attack in (("FGSM", fgsm), ("PGD", pgd)):
        made = attack(module, module, target, pixels, epsilon=epsilon)
        results = subject.results(_normalised(study, made))
        for number, (image, result) in enumerate(zip(made, results, strict=True)):
            picture = _picture(study, image)
            study.save(f"adversarial-{name.lower()}-{number + 1}", picture)
            told = f"{name}, {_SHOWN} levels"
            study.image_pictures[number].append(Picture(image=picture, caption=told, detail=result.line()))
    study.save("adversarial-universal", signed(study.coloured(change.numpy())))
    pictures.append(
        Picture(image=signed(study.coloured(change.numpy())), caption="the universal change", detail="grey is none")
    )
    return [
        Curves(
            title="Score by size of the change",
            x_label="levels of 255 that a pixel may change by",
            y_label=_score_name(known),
            curves=[Curve(name=name, x=(0, *EPSILONS), y=values) for name, values in curves.items()],
            note=f"On {counted(study.found['adversarial']['images'], 'image')}. FGSM takes one step and PGD "
            "five; the universal "
            "change is the same for all, found on other images where there are enough, and made smaller for smaller "
            "sizes; at random, every pixel goes up or down by so much.",
        ),
        Gallery(title="One change for all images", pictures=pictures),
    ]


def _universal(study: Study, module: Normalised, numbers: NDArray[np.int64]) -> Tensor:
    """Found on images that are not among ``numbers``, so far as there are others."""
    others = np.setdiff1d(np.arange(len(study.material)), numbers)
    chosen = _some(others if len(others) >= _BATCH else np.arange(len(study.material)), _LEARNT_FROM)
    batches = []
    for start in range(0, len(chosen), _BATCH):
        part = chosen[start : start + _BATCH]
        said = study.subject.decisions(study.subject.logits(study.material.batch(part)))
        batches.append((_pixels(study, part), CrossEntropy(said)))
    return universal(module, module, batches, epsilon=_LARGEST / 255)


def _truth(study: Study, numbers: NDArray[np.int64]) -> tuple[Tensor, bool]:
    """What is right for images, and whether that is by what is said of them; else it is what the network says."""
    labels: tuple[Annotation, ...] | None = study.material.labels
    task = task_of(study.subject.card)
    if labels is not None and study.logits.ndim == 2:
        try:
            return torch.from_numpy(task.targets([labels[number] for number in numbers.tolist()])), True
        except UserError as error:
            study.note(f"judged by its own predictions: {error}")
    said = [study.subject.decisions(study.subject.logits(batch)) for batch in study.material.batches(numbers)]
    return torch.cat(said), False


def _some(numbers: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """At most so many of them, evenly."""
    return numbers[np.unique(np.linspace(0, len(numbers) - 1, min(most, len(numbers))).round().astype(np.int64))]


def _pixels(study: Study, numbers: NDArray[np.int64]) -> Tensor:
    """Images ``(N, C, H, W)`` from 0 to 1, in the order of the network's channels."""
    pixels = study.material.pixels(numbers)
    if study.material.preprocess.order == "bgr":
        pixels = pixels[..., ::-1]
    return torch.from_numpy(pixels.astype(np.float32) / 255).permute(0, 3, 1, 2).contiguous()


def _normalised(study: Study, pixels: Tensor) -> Tensor:
    preprocess = study.material.preprocess
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
    return (pixels - mean) / std


def _picture(study: Study, image: Tensor) -> NDArray[np.uint8]:
    return rgb((255 * study.coloured(image.numpy())).round().astype(np.uint8).transpose(1, 2, 0))


def _score_name(known: bool) -> str:
    return "share that is right" if known else "share that stays as it was"
