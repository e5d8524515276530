"""``svertka nets``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter, Token

from svertka.cli._output import Flag, Json, Whole, print_json, print_table, say
from svertka.commands.nets.command import families, list_nets
from svertka.commands.nets.command import ledger as count_ledger
from svertka.wording import counted, inflected

_IMAGES = {
    "imagenet": "ImageNet's validation images",
    "cifar10": "CIFAR-10's test images",
    "visual_wake_words": "Visual Wake Words",
    "voc": "COCO's validation images with the classes of Pascal VOC",
}
"""What the accuracy of published weights was measured on, by their data set."""

_LONGEST = 15  # characters of the name of weights in the list
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}


def amount(kind: type, tokens: Sequence[Token]) -> float:
    """A number that may end in k, M or G."""
    del kind
    text = tokens[0].value
    found = re.fullmatch(r"(\d+(?:\.\d*)?)([kmg]?)", text.lower())
    if not found:
        raise ValueError(f"{text} is no amount such as 25000000, 25M or 4.1G")
    return float(found[1]) * _UNITS[found[2]]


Amount = Annotated[float, Parameter(converter=amount)]


def nets(
    name: str | None = None,
    /,
    *,
    sort: str = "year",
    since: Whole | None = None,
    max_parameters: Amount = math.inf,
    max_macs: Amount = math.inf,
    with_weights: Flag = False,
    image_size: Whole | None = None,
    svg: Path | None = None,
    ledger: Flag = False,
    json: Json = False,
) -> None:
    """List the networks, or take one apart: its stages, its weights, and where it departs from four design principles.

    Parameters
    ----------
    name
        Name of a network, or a part of names to list.
    sort
        Column to sort by: year, name, parameters, macs, memory or input, smallest first; top1 on ImageNet, best first.
    since
        List those of papers from this year on.
    max_parameters
        List those of at most so many parameters, such as 5M.
    max_macs
        List those of at most so many multiply-accumulate operations for an image, such as 1.5G.
    with_weights
        List those with published weights.
    image_size
        Measure the network at square images of this side instead of the paper's.
    svg
        Draw the network to this file.
    ledger
        Why parameters are counted differently: PyTorch's count, Keras's, and the figure of the lecture's table.
    """
    if ledger:
        _print_ledger(json=json)
        return
    found = list_nets(
        name,
        sort=sort,
        since=since,
        max_parameters=max_parameters,
        max_macs=max_macs,
        with_weights=with_weights,
        image_size=image_size,
        svg=svg,
    )
    if json:
        print_json(found)
    elif len(found) == 1 and "stages" in found[0]:
        _print_one(found[0])
        if svg is not None:
            say(f"\nwrote {svg}")
    else:
        _print_list(found, families() if name is None else {})


def _print_list(found: Sequence[dict[str, Any]], beside: Mapping[str, str]) -> None:
    rows = [
        [
            net["name"],
            net["gives"],
            str(net["year"]),
            f"{net['parameters']:,}",
            _macs(net["macs"]),
            _memory(net["activation_bytes"]),
            f"{_extent(net, net['image_size'], '×')}×{net['channels']}",
            _percent(net["top1"]),
            _first([weights["name"] for weights in net["weights"]]),
            _first([weights["licence"].partition(":")[0] for weights in net["weights"]]),
        ]
        for net in found
    ]
    columns = ("name", "gives", "year", "parameters", "macs", "memory", "input", "top1", "weights", "licence")
    print_table(columns, rows, right=("year", "parameters", "macs", "memory", "top1"))
    for prefix, about in beside.items():
        say(f"\n{prefix}NAME: {about}")


def _extent(net: dict[str, Any], side: int, times: str = " × ") -> str:
    return f"{side}{times}{side}" if net["media"] == "image" else str(side)


def _print_one(net: dict[str, Any]) -> None:
    say(f"{net['name']}: {net['paper']}, {net['year']}")
    side, stages = net["measured_at"], net["stages"]
    total = {figure: sum(stage[figure] for stage in stages) for figure in ("parameters", "macs", "activation_bytes")}
    sizes = f"of any size from {_extent(net, net['smallest'])} on"
    if net["one_size"]:
        sizes = "of this size only"
    elif net["step"] > 1:
        sizes = f"of {_extent(net, net['smallest'])}, and {counted(net['step'], 'pixel')} more at a time"
    noun = net["media"]
    say(f"measured for one {noun} of {_extent(net, side)} × {net['channels']}; takes {inflected(2, noun)} {sizes}\n")
    rows = [
        [
            stage["name"],
            " × ".join(str(extent) for extent in stage["shape"]),
            stage["stride"] or "–",
            "all" if stage["receptive_field"] is None else f"{stage['receptive_field']:,}",
            f"{stage['parameters']:,}",
            _macs(stage["macs"]),
            _memory(stage["activation_bytes"]),
        ]
        for stage in stages
    ]
    whole = ["", "", "", "", f"{total['parameters']:,}", _macs(total["macs"]), _memory(total["activation_bytes"])]
    columns = ("stage", "output", "stride", "sees", "parameters", "macs", "memory")
    print_table(columns, [*rows, whole], right=columns[2:])
    for weights in net["weights"]:
        say(f"\nweights {net['name']}.{weights['name']}")
        say(f"  {_accuracy(weights)}")
        say(f"  {weights['from']}")
        say(f"  licence {weights['licence']}")
        say(f"  {_preprocessing(weights)}")
    say()
    for number, entry in enumerate(net["audit"], start=1):
        say(f"{number}. {entry['principle']}: {'departs' if entry['findings'] else 'kept'}")
        for finding in entry["findings"]:
            say(f"   {finding['stage']}: {finding['figures']}")


def _print_ledger(*, json: bool) -> None:
    lines = count_ledger()
    if json:
        print_json(lines)
        return
    columns = ("name", "torch", "keras", "lecture", "why")
    rows = [["" if line[column] is None else line[column] for column in columns] for line in lines]
    print_table(columns, rows, right=("lecture",))


def _accuracy(weights: dict[str, Any]) -> str:
    names = {"top1": "top1", "top5": "top5", "miou": "mean IoU", "pixel_accuracy": "pixel accuracy"}
    figures = [f"{name} {_percent(weights[key])}" for key, name in names.items() if weights[key] is not None]
    return f"{', '.join(figures) or 'no accuracy is published'} on {_IMAGES.get(weights['data'], 'its own images')}"


def _preprocessing(weights: dict[str, Any]) -> str:
    sides = f"{weights['image_size']} × {weights['image_size']} cut from a shorter side of {weights['shorter']}"
    mean, std = (", ".join(f"{value:g}" for value in weights[key]) for key in ("mean", "std"))
    return f"{sides}, {weights['interpolation']}, {weights['order']}, mean {mean}, deviation {std}"


def _macs(value: int) -> str:
    unit, name = next(((unit, name) for unit, name in ((1e9, "G"), (1e6, "M")) if value >= unit), (1e3, "k"))
    return f"{value / unit:.{1 if value < 100 * unit else 0}f} {name}"


def _memory(value: int) -> str:
    if value >= 1e9:
        return f"{value / 1e9:.1f} GB"
    if value >= 1e8:
        return f"{value / 1e6:,.0f} MB"
    return f"{value / 1e6:.1f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def _first(words: Sequence[str]) -> str:
    # Of the first weights, which are the default; all do not fit in a line.
    first = "".join(words[:1])
    more = len(set(words)) > 1 or len(first) > _LONGEST
    return first[: _LONGEST - 1] + "…" if more else first
