"""Explaining predictions: which pixels they go by, and whether the pictures of it depend on what was learnt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.commands.explain.study import Study
from svertka.exhibits import Picture, Table
from svertka.explaining.gradcam import enlarged, grad_cam, grad_cam_plus_plus
from svertka.explaining.gradients import guided_backpropagation, integrated_gradients, saliency
from svertka.explaining.occlusion import occlusion
from svertka.explaining.pictures import heat, overlaid, share, signed
from svertka.explaining.running import Target
from svertka.explaining.sanity import randomised, similarity
from svertka.report.page import Section

Method = Callable[[nn.Module, nn.Module, Target, Tensor], Tensor]

_MOST = 99.5  # percentile of a gradient that is as light as can be: a few pixels would leave the rest dark
_DEPENDS = 0.5  # rank correlation below which a picture counts as another


@dataclass(frozen=True)
class Attribution:
    """A method that says what each pixel counts for.

    Attributes:
        title: What it is called on the page.
        compute: See `svertka.explaining`; gives ``(N, H, W)``, or ``(N, C, H, W)`` with signs.
        at_layer: It looks at the maps of a stage; else at the module as a whole.
        over: Its picture is laid over the image.
    """

    title: str
    compute: Method
    at_layer: bool = False
    over: bool = False


ATTRIBUTIONS: Mapping[str, Attribution] = {
    "saliency": Attribution("saliency", saliency),
    "guided_backpropagation": Attribution("guided backpropagation", guided_backpropagation),
    "integrated_gradients": Attribution("integrated gradients", integrated_gradients),
    "occlusion": Attribution("occlusion", occlusion, over=True),
    "grad_cam": Attribution("Grad-CAM", grad_cam, at_layer=True, over=True),
    "grad_cam_plus_plus": Attribution("Grad-CAM++", grad_cam_plus_plus, at_layer=True, over=True),
}


def show_attribution(name: str, study: Study) -> None:
    """What each pixel of the shown images counts for, by the method ``name``."""
    method = ATTRIBUTIONS[name]
    found = _run(method, study, study.net)
    values = _heat(found, study.subject.size).numpy()
    told: list[dict[str, Any]] = []
    for number, image in enumerate(study.pictures):
        if method.over:
            shares = share(values[number])
            picture = overlaid(image, shares)
        elif found.ndim == 4:
            shares = share(values[number], most=_MOST)
            picture = signed(study.coloured(found[number].numpy()), most=_MOST)
        else:
            shares = share(values[number], most=_MOST)
            picture = heat(shares)
        picture = study.subject.framed(picture, study.target, number)
        study.save(f"{name}-{number + 1}", picture)
        study.image_pictures[number].append(Picture(image=picture, caption=method.title))
        told.append({"most": float(values[number].max()), "centre": _centre(shares)})
    study.found[name] = told


def show_sanity(methods: list[str], study: Study) -> None:
    """How alike the pictures are when the weights are drawn anew at random: high is bad."""
    other = randomised(study.net)
    told: dict[str, float] = {}
    rows: list[tuple[str, float, str]] = []
    for done, name in enumerate(methods):
        study.display.working("checking by random weights", done, len(methods))
        method = ATTRIBUTIONS[name]
        pair = [_heat(_run(method, study, net), study.subject.size) for net in (study.net, other)]
        found = similarity(*pair)
        told[name] = found
        rows.append((method.title, found, "yes" if abs(found) < _DEPENDS else "hardly"))
    study.display.working("checking by random weights", len(methods), len(methods))
    study.found["sanity"] = told
    note = (
        "Spearman's rank correlation between what a method shows of the network and of a copy of it whose weights were "
        "drawn anew, layer by layer, at random and as large, the mean over the shown images. A method that shows the "
        "same of both shows the images' edges, not what was learnt (Adebayo et al. 2018)."
    )
    table = Table(
        title="Do the pictures depend on what was learnt?",
        columns=("method", "correlation with random weights", "depends"),
        rows=rows,
        note=note,
    )
    study.sections.append(Section(name="Sanity", exhibits=[table]))


SANITY_OF = ("saliency", "guided_backpropagation", "grad_cam", "grad_cam_plus_plus")
"""Methods that are checked where none is chosen."""


def _run(method: Attribution, study: Study, net: nn.Module) -> Tensor:
    trunk = net.get_submodule("trunk")
    layer = trunk.get_submodule(study.layer) if method.at_layer else net
    compute = study.subject.class_activation if method.compute is grad_cam else method.compute
    return compute(net, layer, study.target, study.images)


def _heat(found: Tensor, size: tuple[int, int]) -> Tensor:
    """What each pixel counts for, ``(N, H, W)``, whatever its sign."""
    if found.ndim == 4:
        return found.abs().sum(dim=1)
    return found if tuple(found.shape[1:]) == size else enlarged(found, size)


def _centre(shares: NDArray[np.float64]) -> list[float] | None:
    """Row and column, as shares of height and width, about which it is gathered; None where there is nothing."""
    total = shares.sum()
    if not total:
        return None
    rows, columns = shares.sum(axis=1), shares.sum(axis=0)
    places = [(line * (np.arange(len(line)) + 0.5)).sum() / total / len(line) for line in (rows, columns)]
    return [float(place) for place in places]
