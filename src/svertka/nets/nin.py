"""Network in Network.

M. Lin, Q. Chen, S. Yan, "Network In Network", 2013.

New then: the linear filter is replaced by a small perceptron that slides over the image (a convolution and two of
1 × 1 behind it, "mlpconv"), and the fully connected layers by the average of one map a class.

The paper's experiments are on small images; this is the network for ImageNet that its authors gave to the Caffe zoo.
Departures from that: none known. A pooling window may hang over the border, as in Caffe, and the logits pass a ReLU.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import nn

from svertka.layers.trunk import Classifier, Trunk


class NetworkInNetwork(Classifier):
    """Four mlpconv blocks and global average pooling.

    The last layer of the last block, ``cccp8``, has one map a class and so stands in the head.

    Args:
        classes: Number of classes.
        in_channels: Number of channels of the images.
        dropout: Share of the inputs of the last block that are dropped in training.
    """

    def __init__(self, *, classes: int = 1000, in_channels: int = 3, dropout: float = 0.5) -> None:
        trunk = Trunk(
            {
                "mlpconv1": _rectified(
                    conv1=nn.Conv2d(in_channels, 96, 11, stride=4),  # 224 → 54
                    cccp1=nn.Conv2d(96, 96, 1),
                    cccp2=nn.Conv2d(96, 96, 1),
                ),
                "pool1": _pooling(),  # 54 → 27
                "mlpconv2": _rectified(
                    conv2=nn.Conv2d(96, 256, 5, padding=2),
                    cccp3=nn.Conv2d(256, 256, 1),
                    cccp4=nn.Conv2d(256, 256, 1),
                ),
                "pool2": _pooling(),  # 27 → 13
                "mlpconv3": _rectified(
                    conv3=nn.Conv2d(256, 384, 3, padding=1),
                    cccp5=nn.Conv2d(384, 384, 1),
                    cccp6=nn.Conv2d(384, 384, 1),
                ),
                "pool3": nn.Sequential(OrderedDict(pool=_pooling(), dropout=nn.Dropout(dropout))),  # 13 → 6
                "mlpconv4": _rectified(
                    conv4=nn.Conv2d(384, 1024, 3, padding=1),
                    cccp7=nn.Conv2d(1024, 1024, 1),
                ),
            },
            in_channels=in_channels,
        )
        head = nn.Sequential(
            OrderedDict(
                cccp8=nn.Conv2d(1024, classes, 1),
                relu=nn.ReLU(),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
            )
        )
        super().__init__(trunk, head, classes=classes)
        for name, module in self.named_modules():
            if isinstance(module, nn.Conv2d):
                assert module.bias is not None
                narrow = name.endswith(("conv1", "conv3", "cccp8"))
                nn.init.normal_(module.weight, std=0.01 if narrow else 0.05)
                nn.init.zeros_(module.bias)


def _rectified(**convolutions: nn.Conv2d) -> nn.Module:
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    for name, convolution in convolutions.items():
        layers[name] = convolution
        layers[f"relu_{name}"] = nn.ReLU()
    return nn.Sequential(layers)


def _pooling() -> nn.Module:
    return nn.MaxPool2d(3, 2, ceil_mode=True)
