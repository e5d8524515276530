"""The card: all that a model file knows about itself. The same JSON travels in safetensors and in ONNX."""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.runtime.deployment import AGREEMENT, Deployment
from svertka.runtime.preprocess import Preprocess
from svertka.wording import counted

CARD_VERSION = 1
CARD_KEY = "svertka.card"
"""Where the card's JSON lies in the metadata of a safetensors or ONNX file."""

LONGEST_CLASS = 4096
"""Characters that the name of a class can have."""

_GOLDEN_DTYPES = ("uint8", "float32")
CLASS_AXIS = {"logits": 0, "scores": -1}
"""Of outputs by name, without the batch axis: along which there is one number for each class."""

_MOST_VALUES = 500_000  # in a card's JSON, each of which takes some dozens of bytes as an object
_MOST_GOLDEN = 64
_LONGEST_NAME = 200
_SHOWN = 300  # characters of a problem, which may quote what is in the file


@dataclass(frozen=True)
class Golden:
    """An input and what the network answered when it was saved: the proof that a file travels with.

    Attributes:
        image: Decoded image, ``(H, W, 3)`` uint8 RGB.
        outputs: Raw output by name, without the batch axis, float32.
    """

    image: NDArray[np.uint8]
    outputs: Mapping[str, NDArray[np.float32]]

    def to_json(self) -> dict[str, Any]:
        """As JSON, arrays in base64."""
        outputs = {name: _array_to_json(value) for name, value in self.outputs.items()}
        return {"image": _array_to_json(self.image), "outputs": outputs}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Golden:
        """The opposite of `to_json`."""
        outputs = {name: _array_from_json(value) for name, value in values["outputs"].items()}
        image = _array_from_json(values["image"])
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
            raise ValueError(f"a golden image of {image.dtype} {image.shape}")
        if not outputs or any(output.dtype != np.float32 for output in outputs.values()):
            raise ValueError("a golden image without outputs in float32")
        return cls(image, outputs)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model file holds beside its weights.

    Attributes:
        net: Registry name of the network.
        arguments: Constructor arguments of the network.
        task: Name of the task, which decides how raw outputs are decoded.
        classes: Class names in the order of the logits.
        preprocess: How an image becomes an input.
        licence: Licence of the weights, an SPDX expression or ``"unknown"``.
        provenance: Where the weights come from: data, recipe, package versions.
        metrics: What was measured, as fractions of one, by split.
        golden: Inputs and outputs that every engine must reproduce.
        weights: Digest over names, types, shapes and bytes of all tensors.
        thresholds: From which probability on an image has a label, in the order of ``classes``; empty for tasks that
            choose one class, and where none were chosen.
        reject_limit: The largest ``distance`` at which an image is of one of the classes; None where every image is
            given one.
        deployment: How it is run best, on the card of an exported graph for which that was measured; else None.
    """

    net: str
    arguments: Mapping[str, Any]
    task: str
    classes: tuple[str, ...]
    preprocess: Preprocess
    licence: str
    provenance: Mapping[str, Any]
    metrics: Mapping[str, Any]
    golden: tuple[Golden, ...] = field(repr=False)
    weights: str
    thresholds: tuple[float, ...] = ()
    reject_limit: float | None = None
    deployment: Deployment | None = None

    def __post_init__(self) -> None:
        """Check that classes and golden outputs are of one network that gives numbers.

        Raises:
            UserError: There are no classes, or more or fewer than a golden output has; or it is not finite.
        """
        problem = self._problem()
        if problem:
            raise UserError(problem)

    def _problem(self) -> str | None:
        if not self.classes:
            return "it names no classes"
        if any(len(name) > LONGEST_CLASS for name in self.classes):
            return f"a class has a name of more than {LONGEST_CLASS:,} characters"
        if len(self.golden) > _MOST_GOLDEN:
            return f"{counted(len(self.golden), 'golden input')}, more than {_MOST_GOLDEN}"
        for name, output in ((name, output) for golden in self.golden for name, output in golden.outputs.items()):
            if not np.isfinite(output).all():
                return f"the golden output {name[:_LONGEST_NAME]!r} is not finite (NaN or infinite)"
            if name in CLASS_AXIS and (not output.ndim or output.shape[CLASS_AXIS[name]] != len(self.classes)):
                return f"golden {name} of shape {list(output.shape)} for {counted(len(self.classes), 'class')}"
        return None

    @property
    def tolerance(self) -> float:
        """How far the outputs of an engine may be from the golden ones."""
        return AGREEMENT if self.deployment is None else self.deployment.tolerance

    def to_json(self) -> str:
        """As one JSON text; the same card always gives the same text."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["version"] = CARD_VERSION
        values["preprocess"] = self.preprocess.to_json()
        values["golden"] = [golden.to_json() for golden in self.golden]
        if not self.thresholds:
            del values["thresholds"]
        if self.reject_limit is None:
            del values["reject_limit"]
        if self.deployment is None:
            del values["deployment"]
        else:
            values["deployment"] = self.deployment.to_json()
        return json.dumps(values, sort_keys=True, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, text: str, *, where: object) -> Card:
        """Read a card, and check it.

        Raises:
            UserError: It is damaged, or of a version that this release does not read.
        """
        try:
            if sum(map(text.count, ",[{")) > _MOST_VALUES:
                raise ValueError("more entries than any model has")
            values = json.loads(text)
            version = values.pop("version")
            # Numbers and text that could not be written again.
            json.dumps(values, ensure_ascii=False, allow_nan=False).encode()
        except _DAMAGE as error:
            raise _damaged(where, repr(error)) from error
        if version != CARD_VERSION:
            raise UserError(
                f"its card is of version {version}, this release reads version {CARD_VERSION}",
                where=where,
                mend="install the release of svertka that wrote it",
            )
        try:
            if not isinstance(values["classes"], list):
                raise TypeError("classes is no list")
            values["classes"] = tuple(_text(name) for name in values["classes"])
            values["preprocess"] = Preprocess.from_json(values["preprocess"])
            values["golden"] = tuple(Golden.from_json(golden) for golden in values["golden"])
            values["thresholds"] = tuple(_fraction(number) for number in values.get("thresholds", ()))
            if len(values["thresholds"]) not in (0, len(values["classes"])):
                raise ValueError(
                    f"{counted(len(values['thresholds']), 'threshold')} for {counted(len(values['classes']), 'class')}"
                )
            if "reject_limit" in values:
                values["reject_limit"] = _distance(values["reject_limit"])
            if "deployment" in values:
                values["deployment"] = Deployment(**values["deployment"])
            card = cls(**values)
            for name in ("net", "task", "weights"):
                if len(_text(getattr(card, name))) > _LONGEST_NAME:
                    raise ValueError(f"{name} is a text of {len(getattr(card, name)):,} characters")
            _text(card.licence)
            for name in ("arguments", "provenance", "metrics"):
                if not isinstance(getattr(card, name), dict):
                    raise TypeError(f"{name} is no JSON object")
        except UserError as error:
            raise _damaged(where, str(error)) from error
        except _DAMAGE as error:
            raise _damaged(where, repr(error)) from error
        return card


_DAMAGE = (KeyError, TypeError, ValueError, AttributeError, RecursionError)


def _damaged(where: object, how: str) -> UserError:
    return UserError(f"its card is damaged ({how[:_SHOWN]})", where=where, mend="get the file again")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _fraction(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
        raise ValueError(f"{value!r} is no number between 0 and 1")
    return float(value)


def _distance(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value < math.inf:
        raise ValueError(f"{value!r} is no distance")
    return float(value)


def _array_to_json(array: NDArray[Any]) -> dict[str, Any]:
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
    return {"dtype": str(array.dtype), "shape": list(array.shape), "base64": data}


def _array_from_json(values: dict[str, Any]) -> NDArray[Any]:
    if values["dtype"] not in _GOLDEN_DTYPES:
        raise ValueError(f"an array of {values['dtype']!r}")
    try:
        data = base64.b64decode(values["base64"], validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    shape = values["shape"]
    if not all(type(side) is int and side >= 0 for side in shape):
        raise ValueError(f"an array of shape {shape}")
    return np.frombuffer(data, dtype=values["dtype"]).reshape(shape)
