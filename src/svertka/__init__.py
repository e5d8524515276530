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
    from svertka.errors import UserError
    from svertka.training.recipe import Recipe
    from svertka.verbs.adopt import adopt
    from svertka.verbs.bench import bench
    from svertka.verbs.check import check
    from svertka.verbs.compare import compare
    from svertka.verbs.convert import convert
    from svertka.verbs.demo import demo
    from svertka.verbs.diagnose import diagnose
    from svertka.verbs.evaluate import evaluate
    from svertka.verbs.explain import explain
    from svertka.verbs.export import export
    from svertka.verbs.ledger import ledger
    from svertka.verbs.list_nets import list_nets
    from svertka.verbs.predict import predict
    from svertka.verbs.prune import prune
    from svertka.verbs.serve import serve
    from svertka.verbs.train import train
    from svertka.verbs.verify import verify

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
    "predict",
    "prune",
    "serve",
    "train",
    "verify",
]

_ELSEWHERE = {"UserError": "svertka.errors", "Recipe": "svertka.training.recipe"}


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

    function = checked(getattr(importlib.import_module(f"svertka.verbs.{name}"), name))
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
