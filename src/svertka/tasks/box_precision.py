"""Average precision by the protocol of COCO, as its own library computes it.

Of the libraries for it, pycocotools is the reference that every published figure was computed with, needs nothing but
NumPy, and is maintained; torchmetrics wraps it, or a quicker rewriting of it, and would be one more between.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from svertka.runtime.boxes import MOST
from svertka.tasks.box_losses import CROWD, DIFFICULT

_SIDE = 1000.0  # what coordinates are multiplied with: areas between the library's limits
_BEYOND = 2e10  # an area that no range of the library holds, so that finding the box is neither right nor wrong

RECALLS = np.linspace(0, 1, 101)
"""At which recalls precision is known."""


class Precision(NamedTuple):
    """Precision by IoU (0.50, 0.55, … 0.95), recall (`RECALLS`) and class, ``(10, 101, classes)``.

    It is nan for a class that is not there.
    """

    values: NDArray[np.float64]

    @property
    def by_class(self) -> NDArray[np.float64]:
        """The mean over IoUs and recalls of each class, ``(classes,)``."""
        found: NDArray[np.float64] = self.values.mean(axis=(0, 1))
        return found

    @property
    def by_class50(self) -> NDArray[np.float64]:
        """The same at an IoU of 0.5 alone."""
        found: NDArray[np.float64] = self.values[0].mean(axis=0)
        return found


def average_precision(
    boxes: Sequence[NDArray[np.float32]], objects: Sequence[NDArray[np.float32]], classes: int
) -> Precision:
    """Precision of boxes as in ``pycocotools``, for all sizes of objects and up to 100 boxes an image.

    Args:
        boxes: Of every image, class, score, left, top, right, bottom: ``(K, 6)``.
        objects: Of every image, targets: class, left, top, right, bottom, kind: ``(M, 6)``. Difficult ones do not
            count; a crowd may be found any number of times, or not at all.
        classes: How many there are.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = [{"id": number} for number in range(len(objects))]
    categories = [{"id": number} for number in range(classes)]
    truth, said = COCO(), COCO()
    truth.dataset = {"images": images, "categories": categories, "annotations": list(_objects(objects))}
    said.dataset = {"images": images, "categories": categories, "annotations": list(_boxes(boxes))}
    with contextlib.redirect_stdout(io.StringIO()):  # it says what it does
        truth.createIndex()
        said.createIndex()
        evaluation = COCOeval(truth, said, "bbox")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.params.maxDets = [MOST]
        evaluation.evaluate()
        evaluation.accumulate()
    values = evaluation.eval["precision"][..., 0, 0]
    return Precision(np.where(values < 0, np.nan, values))


def _objects(images: Sequence[NDArray[np.float32]]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, rows in enumerate(images):
        for label, *sides, kind in rows.tolist():
            number += 1  # an id of 0 would count as none
            told = _annotation(number, image, label, sides)
            if kind == DIFFICULT:
                told["area"] = _BEYOND
            yield {**told, "iscrowd": int(kind == CROWD)}


def _boxes(images: Sequence[NDArray[np.float32]]) -> Iterator[dict[str, Any]]:
    number = 0
    for image, rows in enumerate(images):
        for label, score, *sides in rows.tolist():
            number += 1
            yield {**_annotation(number, image, label, sides), "score": score}


def _annotation(number: int, image: int, label: float, sides: Sequence[float]) -> dict[str, Any]:
    left, top, right, bottom = (_SIDE * side for side in sides)
    box = [left, top, right - left, bottom - top]
    return {"id": number, "image_id": image, "category_id": int(label), "bbox": box, "area": box[2] * box[3]}
