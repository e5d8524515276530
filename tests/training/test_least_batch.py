"""Which networks need two images at a step, found without a step."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from svertka.runtime.preprocess import Preprocess
from svertka.tasks.classification import Classification
from svertka.tasks.detection import DetectionTask
from svertka.tasks.segmentation import SegmentationTask
from svertka.tasks.task import Task
from svertka.training.least_batch import least_images
from svertka.zoo import registry

NAMES = ("a", "b", "c")


def can_learn_from_one(net: nn.Module, task: Task, shape: tuple[int, ...]) -> bool:
    image = torch.zeros(1, *shape)
    copied = copy.deepcopy(net)
    targets = task.some_targets(copied.eval()(image))
    try:
        task.step(copied.train(), image, targets)
    except ValueError as error:
        return "more than 1 value per channel" not in str(error)
    return True


def classification() -> Task:
    return Classification(NAMES)


def segmentation() -> Task:
    return SegmentationTask(NAMES, Preprocess(height=32, width=32))


@pytest.mark.parametrize(
    ("name", "arguments", "side", "task"),
    [
        ("lenet5", {}, 32, classification),
        ("resnet8_cifar", {}, 32, classification),
        ("resnet8_cifar", {}, 4, classification),
        ("mobilenet_025", {}, 32, classification),
        ("mobilenet_025", {}, 64, classification),
        ("densenet121", {}, 32, classification),
        ("ssd", {"image_size": 96}, 96, lambda: DetectionTask(NAMES)),
        ("unet", {"trunk": {"net": "mobilenet_025"}}, 32, segmentation),
    ],
)
def test_it_is_what_a_step_needs(name: str, arguments: dict[str, Any], side: int, task: Any) -> None:
    torch.manual_seed(0)
    net = registry.build_any(name, {"classes": len(NAMES), "in_channels": 3, **arguments}).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    drawn = torch.get_rng_state()
    found = least_images(net, task(), (3, side, side))
    assert found == (1 if can_learn_from_one(net, task(), (3, side, side)) else 2)
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(module.training for module in net.modules())
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())


def test_normalisations_that_keep_their_statistics_need_no_second_image() -> None:
    net = registry.build("mobilenet_025", {"classes": len(NAMES), "in_channels": 3})
    net.trunk.keeps_statistics = True
    assert least_images(net, Classification(NAMES), (3, 32, 32)) == 1


def test_a_look_that_fails_leaves_no_trace() -> None:
    class Broken(nn.Sequential):
        def forward(self, x: Tensor) -> Tensor:
            super().forward(x)
            raise RuntimeError

    net = Broken(nn.BatchNorm2d(3))
    with pytest.raises(RuntimeError):
        least_images(net, Classification(NAMES), (3, 4, 4))
    assert net.training
    assert not net[0]._forward_pre_hooks
