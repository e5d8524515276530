"""Which images belong together, such as those of one person: by a column of a CSV, or by what their names say."""

from __future__ import annotations

import re
from collections.abc import Sequence

from svertka.data.samples import Dataset, Sample
from svertka.errors import UserError


def groups_of(dataset: Dataset, samples: Sequence[Sample], by: str) -> list[str]:
    """The group of each sample; empty for one that has none.

    Args:
        dataset: As it was read.
        samples: Of it.
        by: A column, where the data set is a CSV that has it; else a regular expression that is looked for in each
            sample's name, whose first group in parentheses is the answer, or the whole match without any.

    Raises:
        UserError: It is neither, or fits no image.
    """
    column = _column(dataset, by)
    if column is not None:
        return [column.get(sample.name, "") for sample in samples]
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise UserError(
            f"{by!r} is neither a column nor a regular expression ({error})",
            where="--group",
            mend="put what names the group in parentheses, such as '(person[0-9]+)_'",
        ) from error
    found = [pattern.search(sample.name) for sample in samples]
    if not any(found):
        raise UserError(
            f"{by!r} fits no image's name, such as {samples[0].name}",
            where="--group",
            mend="name a column of the CSV, or give a regular expression that fits",
        )
    return [(match[1 if pattern.groups else 0] or "") if match else "" for match in found]


def _column(dataset: Dataset, name: str) -> dict[str, str] | None:
    if dataset.root.suffix.lower() not in (".csv", ".tsv"):
        return None
    from svertka.data.readers.table import FILE_COLUMNS, dict_rows

    with dataset.root.open(encoding="utf-8-sig", newline="") as file:  # it has been read as one already
        rows = dict_rows(file)
        columns = {(column or "").strip().lower(): column for column in rows.fieldnames or ()}
        if name.lower() not in columns:
            return None
        file_column = next(columns[known] for known in FILE_COLUMNS if known in columns)
        wanted = columns[name.lower()]
        return {(row[file_column] or "").strip(): (row[wanted] or "").strip() for row in rows}
