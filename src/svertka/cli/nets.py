"""``svertka nets``."""

from __future__ import annotations

from svertka.cli._output import Json, print_json, print_table
from svertka.verbs.list_nets import list_nets


def nets(name: str | None = None, /, *, json: Json = False) -> None:
    """List the networks, or show the stages of one.

    Parameters
    ----------
    name
        Name of a network.
    """
    found = list_nets(name)
    if json:
        print_json(found)
        return
    columns = ("name", "year", "parameters", "classes", "input", "paper")
    rows = [
        [net["name"], str(net["year"]), net["parameters"], net["classes"], _input(net), net["paper"]] for net in found
    ]
    print_table(columns, rows)
    if name is not None:
        stages = found[0]["stages"]
        print()
        shapes = [" × ".join(str(side) for side in stage["shape"]) for stage in stages]
        strides = [str(stage["stride"] or "–") for stage in stages]
        print_table(
            ("stage", "output", "stride", "parameters"),
            [
                [s["name"], shape, stride, s["parameters"]]
                for s, shape, stride in zip(stages, shapes, strides, strict=True)
            ],
        )


def _input(net: dict[str, object]) -> str:
    return f"{net['image_size']}×{net['image_size']}×{net['channels']}"
