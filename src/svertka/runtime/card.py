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
from svertka.plugins import missing_hint
from svertka.runtime.card_versions import CARD_VERSION, READ_VERSIONS, as_written_now
from svertka.runtime.deployment import AGREEMENT, Deployment
from svertka.runtime.inputs import InputTransform, UnknownMediaError, input_json, transform_from_json
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.preprocess import Preprocess
from svertka.wording import counted

CARD_KEY = "svertka.card"
"""Where the card's JSON lies in the metadata of a safetensors or ONNX file."""

_GOLDEN_DTYPES = ("uint8", "float32")
_MOST_VALUES = 500_000  # in a card's JSON, each of which takes some dozens of bytes as an object
_MOST_GOLDEN = 64
_LONGEST_NAME = 200
_SHOWN = 300  # characters of a problem, which may quote what is in the file


@dataclass(frozen=True)
class Golden:
    """An input and what the network answered when it was saved: the proof that a file travels with.

    Attributes:
        input: Array of the media type: a decoded image, ``(H, W, 3)`` uint8 RGB; a series, ``(T, C)`` float32.
        outputs: Raw output by name, without the batch axis, float32.
    """

    input: NDArray[Any]
    outputs: Mapping[str, NDArray[np.float32]]

    def to_json(self) -> dict[str, Any]:
        """As JSON, arrays in base64."""
        outputs = {name: _array_to_json(value) for name, value in self.outputs.items()}
        return {"input": _array_to_json(self.input), "outputs": outputs}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Golden:
        """The opposite of `to_json`."""
        outputs = {name: _array_from_json(value) for name, value in values["outputs"].items()}
        if not outputs or any(output.dtype != np.float32 for output in outputs.values()):
            raise ValueError("a golden input without outputs in float32")
        return cls(_array_from_json(values["input"]), outputs)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a model file holds beside its weights.

    Attributes:
        net: Registry name of the network.
        arguments: Constructor arguments of the network.
        task: Name of the task, which decides how raw outputs are decoded.
        input: How an image, or what else the network takes, becomes an input.
        output: What the network gives.
        licence: Licence of the weights, an SPDX expression or ``"unknown"``.
        provenance: Where the weights come from: data, recipe, package versions.
        metrics: What was measured, as fractions of one, by split.
        golden: Inputs and outputs that every engine must reproduce.
        weights: Digest over names, types, shapes and bytes of all tensors.
        thresholds: From which probability on an input has a label, in the order of ``classes``; empty for tasks that
            choose one class, and where none were chosen.
        reject_limit: The largest ``distance`` at which an input is of one of the classes; None where every one is
            given one.
        deployment: How it is run best, on the card of an exported graph for which that was measured; else None.
    """

    net: str
    arguments: Mapping[str, Any]
    task: str
    input: InputTransform
    output: OutputSpec
    licence: str
    provenance: Mapping[str, Any]
    metrics: Mapping[str, Any]
    golden: tuple[Golden, ...] = field(repr=False)
    weights: str
    thresholds: tuple[float, ...] = ()
    reject_limit: float | None = None
    deployment: Deployment | None = None

    def __post_init__(self) -> None:
        """Check that golden inputs and outputs are of one network, which takes such inputs and gives numbers.

        Raises:
            UserError: A golden input is not of the media type, or an output is not finite, or not what is said of it.
        """
        problem = self._problem()
        if problem:
            raise UserError(problem)

    def _problem(self) -> str | None:
        if len(self.golden) > _MOST_GOLDEN:
            return f"{counted(len(self.golden), 'golden input')}, more than {_MOST_GOLDEN}"
        if self.deployment is not None and self.deployment.pixels and not isinstance(self.input, Preprocess):
            return f"its graph takes pixels, its network takes {self.media}"
        for golden in self.golden:
            self.input.check(golden.input)
        for name, output in ((name, output) for golden in self.golden for name, output in golden.outputs.items()):
            if not np.isfinite(output).all():
                return f"the golden output {name[:_LONGEST_NAME]!r} is not finite (NaN or infinite)"
            wanted = self.output.instead(name, output.shape)
            if wanted:
                return f"golden {name} of shape {list(output.shape)} for {wanted}"
        return None

    @property
    def media(self) -> str:
        """The media type that the network takes, such as ``image`` or ``series``."""
        return self.input.media

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the logits; none where the network knows no classes."""
        return self.output.classes

    @property
    def tolerance(self) -> float:
        """How far the outputs of an engine may be from the golden ones."""
        return AGREEMENT if self.deployment is None else self.deployment.tolerance

    def to_json(self) -> str:
        """As one JSON text; the same card always gives the same text."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        values["version"] = CARD_VERSION
        values["input"] = input_json(self.input)
        values["output"] = self.output.to_json()
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
        if version not in READ_VERSIONS:
            read = " and ".join(map(str, READ_VERSIONS))
            raise UserError(
                f"its card is of version {str(version)[:_LONGEST_NAME]}, this release reads versions {read}",
                where=where,
                mend="install the release of svertka that wrote it",
            )
        try:
            values = as_written_now(values, version)
            given = dict(values["input"])
            values["input"] = transform_from_json(_text(given.pop("media")), given)
            values["output"] = OutputSpec.from_json(values["output"])
            values["golden"] = tuple(Golden.from_json(golden) for golden in values["golden"])
            values["thresholds"] = tuple(_fraction(number) for number in values.get("thresholds", ()))
            known, classes = len(values["thresholds"]), len(values["output"].classes)
            if known not in (0, classes):
                raise ValueError(f"{counted(known, 'threshold')} for {counted(classes, 'class')}")
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
        except UnknownMediaError as error:
            told = values.get("provenance")
            hint = missing_hint(told) if isinstance(told, dict) else None
            raise UserError(error.what, where=where, mend=hint or error.mend) from error
        except UserError as error:
            raise _damaged(where, str(error)) from error
        except _DAMAGE as error:
            raise _damaged(where, repr(error)) from error
        return card


def image_input(card: Card, *, where: object = None) -> Preprocess:
    """The preprocessing of a network that takes images.

    Args:
        card: Of the network.
        where: The model file, for the refusal.

    Raises:
        UserError: It takes something else, and what is asked for is done to images only.
    """
    if not isinstance(card.input, Preprocess):
        raise UserError(f"{card.net} takes {card.media}, and this is for networks that take images", where=where)
    return card.input


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
