"""How many channels layers take and give, changed after a network was built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from svertka.layers.trunk import Trunk
from svertka.wording import counted

Widths = Mapping[str, Sequence[int | None]]
"""By path of a layer: the channels that come in, those that go out, and of a grouped convolution the groups; None for
as many as it was built with."""


def set_widths(net: nn.Module, widths: Widths) -> None:
    """Make layers of ``net`` narrower, in place; of each, the first channels stay, whatever their weights are.

    Raises:
        ValueError: There is no such layer, or it cannot have these widths.
    """
    for path, width in widths.items():
        try:
            layer = net.get_submodule(path)
            inputs, outputs, *groups = width
        except (AttributeError, TypeError, ValueError) as error:
            raise ValueError(f"no widths for {path!r} ({error})") from error
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            _narrow_convolution(layer, inputs, outputs, groups[0] if groups else None)
        elif isinstance(layer, nn.Linear):
            layer.in_features = _at_most(inputs, layer.in_features)
            layer.out_features = _at_most(outputs, layer.out_features)
            _cut(layer, "weight", layer.out_features, layer.in_features)
            _cut(layer, "bias", layer.out_features)
        elif isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d) and inputs == outputs:
            layer.num_features = _at_most(inputs, layer.num_features)
            for name in ("weight", "bias", "running_mean", "running_var"):
                _cut(layer, name, layer.num_features)
        elif isinstance(layer, nn.PReLU) and inputs == outputs:
            layer.num_parameters = _at_most(inputs, layer.num_parameters)
            _cut(layer, "weight", layer.num_parameters)
        else:
            raise ValueError(f"{path!r} cannot have the widths {list(width)}")
    for module in net.modules():
        if isinstance(module, Trunk):
            module.forget_shapes()


def _narrow_convolution(
    layer: nn.Conv2d | nn.ConvTranspose2d, inputs: int | None, outputs: int | None, groups: int | None
) -> None:
    inputs, outputs = _at_most(inputs, layer.in_channels), _at_most(outputs, layer.out_channels)
    groups = _at_most(groups, layer.groups)
    if inputs % groups or outputs % groups:
        raise ValueError(f"a convolution in {counted(groups, 'group')} from {inputs} to {counted(outputs, 'channel')}")
    layer.in_channels, layer.out_channels, layer.groups = inputs, outputs, groups
    if isinstance(layer, nn.ConvTranspose2d):
        _cut(layer, "weight", inputs, outputs // groups)
    else:
        _cut(layer, "weight", outputs, inputs // groups)
    _cut(layer, "bias", outputs)


def _at_most(wanted: int | None, built: int) -> int:
    if wanted is None:
        return built
    if type(wanted) is not int or not 1 <= wanted <= built:
        raise ValueError(f"{wanted!r} of {counted(built, 'channel')}")
    return wanted


def _cut(layer: nn.Module, name: str, *counts: int) -> None:
    value = getattr(layer, name)
    if value is None:
        return
    kept = value.detach()[tuple(slice(count) for count in counts)].clone()
    setattr(layer, name, nn.Parameter(kept, value.requires_grad) if isinstance(value, nn.Parameter) else kept)
