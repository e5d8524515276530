"""Networks of timm as our classifiers: taken apart into a trunk of named stages and a head.

The ends of the stages are those of timm's ``feature_info``. The order in which modules are run is found by running the
network once on the meta device: where the very tensor that one module gives is what the next one takes, nothing lies
between the two, so they can be run one after another without the network around them, and give the same bits. A network
that is no such chain around its stages cannot be taken apart.
"""

from __future__ import annotations

import bisect
import difflib
import functools
import inspect
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import timm
import torch
import torch.nn.functional as F
from timm.models import PretrainedCfg
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from svertka.errors import UserError
from svertka.layers.trunk import Classifier, Trunk
from svertka.zoo.records import NetRecord
from svertka.zoo.timm_family import PREFIX

_SIDE = 256
"""Of the image that a network is run for to take it apart, in pixels; any size that is not its own will do."""

_CLASSES = 1000
_STAGED = (
    *("byobnet", "convnext", "cspnet", "densenet", "dla", "dpn", "efficientnet", "fasternet", "ghostnet", "hgnet"),
    *("inception_next", "inception_v4", "lcnetv2", "mobilenetv3", "nfnet", "regnet", "repghost", "res2net", "resnest"),
    *("resnet", "resnetv2", "rexnet", "senet", "sknet", "starnet", "tresnet", "vgg", "vovnet"),
)
"""timm's files of convolutional networks that can be taken apart, from which names are suggested."""

_STEPS = (1, 2, 4, 8, 16, 32, 64)  # pixels that images may have to have more at a time


