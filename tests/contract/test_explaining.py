"""Every method of explaining runs on every registered network, frozen or not, and leaves it as it was.

By default on the cheapest network of each family; with ``SVERTKA_FULL`` set, on all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from families import FULL, SHORTER, cheapest
from torch import Tensor, nn

from svertka.explaining.activations import feature_maps
from svertka.explaining.adversarial import Normalised, fgsm, pgd, universal
from svertka.explaining.deconvnet import deconvnet
from svertka.explaining.embedding import Means, pca
from svertka.explaining.filters import first_filters
from svertka.explaining.gradcam import grad_cam, grad_cam_plus_plus
from svertka.explaining.gradients import guided_backpropagation, integrated_gradients, saliency
from svertka.explaining.maximisation import maximise
from svertka.explaining.occlusion import occlusion
from svertka.explaining.patches import top_units
from svertka.explaining.pruning import pruning_sensitivity
from svertka.explaining.running import at_rest
from svertka.explaining.sanity import randomised
from svertka.explaining.targets import ChannelMean, ClassLogit, CrossEntropy, Unit
from svertka.layers.dense import Segmenter
from svertka.layers.net import Net
from svertka.zoo import registry

CLASSES = 4
SMALLER: dict[str, dict[str, Any]] = SHORTER | {
    "deconvnet": {"hidden": 8, "trunk": {"net": "vgg11_bn"}},
    "fcn8s": {"trunk": {"net": "resnet8_cifar"}},
    "unet": {"trunk": {"net": "resnet8_cifar"}},
}
"""With fewer blocks, and on small trunks."""


def some(kind: str) -> list[registry.NetRecord]:
    nets = [record for record in registry.records() if record.kind == kind]
    if kind == "segmenter" and not FULL:
        return [record for record in nets if record.name in SMALLER]
    return cheapest(nets)


def build(record: registry.NetRecord) -> tuple[Net, Tensor]:
    torch.manual_seed(0)
    arguments: dict[str, Any] = {"classes": CLASSES, "in_channels": record.channels}
    side = record.smallest
    if record.one_size:
        side = arguments["image_size"] = 12
    if not FULL:
        arguments |= SMALLER.get(record.name, {})
    net = registry.build_any(record.name, arguments)
    with torch.no_grad():
        if isinstance(net, Segmenter):  # scores that begin at zero hand on no gradient
            side = net.tile(max(side, 32) - 2 * net.margin)
            for value in net.decoder.parameters():
                value.add_(torch.full_like(value, 1e-3))
    images = torch.randn(2, record.channels, side, side, generator=torch.Generator().manual_seed(1))
    return net, images


def stage_of(net: Net) -> nn.Module:
    """One in the middle, of those that the prediction goes by."""
    return list(net.trunk.children())[len(net.trunk.names) // 2 - 1 if len(net.trunk.names) > 1 else 0]


Method = Callable[[Net, nn.Module, ClassLogit, Tensor], list[Tensor]]

ONE = torch.tensor([0, 0])
LOW, HIGH = -2.0, 2.0


def _unit(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    del target
    found = top_units(net, {"stage": stage}, [images])["stage"]
    place = Unit(ONE, found.rows[0, :2], found.columns[0, :2])
    return [found.values, deconvnet(net, stage, place, images[found.images[0, :2]])]


def _made_up(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    low, high = (torch.full((images.shape[1],), value) for value in (LOW, HIGH))
    return [
        maximise(net, layer, score, images.clamp(LOW, HIGH), low=low, high=high, steps=1)
        for layer, score in ((stage, ChannelMean(ONE)), (net, target))
    ]


def _attacks(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    del stage, target
    channels = images.shape[1]
    module = Normalised(net, (0.5,) * channels, (0.25,) * channels)
    pixels = images.sigmoid().mul(255).round() / 255
    with at_rest(module) as forward, torch.no_grad():
        truth = CrossEntropy(forward(pixels).argmax(dim=1))
    return [
        fgsm(module, module, truth, pixels, epsilon=8 / 255),
        pgd(module, module, truth, pixels, epsilon=8 / 255, steps=1),
        universal(module, module, [(pixels, truth)], epsilon=8 / 255, rounds=1),
    ]


def _embedding(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    del target
    means = Means()
    top_units(net, {"stage": stage}, [images], beside={"stage": means.add})
    return [torch.from_numpy(pca(means.features()))]


def _pruning(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    found = pruning_sensitivity(
        net, {"stage": stage}, lambda forward: float(target(forward(images)).sum()), shares=(0.5,)
    )
    return [torch.tensor(found.get("stage", []))]


def _sanity(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    names = {layer: name for name, layer in net.named_modules()}
    other = randomised(net)
    return [grad_cam(other, other.get_submodule(names[stage]), target, images)]


def _filters(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    del stage, target
    return [first_filters(net, images)]


def _maps(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    del target
    return [feature_maps(net, {"stage": stage}, images)["stage"]]


def _pixels(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    del stage
    window = (images.shape[2], images.shape[3] // 2 + 1)
    return [
        saliency(net, net, target, images),
        guided_backpropagation(net, net, target, images),
        integrated_gradients(net, net, target, images, steps=2),
        occlusion(net, net, target, images, window=window),
    ]


def _cams(net: Net, stage: nn.Module, target: ClassLogit, images: Tensor) -> list[Tensor]:
    return [method(net, stage, target, images) for method in (grad_cam, grad_cam_plus_plus)]


METHODS: dict[str, Method] = {
    "filters": _filters,
    "maps": _maps,
    "patches and deconvnet": _unit,
    "maximisation": _made_up,
    "pixels": _pixels,
    "class activation": _cams,
    "embedding": _embedding,
    "adversarial": _attacks,
    "pruning": _pruning,
    "sanity": _sanity,
}


def check(record: registry.NetRecord) -> None:
    net, images = build(record)
    stage = stage_of(net)
    net.eval()
    with torch.no_grad():
        logits = net(images)
    classes = logits.flatten(2).mean(2).argmax(dim=1) if logits.ndim == 4 else logits.argmax(dim=1)
    target = ClassLogit(classes)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    found: dict[str, list[list[Tensor]]] = {name: [] for name in METHODS}
    for frozen in (False, True):
        net.trunk.freeze(len(net.trunk.names) if frozen else 0)
        net.requires_grad_(not frozen)
        net.train(not frozen)
        modes = [part.training for part in net.modules()]
        for name, method in METHODS.items():
            found[name].append(method(net, stage, target, images))
            assert [part.training for part in net.modules()] == modes, name
    for name, (free, frozen_too) in found.items():
        for one, other in zip(free, frozen_too, strict=True):
            assert one.isfinite().all(), name
            assert not one.requires_grad, name
            torch.testing.assert_close(one, other, msg=lambda text, name=name: f"{name}: {text}")
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(value.grad is None for value in net.parameters())
    # Of random weights, too, something must come out.
    for name in ("pixels", "maps"):
        assert found[name][0][0].any(), name


@pytest.mark.parametrize("record", some("classifier"), ids=lambda record: record.name)
def test_a_classifier_can_be_explained(record: registry.NetRecord) -> None:
    check(record)


@pytest.mark.parametrize("record", some("segmenter"), ids=lambda record: record.name)
def test_a_network_for_masks_can_be_explained(record: registry.NetRecord) -> None:
    check(record)
