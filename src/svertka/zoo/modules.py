"""A user's own torch.nn.Module as a network: named by its class, built by its constructor's arguments.

A plain module becomes a classifier of one stage, which gives the logits itself. One that is a `Classifier`, a
`Segmenter` or a `Detector` keeps its stages. Nothing is imported by name: a model file is opened where its class was
registered, by `svertka.register`, by an entry point, or by training it.
"""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.dense import Segmenter
from svertka.layers.detector import Detector
from svertka.layers.trunk import Classifier, Trunk
from svertka.zoo.records import NetRecord

_STAGE = "module"
_CLASSES = ("classes", "num_classes", "n_classes")
_CHANNELS = ("in_channels", "in_chans", "channels")
"""What constructors call the number of classes, and that of channels of the images."""

_IMAGE_SIZE = 64  # pixels, of a module that says nothing of it
_TRIED = 3  # classes of the module that is tried


class ModuleBuilder:
    """Builds a user's module as a network; equal to another builder of the same class.

    Args:
        kind: Its class.
        instance: One that training begins from, weights and all; a new one is made if not given.
    """

    def __init__(self, kind: type[nn.Module], instance: nn.Module | None = None) -> None:
        self.kind = kind
        self.instance = instance
        self.gives: int | None = None  # classes, of a module that has no say in them; known once it is tried
        self._known = _parameters(kind)
        wanted = {"classes": _CLASSES[0], "in_channels": _CHANNELS[0]}
        names = [name for name in self._known if name not in (*_CLASSES, *_CHANNELS)]
        keyword = inspect.Parameter.KEYWORD_ONLY
        self.__signature__ = inspect.Signature([inspect.Parameter(name, keyword) for name in [*wanted, *names]])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModuleBuilder) and other.kind is self.kind

    def __hash__(self) -> int:
        return hash(self.kind)

    def __call__(self, *, classes: int = 1000, in_channels: int = 3, **options: Any) -> Any:
        """The network, with these constructor arguments.

        Raises:
            ValueError: Its number of classes is another, and is fixed.
        """
        on_meta = torch.empty(0).is_meta
        for names, value in ((_CLASSES, classes), (_CHANNELS, in_channels)):
            options |= {name: value for name in names[:] if name in self._known}
        if self.instance is None or on_meta:
            module = self.kind(**options)
        else:
            fixed = next((getattr(self.instance, name) for name in _CLASSES if hasattr(self.instance, name)), classes)
            if fixed != classes:
                raise ValueError(f"it is an instance for {fixed} classes, not {classes}")
            module = copy.deepcopy(self.instance)
        if isinstance(module, Classifier | Segmenter | Detector):
            return module
        if self.gives not in (None, classes) and not on_meta:
            raise ValueError(f"it gives {self.gives} classes, not {classes}")
        return Classifier(Trunk({_STAGE: module}, in_channels=in_channels), nn.Identity(), classes=classes)


def record_of_class(kind: type[nn.Module], instance: nn.Module | None = None) -> NetRecord:
    """The record of a class of modules, for `svertka.register`.

    It can say with attributes of its class what images it takes: ``image_size``, the side in pixels, and ``channels``.

    Args:
        kind: The class.
        instance: One that training begins from.
    """
    kinds = {Segmenter: "segmenter", Detector: "detector"}
    return NetRecord(
        name=name_of(kind),
        kind=next((name for base, name in kinds.items() if issubclass(kind, base)), "classifier"),
        builder=ModuleBuilder(kind, instance),
        paper=(inspect.getdoc(kind) or "").partition("\n")[0] if kind.__doc__ else "",
        image_size=_stated(kind, "image_size", _IMAGE_SIZE),
        channels=_stated(kind, "channels", 3),
        smallest=1,
    )


def name_of(kind: type) -> str:
    """The name of a class with its module's, ``package.module.Class``; of a script, with that of its file."""
    module = kind.__module__
    if module == "__main__" and getattr(sys.modules["__main__"], "__file__", None):
        module = Path(str(sys.modules["__main__"].__file__)).stem
    return f"{module}.{kind.__qualname__}"


def arguments_of(instance: nn.Module) -> dict[str, Any]:
    """The constructor arguments of a module, each read from the attribute of its name, as scikit-learn does.

    Those that the data decide, the numbers of classes and channels, are left out.

    Raises:
        UserError: An argument was not kept, or is nothing that a model file could hold.
    """
    kind, found = type(instance), {}
    for name, parameter in _parameters(kind).items():
        decided, kept = name in (*_CLASSES, *_CHANNELS), hasattr(instance, name)
        if not kept and (decided or parameter.default is inspect.Parameter.empty):
            raise UserError(
                f"{name_of(kind)} does not keep its constructor's argument {name!r}: it could not be built again",
                mend=f"write self.{name} = {name} in its __init__",
            )
        if decided or not kept:
            continue
        value = getattr(instance, name)
        if not _is_plain(value):
            raise UserError(
                f"the argument {name!r} of {name_of(kind)} is {type(value).__name__}, which a model file cannot hold",
                mend="make it a number, a text, or a list of these",
            )
        found[name] = list(value) if isinstance(value, tuple) else value
    return found


