"""Detections of many images as COCO has them: one JSON object with images, annotations and categories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from svertka.results.boxes import Detections


def coco_of(found: Iterable[tuple[str, tuple[int, int], Detections]], classes: Sequence[str]) -> dict[str, Any]:
    """Numbered from 1 on, each annotation with its ``score``.

    Args:
        found: File name of every image, its height and width in pixels, and what was found in it.
        classes: All of them, in their order.
    """
    numbers = {name: number for number, name in enumerate(classes, 1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image, (name, (height, width), detections) in enumerate(found, 1):
        images.append({"id": image, "file_name": name, "height": height, "width": width})
        for box in detections.objects:
            across, down = box.right - box.left, box.bottom - box.top
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": numbers[box.name],
                    "bbox": [box.left, box.top, across, down],
                    "area": across * down,
                    "iscrowd": 0,
                    "score": box.score,
                }
            )
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    return {"images": images, "annotations": annotations, "categories": categories}
