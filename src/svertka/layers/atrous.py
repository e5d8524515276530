"""The hidden layers of a classifier's head as few convolutions that look as far: by holes between what they read.

L.-C. Chen et al., "Semantic Image Segmentation with Deep Convolutional Nets and Fully Connected CRFs", 2015; as W. Liu
et al., "SSD: Single Shot MultiBox Detector", 2016, section 3, have it of VGG16.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.trunk import Classifier, Trunk

_EVERY = 4  # of the channels of a hidden layer that are kept
_HOLES = 6  # from one pixel that is read to the next


def atrous(net: Classifier) -> Trunk:
    """The trunk of a classifier that ends in a pooling, with its two hidden layers as convolutions of a quarter width.

    The last pooling loses its stride. The first hidden layer, which read maps of 7 × 7, reads 3 × 3 of their pixels,
    six apart where the finer maps have them; the second is a convolution of 1 × 1. Their weights are every fourth row
    of those of ``net``; all others are shared. The other poolings leave no pixel out, as Caffe's do.

    Raises:
        UserError: The network has no such head, or its trunk does not end in a pooling.
    """
    stages = dict(net.trunk.named_children())
    *_, last = stages
    linear = {name: layer for name, layer in net.head.named_children() if isinstance(layer, nn.Linear)}
    pool = getattr(net.head, "pool", None)
    if len(linear) != 3 or not isinstance(stages[last], nn.MaxPool2d) or getattr(pool, "output_size", None) != 7:
        raise UserError("only a trunk like VGG's, with two hidden layers behind it, can be made atrous")
    for name, stage in stages.items():
        if isinstance(stage, nn.MaxPool2d):
            stages[name] = nn.MaxPool2d(stage.kernel_size, stage.stride, ceil_mode=True)
    stages[last] = nn.MaxPool2d(3, stride=1, padding=1)
    first, second, _ = linear
    weights, more = linear[first], linear[second]
    inputs = weights.in_features // 49
    read = weights.weight.detach().view(-1, inputs, 7, 7)[::_EVERY, :, ::3, ::3]
    stages[first] = _convolution(read, weights.bias.detach()[::_EVERY], holes=_HOLES)
    read = more.weight.detach()[::_EVERY, ::_EVERY, None, None]
    stages[second] = _convolution(read, more.bias.detach()[::_EVERY], holes=1)
    return Trunk(stages, in_channels=net.in_channels)


def _convolution(weight: Tensor, bias: Tensor, *, holes: int) -> nn.Sequential:
    outputs, inputs, kernel, _ = weight.shape
    with torch.device("meta"):
        layer = nn.Conv2d(inputs, outputs, kernel, padding=holes * (kernel // 2), dilation=holes)
    layer.weight, layer.bias = nn.Parameter(weight.contiguous()), nn.Parameter(bias.contiguous())
    return nn.Sequential(OrderedDict(conv=layer, relu=nn.ReLU()))
