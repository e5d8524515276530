"""Conformance checks of networks: the contract that every network keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.transfer import TransferHead
from svertka.layers.trunk import Trunk
from svertka.wording import counted
from svertka.zoo import registry
from svertka.zoo.modules import ModuleBuilder, arguments_of, check_rebuilt, record_of_class, try_out
from svertka.zoo.records import NetRecord
from svertka.zoo.tensors import DTYPE_NAMES

_CLASSES = 7
_COUNTS = (1, 3, 4)  # channels of images
_REFUSED = (RuntimeError, ValueError, UserError)


def check_net(net: NetRecord | str | nn.Module | type[nn.Module]) -> None:
    """Check that a network keeps its contract: `check_shapes`, `check_learning` and `check_state`.

    Args:
        net: Its record, or its name; or a `torch.nn.Module` as it is given to `svertka.train`, or a class of one.

    Raises:
        AssertionError: It does not.
        UserError: There is no such network, or it cannot be built.
    """
    if isinstance(net, nn.Module | type):
        record = _of_module(net)
    else:
        record = registry.record(net) if isinstance(net, str) else net
        check_shapes(record)
    check_learning(record)
    check_state(record)


def check_shapes(record: NetRecord) -> None:
    """Check parameters, channels, sizes and outputs of a network, on the meta device: nothing is computed.

    Raises:
        AssertionError: One is not what the record says.
    """
    if record.parameters:
        with torch.device("meta"):
            net = registry.build_of(record, record.as_counted())
        count = sum(parameter.numel() for parameter in net.parameters())
        _see(record, count == record.parameters, f"it has {count:,} parameters, and the record {record.parameters:,}")
    for channels in _COUNTS if record.traits.shape is None else ():
        with torch.device("meta"):
            net = _built(record, channels)
            _see(
                record,
                net.in_channels == channels,
                f"built for {counted(channels, 'channel')}, it has {net.in_channels}",
            )
            for mode in (True, False) if channels == record.channels else (False,):
                _check_output(record, net.train(mode), _shape(record, _size(record), channels))
    if not record.one_size:
        _check_sizes(record)
    _check_smallest(record)


def check_learning(record: NetRecord) -> None:
    """Check that a network learns: gradients reach all of it, its stages say what they are, and frozen is frozen.

    Raises:
        AssertionError: It does not.
    """
    x = _inputs(record)
    net = _built(record, record.channels)
    _check_repeats(record, net, x)
    trunk = getattr(net, "trunk", None)
    if isinstance(trunk, Trunk):
        _check_stages(record, net, trunk, x)
    _loss(record, net.train(), x).backward()  # type: ignore[no-untyped-call]
    without = [name for name, parameter in net.named_parameters() if parameter.grad is None]
    forgotten = [name for name in without if "auxiliary" not in name and not name.startswith(record.teachers)]
    _see(record, not forgotten, f"no gradient reaches {', '.join(forgotten[:3])}: forward does not use it")
    if isinstance(trunk, Trunk):
        _check_frozen(record, net, trunk, x)
    if record.kind == "classifier":
        _check_heads(record)


def check_state(record: NetRecord) -> None:
    """Check that a network's weights, given to one built anew, make it say the same: what a model file relies on.

    Raises:
        AssertionError: They do not.
    """
    x, net = _inputs(record), _built(record, record.channels).eval()
    with torch.device("meta"):
        again = _built(record, record.channels)
    weights = net.state_dict()
    odd = [name for name, value in weights.items() if not isinstance(value, Tensor) or value.dtype not in DTYPE_NAMES]
    _see(record, not odd, f"{', '.join(odd[:3])} is no tensor that a model file can hold")
    _see(record, weights.keys() == again.state_dict().keys(), "built twice, it has layers of other names")
    again.load_state_dict(weights, assign=True)
    rest = [name for name, value in [*again.named_parameters(), *again.named_buffers()] if value.is_meta]
    _see(record, not rest, f"{', '.join(rest[:3])} is not saved: register_buffer(…, persistent=True) keeps it")
    with torch.inference_mode():
        ours, theirs = net.outputs(x), again.eval().outputs(x)
    for name, output in ours.items():
        _see(record, torch.equal(output, theirs[name]), f"with the same weights, it gives other {name}")


def _of_module(net: nn.Module | type[nn.Module]) -> NetRecord:
    # Nothing says which sizes a plain module takes: its own is tried.
    kind = net if isinstance(net, type) else type(net)
    record = record_of_class(kind)
    options = {} if isinstance(net, type) else arguments_of(net)
    if not isinstance(net, type):
        check_rebuilt(record, net, options)
    try_out(record, options, record.image_size, record.channels)
    return dataclasses.replace(record, arguments=options, smallest=record.image_size)


def _classes(record: NetRecord) -> int:
    return (record.builder.gives if isinstance(record.builder, ModuleBuilder) else None) or _CLASSES


def _see(record: NetRecord, fine: bool, problem: str) -> None:
    if not fine:
        raise AssertionError(f"the network {record.name}: {problem}")


def _size(record: NetRecord) -> int:
    # The cheapest at which it is itself.
    return record.image_size if record.one_size else record.smallest


def _shape(record: NetRecord, side: int, channels: int) -> tuple[int, ...]:
    return record.traits.shape(channels, side) if record.traits.shape else (channels, *record.spatial(side))


def _inputs(record: NetRecord) -> Tensor:
    shape = _shape(record, _size(record), record.channels)
    return torch.randn(2, *shape, generator=torch.Generator().manual_seed(1))


def _built(record: NetRecord, channels: int, side: int | None = None, **more: Any) -> Any:
    torch.manual_seed(0)
    classes = {"classes": _classes(record)} if record.takes("classes") else {}
    arguments: dict[str, Any] = {**classes, "in_channels": channels, **more}
    if record.one_size:
        arguments["image_size"] = side or record.image_size
    return registry.build_of(record, arguments)


def _regions(record: NetRecord) -> list[Tensor]:
    return [torch.empty(2, record.regions, 4)] if record.regions else []


def _check_output(record: NetRecord, net: Any, shape: tuple[int, ...]) -> None:
    output = net(torch.empty(2, *shape), *_regions(record))
    if record.kind == "detector":
        for said, images in ((output, 2), (output.of(1), 1)):
            found = said.found()
            count = found.boxes.shape[1]
            boxes = ((images, count, 4), (images, count, _classes(record), 4))
            _see(record, tuple(found.boxes.shape) in boxes, f"it gives boxes of shape {tuple(found.boxes.shape)}")
            scores = tuple(found.scores.shape)
            _see(record, scores == (images, count, _classes(record)), f"it gives scores of shape {scores}")
        return
    for tensor in _tensors(output):
        expected = tuple(tensor.shape)
        if record.kind == "classifier":
            expected = (2, _classes(record))
        elif record.kind == "segmenter":
            expected = (2, _classes(record), *(side - 2 * record.margin for side in shape[1:]))
        here = tuple(tensor.shape)
        _see(record, here == expected, f"for inputs of {(2, *shape)} it gives {here}, not {expected}")
        _see(record, here[:1] == (2,), f"of two inputs it gives {here}: the first axis is an input")


def _tensors(output: Any) -> list[Tensor]:
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, Mapping) else output if isinstance(output, list | tuple) else ()
    return [tensor for part in parts for tensor in _tensors(part)]


def _check_sizes(record: NetRecord) -> None:
    if record.kind == "detector" or record.traits.shape is not None or record.step > 1:
        return
    with torch.device("meta"):
        net = _built(record, record.channels).eval()
        for sides in ((record.smallest, record.smallest + 13), (record.image_size + 37, record.image_size + 1)):
            spatial = sides[: len(record.spatial(1))]
            if record.kind == "segmenter":
                spatial = tuple(net.tile(side - 2 * record.margin) for side in spatial)
            _check_output(record, net, (record.channels, *spatial))


def _check_smallest(record: NetRecord) -> None:
    def run(side: int) -> None:
        with torch.device("meta"):
            net = _built(record, record.channels, side).eval()
            net(torch.empty(2, *_shape(record, side, record.channels)), *_regions(record))

    run(record.smallest)
    if record.smallest > 1:
        try:
            run(record.smallest - 1)
        except _REFUSED:
            return
        _see(record, False, f"it takes inputs smaller than {record.smallest}, which its record calls the smallest")


def _check_repeats(record: NetRecord, net: Any, x: Tensor) -> None:
    with torch.inference_mode():
        outputs = net.eval().outputs(x, *_regions(record))
        again = net.outputs(x, *_regions(record))
    _see(record, tuple(outputs) == tuple(net.output_names), f"it gives {tuple(outputs)} and names {net.output_names}")
    for name, output in outputs.items():
        _see(record, len(output) == 2, f"of two inputs, {name} has {len(output)}")
        _see(record, bool(output.isfinite().all()), f"{name} is not finite")
        _see(record, torch.equal(output, again[name]), f"in evaluation mode it gives another {name} each time")


def _check_stages(record: NetRecord, net: Any, trunk: Trunk, x: Tensor) -> None:
    with torch.no_grad():
        pyramid = trunk.pyramid(x)
        _see(
            record, tuple(pyramid) == trunk.names, f"its stages are {trunk.names}, and its pyramid has {tuple(pyramid)}"
        )
        _see(record, torch.equal(pyramid[trunk.names[-1]], trunk(x)), "its trunk is not its stages one after another")
        if record.kind == "classifier":
            _see(record, torch.equal(net.head(trunk(x)), net(x)), "its logits are not what its head makes of its trunk")
    shapes, geometry = trunk.shapes(*x.shape[2:]), trunk.geometry(*x.shape[2:])
    for name, features in pyramid.items():
        said, own = shapes[name], tuple(features.shape[1:])
        _see(record, said == own, f"the stage {name} gives {own}, not {said}")
        _see(record, geometry[name].channels == own[0], f"the stage {name} has {own[0]} channels")


def _loss(record: NetRecord, net: Any, x: Tensor) -> Tensor:
    output = net(x, *_regions(record))
    if record.kind == "classifier":
        return F.cross_entropy(output, torch.tensor([0, 1]))
    terms = [tensor.square().mean() for tensor in _tensors(output) if tensor.requires_grad]
    _see(record, bool(terms), "nothing that it gives can be learnt from: no output has a gradient")
    return torch.stack(terms).sum()


def _check_frozen(record: NetRecord, net: Any, trunk: Trunk, x: Tensor) -> None:
    stages = max(len(trunk.names) - 1, 1)
    frozen, last = trunk.names[:stages], trunk.names[-1]
    net.zero_grad()
    trunk.freeze(stages)
    before, whole = trunk.digests(), {name: value.clone() for name, value in net.state_dict().items()}
    net.train()
    loss, learning = _loss(record, net, x), [value for value in net.parameters() if value.requires_grad]
    if learning:
        optimizer = torch.optim.SGD(learning, lr=0.1)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = trunk.digests()
    for name in frozen:
        _see(record, after[name] == before[name], f"the stage {name} is frozen, and changes")
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, whole[name])}
    _see(record, bool(changed) or not learning, "with frozen stages, nothing learns")
    if last not in frozen and any(True for _ in trunk.get_submodule(last).parameters()):
        learns = any(name.startswith(f"trunk.{last}.") for name in changed)
        _see(record, learns, f"the stage {last} is not frozen, and does not learn")
    trunk.freeze(0)
    _see(record, all(stage.training for stage in trunk.children()), "set free again, a stage stays in evaluation mode")
    _see(record, all(value.requires_grad for value in trunk.parameters()), "set free again, a stage does not learn")


def _check_heads(record: NetRecord) -> None:
    # Another head reads any stages.
    with torch.device("meta"):
        trunk = _built(record, record.channels).trunk
        taps = list(dict.fromkeys([trunk.names[0], trunk.names[-1]]))
        net = _built(record, record.channels, head={"taps": taps, "rule": "linear"}).eval()
        _check_output(record, net, _shape(record, _size(record), record.channels))
        shapes = net.trunk.shapes(*_shape(record, _size(record), record.channels)[1:])
    assert isinstance(net.head, TransferHead)
    read, wanted = net.head.rule.get_parameter("linear.weight").shape[1], sum(shapes[tap][0] for tap in taps)
    _see(record, read == wanted, f"a head on {' and '.join(taps)} reads {read} features of {wanted}")
