"""Semantic segmentation: the class of every pixel."""

from typing import Any

from svertka.annotations import Mask
from svertka.task_records.record import TaskRecord

# A batch of pieces has as many pixels to learn from as one of hundreds of images.
_PIECES: dict[str, Any] = {"lr": 1e-3, "batch": 2, "augment": ("flip", "elastic")}

RECORD = TaskRecord(
    name="segmentation",
    gives="masks",
    contract="segmenter",
    suits=lambda labels: all(isinstance(label, Mask) for label in labels),
    learnt="svertka.tasks.segmentation:SegmentationTask.learnt_from",
    opened="svertka.tasks.segmentation:SegmentationTask.of_card",
    handling="svertka.data.batching.handling:MaskHandling",
    decoder="svertka.runtime.decoders.segmentation:segmentation",
    subject="svertka.workflows.explaining.masks:MaskSubject",
    fields=("loss", "border", "balance"),
    from_scratch={**_PIECES, "epochs": 60},
    fine_tuning={**_PIECES, "epochs": 30, "head": "own", "freeze": "none"},
)
