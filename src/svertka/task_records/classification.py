"""Classification: one class an image."""

from svertka.task_records.record import TaskRecord

RECORD = TaskRecord(
    name="classification",
    gives="classes",
    contract="classifier",
    suits=lambda labels: all(isinstance(label, str) for label in labels),
    learnt="svertka.tasks.classification:Classification.learnt_from",
    opened="svertka.tasks.classification:Classification.of_card",
    decoder="svertka.runtime.decoders.classification:classification",
    subject="svertka.workflows.explaining.classes:ClassSubject",
    fields=("label_smoothing", "balance", "reject"),
    # A head that is fitted first is nearly always right where it learns: without smoothing there would be no gradient
    # left, and Adam would follow the noise.
    fine_tuning={"epochs": 6, "lr": 1e-3, "batch": 32, "augment": ("affine",), "label_smoothing": 0.1},
)
