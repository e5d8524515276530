"""Label Studio's export JSON-MIN: a task is one flat object, in which data and annotations stand side by side."""

from __future__ import annotations

from svertka.data.files.records import shown
from svertka.data.files.unread import UnreadCounter

MIN_FIELDS = (
    *("id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time", "agreement"),
    *("choice", "choices", "class", "category", "label"),
)
"""Fields that name no image."""
_CHOICES = ("choice", "choices", "class", "category", "label")  # what the control of choices is usually called
_OF_RESULT = ("original_width", "original_height", "image_rotation")
_BOOKKEEPING = MIN_FIELDS[:7]


def results_of_min(task: dict[str, object], image: str, unread: UnreadCounter, where: str) -> list[object]:
    """What is annotated in a task, as the export JSON has it.

    Args:
        task: The flat object.
        image: The field that names the image.
        unread: Is given fields that are neither.
        where: What the task is called there.
    """
    results: list[object] = []
    for name, value in task.items():
        if name == image or name in _BOOKKEEPING:
            continue
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            results += [_region(item) for item in value]
        elif isinstance(value, dict) and "choices" in value:
            results.append({"type": "choices", "value": value})
        elif isinstance(value, str) and name in _CHOICES:
            results.append({"type": "choices", "value": {"choices": [value]}})
        elif value not in (None, "", [], {}):
            unread.add(f"{shown(name)} of a task", where)
    return results


def _region(item: dict[str, object]) -> dict[str, object]:
    kind = next((name for name in item if name.endswith("labels")), None)
    sizes: dict[str, object] = {
        name: item[name] for name in ("original_width", "original_height", "image_rotation") if name in item
    }
    return {"type": kind, "value": {name: value for name, value in item.items() if name not in sizes}, **sizes}