class Chain(nn.Module):
    """Modules run one after another, by the paths that they have in timm's network.

    So their parameters have the names that they have there.

    Args:
        modules: Module by path, such as ``blocks.0``, in order. No path goes through another.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.paths = tuple(modules)
        for path, module in modules.items():
            *folders, name = path.split(".")
            owner: nn.Module = self
            for folder in folders:
                if folder not in owner._modules:
                    owner.add_module(folder, nn.Module())
                owner = owner.get_submodule(folder)
            owner.add_module(name, module)

    def forward(self, x: Tensor) -> Tensor:
        for path in self.paths:
            x = self.get_submodule(path)(x)
        return x


class Parts(NamedTuple):
    """How a network of timm is taken apart.

    Attributes:
        stages: By name of a stage, the paths of the modules that it runs.
        head: The paths of the modules that the head runs.
        last: The path of the last fully connected layer.
    """

    stages: dict[str, tuple[str, ...]]
    head: tuple[str, ...]
    last: str


def timm_classifier(name: str, *, classes: int = 1000, in_channels: int = 3, dropout: float = 0.0) -> Classifier:
    """The network ``name`` of timm.

    Args:
        name: As timm lists it.
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the features that are dropped before the last layer, in training.

    Raises:
        UserError: It cannot be taken apart.
    """
    parts = take_apart(name)
    net = _timm(name, classes=classes, in_channels=in_channels)
    stages = {stage: Chain({path: net.get_submodule(path) for path in paths}) for stage, paths in parts.stages.items()}
    head: dict[str, nn.Module] = {}
    for path in parts.head:
        if path == parts.last:
            head["dropout"] = nn.Dropout(dropout)
        head[path] = net.get_submodule(path)
    return Classifier(Trunk(stages, in_channels=in_channels), Chain(head), classes=classes)


def _timm(name: str, *, classes: int, in_channels: int) -> nn.Module:
    net: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, in_chans=in_channels, drop_rate=0.0)
    for module in net.modules():  # what another stage, or an explanation, reads must stay what it was
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # type: ignore[assignment]
    return net


@functools.cache
def record_of(name: str) -> NetRecord:
    """The record of timm's network ``name``, found out by building it on the meta device.

    Raises:
        UserError: There is no network of that name, or it cannot be taken apart.
    """
    check_name(name)
    take_apart(name)
    with torch.device("meta"):
        net = timm_classifier(name).eval()
    parameters = sum(value.numel() for value in net.parameters())
    smallest, step = _sizes(name, net)
    return NetRecord(
        name=f"{PREFIX}{name}",
        builder=functools.partial(timm_classifier, name),
        year=2019,
        paper="Wightman, PyTorch Image Models (timm)",
        image_size=default_of(name).input_size[1],
        parameters=parameters,
        smallest=smallest,
        step=step,
    )


def default_of(name: str) -> PretrainedCfg:
    """What timm knows of its network ``name``, and of the weights that it would begin with."""
    return timm.get_pretrained_cfg(name) or PretrainedCfg()


def check_name(name: str) -> None:
    """See that timm has a network of that name before timm is asked for it, for some names make it fetch something.

    Raises:
        UserError: It has none.
    """
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise UserError(f"timm has no network {architecture!r}", mend=_like(architecture))
    if tag:
        raise UserError(
            f"{PREFIX}{name} names weights, and the network is {PREFIX}{architecture}",
            mend="give weights with --weights",
        )


@functools.cache
def take_apart(name: str) -> Parts:
    """How the network ``name`` of timm is taken apart.

    Raises:
        UserError: It cannot be.
    """
    with torch.device("meta"):
        net = _timm(name, classes=_CLASSES, in_channels=3)
    ends = tuple(stage["module"] for stage in _feature_info(net))
    if not ends:
        raise _refused(name, "has no feature_info, which would say where its stages end")
    last = getattr(net, "default_cfg", {}).get("classifier")
    if not isinstance(last, str):
        raise _refused(name, "has no single layer that its logits come from")
    try:
        chains = [_chain(net.train(training), (*ends, last)) for training in (False, True)]
    except (RuntimeError, AssertionError, ValueError, TypeError) as error:
        raise _refused(name, f"cannot be run for an image of {_SIDE}×{_SIDE} ({_first_line(error)})") from error
    paths = [tuple(call.path for call in chain) for chain in chains]
    if paths[0] != paths[1]:
        raise _refused(name, "runs other modules when it learns than when it predicts")
    return _cut(name, net, chains[0], ends, last)


def _cut(name: str, net: nn.Module, chain: Sequence[_Call], ends: Sequence[str], last: str) -> Parts:
    paths = [call.path for call in chain]
    if last not in paths:
        raise _refused(name, f"does more around {last} than to run one module after another")
    # An end inside of a block that is no chain itself is the block's.
    found = [next((path for path in paths if path == end or _within(end, path)), None) for end in ends]
    if None in found or "" in found:
        raise _refused(name, f"does more around {ends[0]} than to run one module after another")
    places = [paths.index(end) for end in dict.fromkeys(found) if end is not None]
    if places != sorted(places) or places[-1] >= paths.index(last):
        raise _refused(name, "has stages that are not one after another")
    _check_maps(name, chain, {stage["module"]: stage["num_chs"] for stage in _feature_info(net)}, places[-1])
    stages, start = dict[str, tuple[str, ...]](), 0
    for place in places:
        stages[_named(paths[place])] = tuple(paths[start : place + 1])
        start = place + 1
    spatial = len(list(itertools.takewhile(lambda call: call.y is not None and _is_map(call.y), chain)))
    weighty = [place for place in range(start, spatial) if _weighty(net, paths[place])]
    if weighty:
        stages[_named(paths[weighty[0]])] = tuple(paths[start : weighty[-1] + 1])
        start = weighty[-1] + 1
    firsts = {stage[0] for stage in stages.values()}
    if any(call.mutates for call in chain if call.path in firsts):
        raise _refused(name, "changes in place what a stage gave")
    lost = [key for key in net.state_dict() if not key.startswith(tuple(f"{path}." for path in paths))]
    if lost:
        raise _refused(name, f"has weights that it does not run one after another, such as {lost[0]}")
    return Parts(stages, tuple(paths[start:]), last)


def _check_maps(name: str, chain: Sequence[_Call], widths: Mapping[str, int], last: int) -> None:
    for call in chain[: last + 1]:
        assert call.y is not None
        if not _is_map(call.y) or widths.get(call.path, call.y.shape[1]) != call.y.shape[1]:
            raise _refused(name, f"gives {list(call.y.shape)} at {call.path}, which are no maps of channels")


def _feature_info(net: nn.Module) -> Sequence[Mapping[str, Any]]:
    return tuple(getattr(net, "feature_info", ()))


def _chain(net: nn.Module, ends: Sequence[str]) -> list[_Call]:
    """The calls that are the network, as few as there are with one that ends at each of ``ends``, where they can be."""
    chain = [_traced(net, torch.empty(2, 3, _SIDE, _SIDE, device="meta"))]
    for end in ends:
        while True:
            owner = next((call for call in chain if _within(end, call.path) and call.is_chain()), None)
            if owner is None:
                break
            place = chain.index(owner)
            chain[place : place + 1] = owner.calls
    return chain


def _sizes(name: str, net: Classifier) -> tuple[int, int]:
    """The side of the smallest images that it takes, and how many pixels more they have at a time.

    Small images are run, which is quicker than the meta device; with whatever weights there are in memory.
    """
    net.to_empty(device="cpu")

    def takes(side: int) -> bool:
        try:
            with torch.inference_mode(), torch.device("cpu"):
                maps = net.trunk.pyramid(torch.zeros(1, 3, side, side))
                net.head(maps[net.trunk.names[-1]])
        except (RuntimeError, ValueError, AssertionError):
            return False
        return all(min(x.shape) > 0 for x in maps.values())

    step = next((step for step in _STEPS if takes(_SIDE + step)), None)
    if step is None:
        raise _refused(name, "takes images of one size only")
    sides = range(_SIDE % step or step, _SIDE + 1, step)
    return sides[bisect.bisect_left(sides, True, key=takes)], step


def _within(path: str, owner: str) -> bool:
    return path != owner and (not owner or path.startswith(f"{owner}."))


def _is_map(y: Tensor) -> bool:
    return y.ndim == 4 and min(y.shape[2:]) > 1


def _weighty(net: nn.Module, path: str) -> bool:
    return any(True for _ in net.get_submodule(path).parameters())


def _named(path: str) -> str:
    return path.replace(".", "_")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(".")


def _refused(name: str, why: str) -> UserError:
    return UserError(f"timm/{name} cannot be taken apart into stages: it {why}", mend=_like(name))


def suggested() -> list[str]:
    """Names of convolutional networks that can be taken apart; there are others."""
    return [name for file in _STAGED for name in timm.list_models(module=file)]


def _like(name: str) -> str:
    close = difflib.get_close_matches(name, suggested(), n=3, cutoff=0.0)
    return f"the nearest that can be used are {', '.join(PREFIX + other for other in close)}"


@dataclass
class _Call:
    # One call of a module, from one tensor to one tensor; else x or y is None.
    path: str
    x: Tensor | None
    before: int
    calls: list[_Call] = field(default_factory=list)
    y: Tensor | None = None
    after: int = 0
    mutates: bool = False

    def is_chain(self) -> bool:
        x, version = self.x, self.before
        if x is None or not self.calls:
            return False
        for call in self.calls:
            if call.x is not x or call.before != version or call.y is None:
                return False
            x, version = call.y, call.after
        return x is self.y and version == self.after


def _traced(net: nn.Module, x: Tensor) -> _Call:
    root = _Call("", None, 0)
    stack = [root]

    def enter(path: str, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        alone = bool(args) and isinstance(args[0], Tensor) and _is_default(module, args, kwargs)
        stack.append(_Call(path, args[0] if alone else None, args[0]._version if alone else 0))

    def leave(y: object) -> None:
        call = stack.pop()
        if isinstance(y, Tensor):
            call.y, call.after = y, y._version
        call.mutates = call.x is not None and call.x._version != call.before
        stack[-1].calls.append(call)

    handles = []
    for path, module in net.named_modules():
        start = functools.partial(enter, path)
        handles.append(module.register_forward_pre_hook(start, with_kwargs=True))
        handles.append(module.register_forward_hook(lambda _module, _args, y: leave(y)))
    try:
        with torch.no_grad(), _Shaped():
            net(x)
    finally:
        for handle in handles:
            handle.remove()
    return root.calls[0]


def _is_default(module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    # Whether what is given beside the first argument is what would be given if nothing were.
    if len(args) == 1 and not kwargs:
        return True
    signature = inspect.signature(module.forward)
    try:
        alone, given = signature.bind(args[0]), signature.bind(*args, **kwargs)
    except TypeError:  # it cannot do without what is beside
        return False
    for bound in (alone, given):
        bound.apply_defaults()
    return list(alone.arguments.values())[1:] == list(given.arguments.values())[1:]


class _Shaped(TorchFunctionMode):
    """Within, what changes no shape gives a new tensor and does no more: it is most of the time on the meta device."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        quick = func in _KEEPS_SHAPE and not kwargs.get("inplace")
        return torch.empty_like(args[0]) if quick else func(*args, **kwargs)


_KEEPS_SHAPE = {F.batch_norm, F.layer_norm, F.relu, F.relu6, F.hardtanh, F.silu, F.gelu, F.hardswish, F.hardsigmoid}
