"""Object detection: objects, and the box around each."""

from typing import Any

from svertka.annotations import Boxes
from svertka.task_records.record import TaskRecord

# A batch of images with boxes has hundreds of anchors to learn from. Objects are learnt at the size that they have:
# enlarged parts alone (box_crop) show small ones too seldom, and few epochs cannot make up for it.
_BOXES: dict[str, Any] = {"lr": 1e-3, "batch": 8, "augment": ("flip", "crop"), "clip": 10.0}

RECORD = TaskRecord(
    name="detection",
    gives="boxes",
    contract="detector",
    suits=lambda labels: all(isinstance(label, Boxes) for label in labels),
    learnt="svertka.tasks.detection:DetectionTask.learnt_from",
    opened="svertka.tasks.detection:DetectionTask.of_card",
    handling="svertka.data.batching.handling:BoxHandling",
    decoder="svertka.runtime.decoders.detection:detection",
    subject="svertka.workflows.explaining.boxes:BoxSubject",
    thresholds=True,
    files={".coco.json": "svertka.commands.predict.coco:as_coco"},
    from_scratch={**_BOXES, "epochs": 100},
    # The normalisations of trained stages keep their statistics, so batches can be small; few images need the steps.
    fine_tuning={**_BOXES, "batch": 4, "epochs": 30, "head": "own", "freeze": "none"},
)
