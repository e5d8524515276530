"""A network held against four design principles, by figures.

C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception Architecture for Computer Vision",
2015, section 2; in the second lecture. The principles are advice, and good networks depart from them: a finding says
where and by how much, not that something is wrong. What each is taken to mean here:

1. *No sharp representational bottleneck.* The representation, C × H × W numbers for one image, should shrink gently
   from stage to stage. The paper's reductions keep about 0.6 of it; its warning example, pooling before the channels
   are raised, keeps 1/4. A stage departs that keeps less than 1/3. The head, where the representation ends, is exempt.
2. *High-dimensional features are processed locally.* A position has more features as the maps become coarser, and they
   are combined in its neighbourhood. A stage departs where the stride rises and the channels become fewer, and where
   a layer with weights reads all of a map of more than one position at once.
3. *Spatial convolutions are factorised.* Two 3 × 3 convolutions see what one of 5 × 5 does for 18/25 of the operations,
   three what one of 7 × 7 does for 27/49. A stage departs that has a window of more than 3 pixels both ways;
   1 × n and depthwise convolutions are factorised already.
4. *Depth and width are balanced.* From one resolution to the next, the number of layers on the longest path and the
   number of channels should change together. A resolution departs where one changed over eight times as much as the
   other; the paper's own networks stay within 7.5. The stem, everything before the second resolution, is exempt, as is
   the classifier, but not the hidden layers before it; so is all of a decoder, whose widths follow the trunk's.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

from svertka.wording import counted
from svertka.zoo.measure import StageMeasure

KEPT, FACTORISED, BALANCE = 1 / 3, 3, 8.0

PRINCIPLES = (
    "no sharp representational bottleneck",
    "high-dimensional features are processed locally",
    "spatial convolutions are factorised",
    "depth and width are balanced",
)


@dataclass(frozen=True)
class Finding:
    """Where a network departs from a principle.

    Attributes:
        principle: One of ``PRINCIPLES``.
        stage: Name of the stage; ``head`` for the head.
        figures: By how much, in words.
    """

    principle: str
    stage: str
    figures: str


def audit(stages: Sequence[StageMeasure], image: tuple[int, int, int]) -> list[Finding]:
    """Where a network departs from the principles, in their order.

    Args:
        stages: What `measure` gives: the stages and the head.
        image: Channels, height and width of the images that it was measured at.
    """
    *trunk, head = stages
    return [
        *_bottlenecks(trunk, image),
        *_not_local(stages, image),
        *_not_factorised(stages),
        *_not_balanced(trunk, head),
    ]


def _bottlenecks(stages: Sequence[StageMeasure], image: tuple[int, ...]) -> list[Finding]:
    findings = []
    had = math.prod(image)
    for stage in stages:
        has = math.prod(stage.shape)
        if has < KEPT * had:
            figures = f"keeps {has / had:.2f} of the representation: {had:,} numbers become {has:,}"
            findings.append(Finding(PRINCIPLES[0], stage.name, figures))
        had = has
    return findings


def _not_local(stages: Sequence[StageMeasure], image: tuple[int, ...]) -> list[Finding]:
    findings = []
    channels, finer = image[0], 1
    for stage in stages:
        if stage.stride is not None:
            if stage.stride > finer and stage.shape[0] < channels:
                figures = (
                    f"at stride {finer} → {stage.stride}, {counted(channels, 'channel')} become {stage.shape[0]:,}"
                )
                findings.append(Finding(PRINCIPLES[1], stage.name, figures))
            channels, finer = stage.shape[0], stage.stride
        for layer in stage.layers:
            if layer.whole and not layer.depthwise:
                extent = " × ".join(str(side) for side in layer.kernel)
                figures = f"a layer reads all {extent} positions at once, {layer.macs:,} MACs"
                findings.append(Finding(PRINCIPLES[1], stage.name, figures))
    return findings


def _not_factorised(stages: Sequence[StageMeasure]) -> list[Finding]:
    findings = []
    for stage in stages:
        large = [
            layer
            for layer in stage.layers
            if min(layer.kernel) > FACTORISED and not layer.depthwise and not layer.whole
        ]
        for kernel in sorted({layer.kernel for layer in large}):
            macs = sum(layer.macs for layer in large if layer.kernel == kernel)
            factorised = macs * 9 * (max(kernel) - 1) / 2 / math.prod(kernel)  # n layers of 3 × 3 see 2n + 1 pixels
            figures = (
                f"{kernel[0]} × {kernel[1]} convolutions take {macs / 1e6:,.2f} M MACs; "
                f"3 × 3 ones of the same field would take {factorised / 1e6:,.2f} M"
            )
            findings.append(Finding(PRINCIPLES[2], stage.name, figures))
    return findings


def _not_balanced(trunk: Sequence[StageMeasure], head: StageMeasure) -> list[Finding]:
    resolutions: dict[int | None, list[StageMeasure]] = {}
    for stage in trunk:
        resolutions.setdefault(stage.stride, []).append(stage)
    levels = [
        (" … ".join(dict.fromkeys((stages[0].name, stages[-1].name))), depth, max(stage.shape[0] for stage in stages))
        for stages in list(resolutions.values())[1:]
        if (depth := sum(stage.depth for stage in stages))  # behind a last pooling there is none to compare
    ]
    if head.name == "head" and (hidden := head.layers[:-1]):
        levels.append((head.name, len(hidden), max(layer.outputs for layer in hidden)))
    findings = []
    for (_, before, narrow), (name, depth, wide) in itertools.pairwise(levels):
        if not 1 / BALANCE <= (depth / before) / (wide / narrow) <= BALANCE:
            figures = (
                f"{counted(before, 'layer')} of up to {counted(narrow, 'channel')}, then {depth} of up to {wide:,}"
            )
            findings.append(Finding(PRINCIPLES[3], name, figures))
    return findings
