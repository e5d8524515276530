"""The networks of timm, found by the prefix ``timm/``. timm is imported only when one of them is asked for."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Iterable
from types import ModuleType

from svertka.errors import UserError
from svertka.zoo.records import NetFamily, NetRecord

PREFIX = "timm/"

_INSTALL = "pip install 'svertka[timm]'"


def _record(name: str) -> NetRecord:
    found: NetRecord = _module("timm_nets").record_of(name.removeprefix(PREFIX))
    return found


def _names() -> Iterable[str]:
    if importlib.util.find_spec("timm") is None:
        return ()
    try:
        return [PREFIX + name for name in _module("timm_nets").suggested()]
    except UserError:  # it cannot be imported, which is said where one of its networks is asked for
        return ()


def _checkpoints(name: str) -> ModuleType:
    found: ModuleType = _module("timm_weights").catalogue_file(name.removeprefix(PREFIX))
    return found


def _module(name: str) -> ModuleType:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")  # read once, when timm imports what it downloads with
    try:
        return importlib.import_module(f"svertka.zoo.{name}")
    except ModuleNotFoundError as error:
        raise UserError(f"the networks of timm need {error.name}", mend=_INSTALL) from error
    except ImportError as error:
        raise UserError(f"timm is installed and cannot be imported ({error})", mend=_INSTALL) from error


TIMM = NetFamily(
    prefix=PREFIX,
    record=_record,
    names=_names,
    checkpoints=_checkpoints,
    about=f"any network of timm that is made of stages with maps, where timm is installed: {_INSTALL}",
)
