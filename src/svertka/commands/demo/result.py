"""What came of the demonstration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svertka.commands.export.result import Exported
from svertka.commands.predict.result import Prediction
from svertka.commands.verify.result import Verification
from svertka.workflows.trained import Trained


@dataclass(frozen=True)
class Demonstrated:
    """What the demo made, step by step."""

    data: Path
    trained: Trained
    exported: Exported
    verified: Verification
    predictions: list[Prediction]

    def to_json(self) -> dict[str, Any]:
        """As a JSON object."""
        steps: Mapping[str, Any] = {
            "train": self.trained.to_json(),
            "export": self.exported.to_json(),
            "verify": self.verified.to_json(),
            "predict": [prediction.to_json() for prediction in self.predictions],
        }
        return {"data": str(self.data), **steps}
