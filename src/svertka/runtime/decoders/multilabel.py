"""Decoding labels: logits to the labels of each image."""

from __future__ import annotations

import numpy as np

from svertka.results import Labels, LabelScore, Result
from svertka.runtime.card import Card
from svertka.runtime.decoding import DEFAULT_THRESHOLD, Outputs, Sizes, logits_of, sigmoid


def multilabel(outputs: Outputs, card: Card, sizes: Sizes) -> list[Result]:
    """``logits`` ``(N, classes)`` to the labels of each image, the likeliest first."""
    del sizes
    thresholds = card.thresholds or (DEFAULT_THRESHOLD,) * len(card.classes)
    results: list[Result] = []
    for row in sigmoid(logits_of(outputs, card)):
        order = np.argsort(-row, kind="stable")
        results.append(Labels(tuple(LabelScore(card.classes[i], float(row[i]), thresholds[i]) for i in order)))
    return results
