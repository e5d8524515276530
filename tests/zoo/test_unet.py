"""U-Net is what its paper says."""

import pytest
import torch

from svertka.nets.unet import UNet2015
from svertka.zoo import registry


def test_figure_1() -> None:
    """572 × 572 pixels become 388 × 388 through the sizes that the figure shows; 31.0 million parameters."""
    with torch.device("meta"):
        net = UNet2015()
        assert net(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)
        pyramid = net.trunk.pyramid(torch.empty(1, 1, 572, 572))
    assert {name: tuple(maps.shape[1:]) for name, maps in pyramid.items()} == {
        "down1": (64, 568, 568),
        "down2": (128, 280, 280),
        "down3": (256, 136, 136),
        "down4": (512, 64, 64),
        "down5": (1024, 28, 28),
    }
    assert sum(parameter.numel() for parameter in net.parameters()) == 31_030_658
    weighty = [layer for layer in net.modules() if getattr(layer, "weight", None) is not None]
    assert len(weighty) == 23  # "In total the network has 23 convolutional layers."


def test_the_sizes_that_it_takes_exactly() -> None:
    net = UNet2015(width=2)
    assert [net.tile(side) for side in (1, 4, 5, 20, 388, 389)] == [188, 188, 204, 204, 572, 588]
    for side in (188, 204):
        assert net(torch.zeros(1, 1, side, 188)).shape == (1, 2, side - 184, 4)
    for side in (187, 189, 196, 203):
        with pytest.raises(ValueError, match=f"images of {side} pixels: it takes 188, and 16 more at a time"):
            net(torch.zeros(1, 1, 188, side))


def test_tiles_that_overlap_say_what_the_whole_says() -> None:
    torch.manual_seed(0)
    net = UNet2015(width=2).eval()
    x = torch.randn(1, 1, 204, 204)
    with torch.no_grad():
        whole = net(x)
        for top in (0, 16):
            part = net(x[:, :, top : top + 188, :188])
            torch.testing.assert_close(part, whole[:, :, top : top + 4, :4], atol=1e-5, rtol=0)


def test_the_padded_one_reads_the_last_stage_of_every_stride() -> None:
    with torch.device("meta"):
        net = registry.build_any("unet", {"trunk": {"net": "vgg16"}})
    assert net.taps == ("conv1", "conv2", "conv3", "conv4", "conv5", "pool5")