def check_rebuilt(record: NetRecord, instance: nn.Module, options: Mapping[str, Any]) -> None:
    """See that a module built anew with these arguments has the same weights, by names and shapes.

    Raises:
        UserError: It has others: an argument was not kept as it was given.
    """
    assert isinstance(record.builder, ModuleBuilder)
    given = {name: getattr(instance, name) for name in (*_CLASSES, *_CHANNELS) if name in _parameters(type(instance))}
    lost = [name for name in given if not isinstance(given[name], int)]
    try:
        with torch.device("meta"):
            again = type(instance)(**{**options, **given}).state_dict()
    except Exception as error:
        raise UserError(f"{record.name} cannot be built again: {error}") from error
    own = instance.state_dict()
    differ = [name for name in own if name not in again or again[name].shape != own[name].shape]
    if lost or differ or own.keys() != again.keys():
        raise UserError(
            f"{record.name}, built again by the arguments that it keeps, is another network"
            + (f": {differ[0]} differs" if differ else ""),
            mend="keep each argument of its __init__ in an attribute of that name, in a class of your own",
        )


def try_out(record: NetRecord, options: Mapping[str, Any], side: int, channels: int) -> None:
    """See that a user's classifier takes images and gives logits, by one forward of two images; no weight changes.

    Args:
        record: Of the module.
        options: Constructor arguments beside the numbers of classes and channels.
        side, channels: Of the images.

    Raises:
        UserError: It does not.
    """
    builder = record.builder
    assert isinstance(builder, ModuleBuilder)
    with torch.random.fork_rng(devices=[]):
        module = builder.instance or _made(builder, options, channels)
        if isinstance(module, Classifier | Segmenter | Detector):
            return
        _check_signature(record.name, module)
        was_training = module.training
        device = next((value.device for value in module.parameters()), torch.device("cpu"))
        try:
            with torch.no_grad():
                output = module.eval()(torch.zeros(2, channels, side, side, device=device))
        except Exception as error:
            reason = str(error).partition("\n")[0][:200]
            raise UserError(
                f"{record.name} cannot take images (2, {channels}, {side}, {side}): {reason}",
                mend="give image_size= or channels= that suit it",
            ) from error
        finally:
            module.train(was_training)
    if not isinstance(output, Tensor) or output.ndim != 2 or len(output) != 2:
        gives = f"a tensor {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"
        raise UserError(f"of two images {record.name} gives {gives}, and a classifier gives logits (2, classes)")
    builder.gives = output.shape[1]
    if builder.instance is None and any(name in _CLASSES for name in _parameters(builder.kind)):
        if builder.gives != _TRIED:
            raise UserError(f"built for {_TRIED} classes, {record.name} gives {builder.gives} logits")
        builder.gives = None


def _made(builder: ModuleBuilder, options: Mapping[str, Any], channels: int) -> nn.Module:
    known = _parameters(builder.kind)
    given = dict(options) | {name: _TRIED for name in _CLASSES if name in known}
    given |= {name: channels for name in _CHANNELS if name in known}
    needed = [name for name, value in known.items() if value.default is inspect.Parameter.empty and name not in given]
    if needed:
        raise UserError(
            f"{name_of(builder.kind)} cannot be built without {', '.join(needed)}",
            mend="give an instance of it in the place of the class, or net_options=",
        )
    try:
        return builder.kind(**given)
    except Exception as error:
        raise UserError(f"{name_of(builder.kind)} cannot be built with {given}: {error}") from error


def _check_signature(name: str, module: nn.Module) -> None:
    wanted = [
        parameter.name
        for parameter in inspect.signature(module.forward).parameters.values()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    ]
    if len(wanted) > 1:
        raise UserError(
            f"the forward of {name} needs {' and '.join(wanted[1:])} beside {wanted[0]}, and is given images alone",
            mend="give these a default, or let a Task of your own call it",
        )


def _parameters(kind: type[nn.Module]) -> dict[str, inspect.Parameter]:
    found = list(inspect.signature(kind.__init__).parameters.values())[1:]
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {parameter.name: parameter for parameter in found if parameter.kind not in several}


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(part) for part in value)
    return value is None or isinstance(value, str | int | float | bool)


def _stated(kind: type, name: str, otherwise: int) -> int:
    value = getattr(kind, name, otherwise)
    return value if isinstance(value, int) and not isinstance(value, bool) else otherwise
