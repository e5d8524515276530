"""Svertka: a folder of images becomes a trained, explained and deployed convolutional network.

Each command of ``svertka`` is a function here, with the same name and the same arguments; only the command ``nets``
is `list_nets`, and `ledger` with ``--ledger``. Importing this package imports no torch.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

# ONNX Runtime 1.29 and later write an identifier of the machine into the user's cache and report over the network. They
# look at this variable when they are imported, by Svertka or by a library that it uses, here or in a worker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from svertka.commands.adopt.command import adopt
    from svertka.commands.bench.command import bench
    from svertka.commands.check.command import check
    from svertka.commands.compare.command import compare
    from svertka.commands.convert.command import convert
    from svertka.commands.demo.command import demo
    from svertka.commands.diagnose.command import diagnose
    from svertka.commands.evaluate.command import evaluate
    from svertka.commands.explain.command import explain
    from svertka.commands.export.command import export
    from svertka.commands.nets.command import ledger, list_nets
    from svertka.commands.predict.command import predict
    from svertka.commands.prune.command import prune
    from svertka.commands.serve.command import serve
    from svertka.commands.train.command import train
    from svertka.commands.verify.command import verify
    from svertka.data.opening import open_dataset
    from svertka.errors import UserError
    from svertka.plugins import register
    from svertka.training.recipe import Recipe

__all__ = [
    "Recipe",
    "UserError",
    "adopt",
    "bench",
    "check",
    "compare",
    "convert",
    "demo",
    "diagnose",
    "evaluate",
    "explain",
    "export",
    "ledger",
    "list_nets",
    "open_dataset",
    "predict",
    "prune",
    "register",
    "serve",
    "train",
    "verify",
]

_ELSEWHERE = {
    "UserError": "svertka.errors",
    "Recipe": "svertka.training.recipe",
    "open_dataset": "svertka.data.opening",
    "register": "svertka.plugins",
}
_OF_NETS = ("ledger", "list_nets")  # both are the command ``nets``


def prepare() -> None:
    """What has to be so before a command, or a function here, imports what it needs."""
    from svertka.runtime.libraries import give_libraries_folders

    give_libraries_folders()


def __getattr__(name: str) -> Any:
    if name not in __all__:
        from svertka.errors import nearest

        raise AttributeError(f"module 'svertka' has no attribute {name!r}; {nearest(name, __all__)}")
    prepare()
    if name in _ELSEWHERE:
        return getattr(importlib.import_module(_ELSEWHERE[name]), name)
    from svertka.signatures import checked

    command = "nets" if name in _OF_NETS else name
    function = checked(getattr(importlib.import_module(f"svertka.commands.{command}.command"), name), _fields_of_recipe)
    globals()[name] = function
    return function


def _fields_of_recipe() -> list[str]:
    import dataclasses

    from svertka.training.recipe import Recipe

    return [field.name for field in dataclasses.fields(Recipe)]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
