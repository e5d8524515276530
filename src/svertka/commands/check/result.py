"""What a check of a data set found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from svertka.commands.check.fix import Fixed
    from svertka.data.checks.findings import Finding


@dataclass(frozen=True)
class Checked:
    """What is in a data set, and what was found wrong with it.

    Attributes:
        format: What it was read as.
        parts: Number of images by part and class; of boxes, their number.
        images: Number of images by part.
        notes: Choices made while reading.
        findings: What was found, errors first.
        duplicates: Groups of files with the same content; two labels in one group are a contradiction.
        skipped: Files that cannot be used, each with ``file`` and ``error``.
        report: The page of pictures, where a folder was given.
        fixed: The cleaned copy or list, where one was asked for: its ``path``, how many ``images`` it has, how many
            were ``left_out`` and how many have labels ``respelt``, and how many ``boxes`` were moved or left out.
    """

    format: str
    parts: dict[str, dict[str, int]]
    images: dict[str, int]
    notes: list[str]
    findings: list[Finding]
    duplicates: list[list[dict[str, str]]]
    skipped: list[dict[str, str]]
    report: Path | None = None
    fixed: Fixed | None = None

    @property
    def ok(self) -> bool:
        """Whether there is no error among the findings."""
        return not any(finding.severity == "error" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        return {
            "ok": self.ok,
            **vars(self),
            "findings": [finding.to_json() for finding in self.findings],
            "report": None if self.report is None else str(self.report),
            "fixed": None if self.fixed is None else self.fixed.to_json(),
        }
