"""VGG.

K. Simonyan, A. Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2014.

New then: nothing but 3 × 3 convolutions, and many of them. Two in a row see 5 × 5 pixels and three see 7 × 7, with
fewer weights and more nonlinearities than one large kernel. Configurations A (11 layers), B (13), D (16) and E (19).

The deeper ones did not learn from random weights then, so the paper trained A first and let them begin from it:
`grow`.

Departures:
- weights begin as He et al. say (2015), so that growing is a choice; the paper drew them with variance 0.01;
- other sizes than 224 × 224 are averaged over to 7 × 7 before the fully connected layers;
- ``batch_norm=True`` is later than the paper; it keeps the biases of the convolutions, as torchvision's weights do.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from torch import nn

from svertka.layers.initialisation import he_normal, normal_linear
from svertka.layers.trunk import Classifier, Trunk


class VGG(Classifier):
    """Five groups of convolutions, each followed by pooling, and three fully connected layers.

    Stages ``conv1``, ``pool1`` … ``conv5``, ``pool5``; the second convolution of the third group is ``conv3_2``.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        depths: Number of convolutions in each group.
        batch_norm: Normalise behind each convolution.
        dropout: Share of the outputs of fc6 and fc7 that are dropped in training.
    """

    def __init__(
        self,
        *,
        classes: int = 1000,
        in_channels: int = 3,
        depths: Sequence[int] = (2, 2, 3, 3, 3),
        batch_norm: bool = False,
        dropout: float = 0.5,
    ) -> None:
        stages: dict[str, nn.Module] = {}
        inputs = in_channels
        for group, (depth, width) in enumerate(zip(depths, (64, 128, 256, 512, 512), strict=True), 1):
            layers: OrderedDict[str, nn.Module] = OrderedDict()
            for number in range(1, depth + 1):
                layers[f"conv{group}_{number}"] = nn.Conv2d(inputs, width, 3, padding=1)
                if batch_norm:
                    layers[f"norm{group}_{number}"] = nn.BatchNorm2d(width)
                layers[f"relu{group}_{number}"] = nn.ReLU()
                inputs = width
            stages[f"conv{group}"] = nn.Sequential(layers)
            stages[f"pool{group}"] = nn.MaxPool2d(2)
        head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(7),  # the identity at 224 × 224
                flatten=nn.Flatten(),
                fc6=nn.Linear(512 * 7 * 7, 4096),
                relu6=nn.ReLU(),
                drop6=nn.Dropout(dropout),
                fc7=nn.Linear(4096, 4096),
                relu7=nn.ReLU(),
                drop7=nn.Dropout(dropout),
                fc8=nn.Linear(4096, classes),
            )
        )
        super().__init__(Trunk(stages, in_channels=in_channels), head, classes=classes)
        he_normal(self, "fan_out")
        normal_linear(self)


def grow(shallow: VGG, deep: VGG) -> None:
    """Staged training, section 3.1 of the paper: let ``deep`` begin from what ``shallow`` has learnt.

    The first four convolutions of ``shallow`` (with their normalisations) and its three fully connected layers are
    copied to the layers of the same name. Those between keep their random weights. Nothing is frozen, as in the paper.

    Args:
        shallow: Trained network; configuration A in the paper.
        deep: Network that is changed in place.

    Raises:
        ValueError: A layer is missing in ``deep`` or has another shape there; ``deep`` is as it was.
    """
    convolutions = [name for name, module in shallow.trunk.named_modules() if isinstance(module, nn.Conv2d)]
    first = tuple(name.rpartition("conv")[2] for name in convolutions[:4])  # "3_1" of "conv3.conv3_1"
    copied, taken = {}, deep.state_dict()
    for key, value in shallow.state_dict().items():
        if key.startswith("head.") or key.split(".")[2].endswith(first):
            if key not in taken or taken[key].shape != value.shape:
                raise ValueError(f"the deeper network has no {key} of shape {tuple(value.shape)}")
            copied[key] = value
    deep.load_state_dict(copied, strict=False)
