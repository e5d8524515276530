"""The same numbers as captum and pytorch-grad-cam give, by the same weights."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from svertka.explaining.deconvnet import deconvnet
from svertka.explaining.gradcam import enlarged, grad_cam, grad_cam_plus_plus
from svertka.explaining.gradients import gradient, guided_backpropagation, integrated_gradients, saliency
from svertka.explaining.occlusion import occlusion
from svertka.explaining.targets import ClassLogit
from svertka.zoo import registry

CLASSES = torch.tensor([3, 1])
TARGET = ClassLogit(CLASSES)
TOLERANCE = 1e-4


def peer(name: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of their own imports
        try:
            return importlib.import_module(name)
        except ImportError as error:
            pytest.skip(str(error))


@pytest.fixture(scope="module", params=["resnet20_cifar", "lenet5"])
def net(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    net = registry.build(request.param, {"classes": 5, "in_channels": 3})
    with torch.no_grad():
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.running_mean.normal_(0, 0.2)
                layer.running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.fixture(scope="module")
def pictures() -> Tensor:
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def close(found: Tensor, expected: Any) -> None:
    expected = torch.as_tensor(expected)
    assert expected.abs().max() > 1e-3, "there is nothing to compare"
    torch.testing.assert_close(found, expected.to(found.dtype), atol=TOLERANCE, rtol=TOLERANCE)


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize(("ours", "theirs"), [(grad_cam, "GradCAM"), (grad_cam_plus_plus, "GradCAMPlusPlus")])
def test_class_activation_maps(net: nn.Module, pictures: Tensor, ours: Any, theirs: str, stage: int) -> None:
    library = peer("pytorch_grad_cam")
    targets = peer("pytorch_grad_cam.utils.model_targets")
    layer = list(net.trunk.children())[stage]
    with getattr(library, theirs)(model=net, target_layers=[layer]) as cam:
        expected = cam(input_tensor=pictures, targets=[targets.ClassifierOutputTarget(c) for c in CLASSES.tolist()])
    maps = enlarged(ours(net, layer, TARGET, pictures), (32, 32)).flatten(1)
    maps = maps - maps.amin(dim=1, keepdim=True)
    found = (maps / maps.amax(dim=1, keepdim=True).clamp(min=1e-12)).view(2, 32, 32)
    close(found, expected)


def test_integrated_gradients(net: nn.Module, pictures: Tensor) -> None:
    theirs = peer("captum.attr").IntegratedGradients(net)
    expected = theirs.attribute(pictures, target=CLASSES, n_steps=50).detach()
    close(integrated_gradients(net, net, TARGET, pictures), expected.float())


@pytest.mark.parametrize(("window", "stride"), [((8, 8), (4, 4)), ((7, 10), (5, 3)), ((32, 32), (1, 1))])
def test_occlusion(net: nn.Module, pictures: Tensor, window: tuple[int, int], stride: tuple[int, int]) -> None:
    theirs = peer("captum.attr").Occlusion(net)
    expected = theirs.attribute(
        pictures, target=CLASSES, sliding_window_shapes=(3, *window), strides=(3, *stride), baselines=0
    ).detach()
    close(occlusion(net, net, TARGET, pictures, window=window, stride=stride), expected[:, 0])


def test_gradients(net: nn.Module, pictures: Tensor) -> None:
    theirs = peer("captum.attr").Saliency(net)
    close(gradient(net, net, TARGET, pictures), theirs.attribute(pictures.clone().requires_grad_(), CLASSES, abs=False))
    expected = theirs.attribute(pictures.clone().requires_grad_(), CLASSES).amax(dim=1)
    close(saliency(net, net, TARGET, pictures), expected)


@pytest.mark.parametrize(("ours", "theirs"), [(guided_backpropagation, "GuidedBackprop"), (deconvnet, "Deconvolution")])
def test_rectified_gradients(pictures: Tensor, ours: Any, theirs: str) -> None:
    """Of a network that uses each rectifier once, for captum can take no other."""
    library = peer("captum.attr")
    torch.manual_seed(0)
    net = registry.build("lenet5", {"classes": 5, "in_channels": 3}).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it sets hooks
        expected = getattr(library, theirs)(net).attribute(pictures.clone().requires_grad_(), target=CLASSES)
    close(ours(net, net, TARGET, pictures), expected.detach())
