"""AlexNet.

A. Krizhevsky, I. Sutskever, G. Hinton, "ImageNet Classification with Deep Convolutional Neural Networks", 2012;
A. Krizhevsky, "One weird trick for parallelizing convolutional neural networks", 2014.

New then: a large convolutional network trained on two graphics cards, with ReLU instead of tanh, dropout in the
fully connected layers, overlapping pooling and normalisation between neighbouring channels.

`AlexNet` is the one-GPU form of 2014, which most libraries mean; ``grouped=True`` is the one of 2012, whose second,
fourth and fifth convolutions see only the half of the maps that lay on their own card.

Departures:
- the 2012 form takes 227 × 227 (the 224 of the paper does not give its 55 × 55 maps) and has no border around them;
- the one-GPU form pads the first convolution by 2 as torchvision does, and begins with PyTorch's default weights;
- other sizes than the paper's are averaged over to 6 × 6 before the fully connected layers;
- the one-GPU form drops the outputs of fc6 and fc7 as the paper says, where torchvision drops their inputs.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from svertka.layers.trunk import Classifier, Trunk


class AlexNet(Classifier):
    """Five convolutions, three of them pooled, and three fully connected layers.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the outputs of fc6 and fc7 that are dropped in training.
        grouped: The network of 2012, in two halves and with local response normalisation.
    """

    def __init__(
        self, *, classes: int = 1000, in_channels: int = 3, dropout: float = 0.5, grouped: bool = False
    ) -> None:
        c1, c2, c3, c4, c5 = (96, 256, 384, 384, 256) if grouped else (64, 192, 384, 256, 256)
        groups = 2 if grouped else 1

        def convolution(number: int, layer: nn.Conv2d) -> nn.Module:
            layers: OrderedDict[str, nn.Module] = OrderedDict({f"conv{number}": layer, f"relu{number}": nn.ReLU()})
            if grouped and number <= 2:
                layers[f"norm{number}"] = response_normalisation()
            return nn.Sequential(layers)

        def pooling() -> nn.Module:
            return nn.MaxPool2d(3, 2)

        trunk = Trunk(
            {
                "conv1": convolution(1, nn.Conv2d(in_channels, c1, 11, 4, padding=0 if grouped else 2)),  # 227 → 55
                "pool1": pooling(),  # 55 → 27
                "conv2": convolution(2, nn.Conv2d(c1, c2, 5, padding=2, groups=groups)),
                "pool2": pooling(),  # 27 → 13
                "conv3": convolution(3, nn.Conv2d(c2, c3, 3, padding=1)),
                "conv4": convolution(4, nn.Conv2d(c3, c4, 3, padding=1, groups=groups)),
                "conv5": convolution(5, nn.Conv2d(c4, c5, 3, padding=1, groups=groups)),
                "pool5": pooling(),  # 13 → 6
            },
            in_channels=in_channels,
        )
        head = nn.Sequential(
            OrderedDict(
                pool=nn.AdaptiveAvgPool2d(6),  # the identity at 227 × 227
                flatten=nn.Flatten(),
                fc6=nn.Linear(c5 * 6 * 6, 4096),
                relu6=nn.ReLU(),
                drop6=nn.Dropout(dropout),
                fc7=nn.Linear(4096, 4096),
                relu7=nn.ReLU(),
                drop7=nn.Dropout(dropout),
                fc8=nn.Linear(4096, classes),
            )
        )
        super().__init__(trunk, head, classes=classes)
        if grouped:
            self._begin_as_in_2012()

    def _begin_as_in_2012(self) -> None:
        # A bias of one gives the ReLUs something to pass on, and so to learn from, from the first step.
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                assert module.bias is not None
                nn.init.normal_(module.weight, std=0.01)
                nn.init.constant_(module.bias, float(name.endswith(("conv2", "conv4", "conv5", "fc6", "fc7"))))


def response_normalisation() -> nn.LocalResponseNorm:
    """Each value divided by ``(2 + 1e-4 * s) ** 0.75``, where ``s`` sums the squares of five neighbouring channels."""
    return nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)  # PyTorch takes the mean for the sum: five times
