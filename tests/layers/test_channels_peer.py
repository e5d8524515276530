"""What belongs together, beside torch-pruning's dependency graph, where that is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from svertka.layers.channels import follow_channels
from svertka.zoo import registry


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121", "squeezenet1_1", "googlenet", "vgg11"])
@pytest.mark.filterwarnings("ignore")
def test_the_same_layers_lose_the_same_channels(name: str) -> None:
    peer = pytest.importorskip("torch_pruning")
    net = registry.build(name, {"classes": 5, "in_channels": 3}).eval()
    side = registry.record(name).smallest
    channels = follow_channels(net, side, side)
    graph = peer.DependencyGraph().build_dependency(net, torch.randn(1, 3, side, side))
    names = {module: path for path, module in net.named_modules()}
    weighty = (nn.Conv2d, nn.Linear, nn.BatchNorm2d)
    looked_at = 0
    for layer in channels.layers:
        units = channels.axes[layer.weight].get(layer.outputs)
        path = layer.weight.removesuffix(".weight")
        module = net.get_submodule(path)
        if units is None or units[1] < 0 or not isinstance(module, nn.Conv2d) or module.groups > 1:
            continue
        theirs = {
            (names[part.target.module], graph.is_out_channel_pruning_fn(part.handler), int(place))
            for part, places in graph.get_pruning_group(module, peer.prune_conv_out_channels, idxs=[1])
            if isinstance(part.target.module, weighty)
            for place in places
        }
        ours = set()
        for tensor, by_axis in channels.axes.items():
            owner = net.get_submodule(tensor.rpartition(".")[0])
            for axis, found in by_axis.items():
                if tensor.endswith(".weight"):
                    places = np.flatnonzero(found == units[1]).tolist()
                    made = axis == 0
                    ours |= {(names[owner], made, place) for place in places}
        assert ours == theirs, path
        looked_at += 1
    assert looked_at
