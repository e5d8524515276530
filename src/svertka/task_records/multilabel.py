"""Multi-label classification: any number of labels an image."""

from svertka.task_records import classification
from svertka.task_records.record import TaskRecord

RECORD = TaskRecord(
    name="multilabel",
    gives="classes",
    contract="classifier",
    suits=lambda labels: (
        all(isinstance(label, str | tuple) for label in labels) and any(isinstance(label, tuple) for label in labels)
    ),
    learnt="svertka.tasks.multilabel:MultiLabel.learnt_from",
    opened="svertka.tasks.multilabel:MultiLabel.of_card",
    decoder="svertka.runtime.decoders.multilabel:multilabel",
    subject="svertka.workflows.explaining.classes:ClassSubject",
    fields=("label_smoothing", "balance"),
    thresholds=True,
    published=False,
    from_scratch=classification.RECORD.from_scratch,
    fine_tuning=classification.RECORD.fine_tuning,
)
