"""DenseNet's blocks are the paper's, and the old keys of its published files are read."""

import torch

from svertka.nets.densenet import DenseBlock
from svertka.zoo.catalogue import densenet


def test_the_old_keys_of_the_published_files() -> None:
    from svertka.zoo.renaming import rename

    old = {"features.denseblock1.denselayer2.norm.1.weight": 0, "features.denseblock1.denselayer2.conv.2.weight": 1}
    assert list(rename(old, densenet.KEYS["torchvision"])) == [
        "trunk.block1.layer2.norm1.weight",
        "trunk.block1.layer2.conv2.weight",
    ]


def test_the_block_of_figure_1() -> None:
    """Five layers, growth rate 4: every layer sees all maps before it and adds four."""
    inputs = 6
    block = DenseBlock(inputs, layers=5, growth=4, bottleneck=0)
    convolutions = [module for module in block.modules() if isinstance(module, torch.nn.Conv2d)]
    assert [(conv.in_channels, conv.out_channels) for conv in convolutions] == [
        (inputs, 4),
        (inputs + 4, 4),
        (inputs + 8, 4),
        (inputs + 12, 4),
        (inputs + 16, 4),
    ]
    assert all(conv.kernel_size == (3, 3) for conv in convolutions)
    x = torch.randn(2, inputs, 9, 7)
    y = block(x)
    assert y.shape == (2, inputs + 5 * 4, 9, 7)
    assert torch.equal(y[:, :inputs], x)  # what comes in goes out, beside what the layers add


def test_dropout_is_in_every_layer_and_for_training_only() -> None:
    block = DenseBlock(6, layers=3, growth=4, dropout=0.5)
    x = torch.randn(2, 6, 9, 7)
    assert (block.train()(x)[:, 6:] == 0).float().mean() > 0.3
    assert torch.equal(block.eval()(x), block(x))
