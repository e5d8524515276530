"""What networks for every pixel are made of."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from svertka.errors import UserError
from svertka.layers.dense import Resolution, convolutional, fitted, resolutions
from svertka.layers.initialisation import he_normal
from svertka.layers.receptive_field import FollowFields
from svertka.layers.residual import dilate
from svertka.layers.trunk import Trunk
from svertka.nets.deconvnet import unpool
from svertka.nets.fcn import FCN, Upsampling, bilinear
from svertka.nets.resnet import ResNet
from svertka.zoo import registry


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (4, [0, 1, 2, 3]),
        (5, [0, 1, 2, 3, 3]),  # pooling left out the last pixel
        (6, [0, 0, 1, 2, 3, 3]),  # a convolution lost one on each side
        (7, [0, 0, 1, 2, 3, 3, 3]),
        (3, [0, 1, 2]),  # pooling added one
        (2, [1, 2]),
        (1, [1]),
    ],
)
def test_maps_are_fitted_in_their_place(length: int, expected: list[int]) -> None:
    row = torch.arange(4.0).view(1, 1, 1, 4)
    assert fitted(row, (1, length)).flatten().tolist() == expected
    assert fitted(row.mT, (length, 1)).flatten().tolist() == expected


def test_what_fits_is_not_copied() -> None:
    x = noise(1, 2, 3, 4)
    assert fitted(x, (3, 4)) is x


def test_the_stages_of_every_resolution() -> None:
    with torch.device("meta"):
        trunk = registry.build("vgg16", {}).trunk
    assert resolutions(trunk) == [
        Resolution(1, "conv1", 64, "conv1", 64),
        Resolution(2, "pool1", 64, "conv2", 128),
        Resolution(4, "pool2", 128, "conv3", 256),
        Resolution(8, "pool3", 256, "conv4", 512),
        Resolution(16, "pool4", 512, "conv5", 512),
        Resolution(32, "pool5", 512, "pool5", 512),
    ]


@pytest.mark.parametrize(("name", "side"), [("vgg11", 224), ("alexnet", 224)])
def test_hidden_layers_as_convolutions_give_what_they_gave(name: str, side: int) -> None:
    net = registry.build(name, {"classes": 2}).eval()
    trunk = convolutional(net).eval()
    assert trunk.names[-2:] == ("fc6", "fc7")
    x = noise(1, 3, side, side)
    with torch.no_grad():
        y = trunk(x)
        expected = net.head[:-1](net.trunk(x))
    # The middle position reads all of the map; the others see its padding.
    middle = y.shape[2] // 2 if y.shape[2] % 2 else y.shape[2] // 2 - 1
    torch.testing.assert_close(y[:, :, middle, middle], expected, atol=1e-5, rtol=0)
    assert y.shape[2:] == net.trunk(x).shape[2:]


def test_a_head_without_hidden_layers_has_none_to_convert() -> None:
    with pytest.raises(UserError, match="no hidden layers"):
        registry.build_any("fcn8s", {"trunk": {"net": "resnet18", "fully_connected": True}})


def test_a_trunk_is_given_by_what_is_known() -> None:
    with pytest.raises(UserError, match="a trunk is given by net, arguments, fully_connected"):
        registry.build_any("unet", {"trunk": {"name": "resnet18"}})
    with pytest.raises(UserError, match="unet finds masks and is no classifier"):
        registry.build_any("unet", {"trunk": {"net": "unet"}})
    with pytest.raises(UserError, match="unet has a decoder and no head"):
        registry.build_any("unet", {"head": {"taps": ["stage1"], "rule": "linear"}})
    with pytest.raises(UserError, match="DeconvNet mirrors the poolings of a VGG"):
        registry.build_any("deconvnet", {"trunk": {"net": "resnet18"}})
    with pytest.raises(UserError, match="it can be 32, 16 or 8"):
        registry.build("resnet18", {"output_stride": 4})


@pytest.mark.parametrize("factor", [2, 4, 8, 32])
def test_bilinear_upsampling_is_interpolation_away_from_the_border(factor: int) -> None:
    x = noise(2, 3, 6, 5)
    y = Upsampling(factor)(x)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear", align_corners=False)
    inside = slice(factor, -factor)
    torch.testing.assert_close(y[:, :, inside, inside], expected[:, :, inside, inside], atol=1e-5, rtol=0)
    assert y.shape == expected.shape


def test_learnt_upsampling_begins_as_bilinear() -> None:
    trunk = Trunk({"a": nn.Conv2d(3, 4, 3, 8, 1), "b": nn.Conv2d(4, 4, 3, 2, 1)}, in_channels=3)
    layer = FCN(trunk=trunk, classes=3).decoder.upsampling["a"]
    x = noise(1, 3, 5, 4)
    torch.testing.assert_close(layer(x), Upsampling(2)(x))
    assert bilinear(2).shape == (4, 4)


@pytest.mark.parametrize("size", [(8, 6), (9, 7)])
def test_unpooling_puts_values_back_where_they_were_largest(size: tuple[int, int]) -> None:
    maps = noise(2, 3, *size).round()  # with several largest ones
    pooled, switches = F.max_pool2d(maps, 2, return_indices=True)
    values = noise(*pooled.shape, seed=1)
    expected = torch.zeros(maps.shape).flatten(2).scatter(2, switches.flatten(2), values.flatten(2)).view(maps.shape)
    assert torch.equal(unpool(values, maps), expected)


def test_a_dilated_stage_keeps_its_maps_and_its_weights() -> None:
    plain, dilated = ResNet(depths=(1, 2, 2, 2)), ResNet(depths=(1, 2, 2, 2), output_stride=8)
    dilated.load_state_dict(plain.state_dict())
    assert [stage.stride for stage in dilated.trunk.geometry(64, 64).values()] == [2, 4, 8, 8, 8]
    kernels = [layer for layer in dilated.trunk.conv5.modules() if isinstance(layer, nn.Conv2d)]
    assert {layer.dilation for layer in kernels if layer.kernel_size == (3, 3)} == {(2, 2), (4, 4)}
    dilate([])


def test_transposed_convolutions_begin_with_signals_of_their_size() -> None:
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(256, 64, 2, stride=2)
    he_normal(layer, "fan_in")
    assert layer(noise(4, 256, 8, 8)).std().item() == pytest.approx(2**0.5, rel=0.05)


@pytest.mark.parametrize(
    ("kernel", "factor", "padding"), [(2, 2, 0), (4, 2, 1), (3, 1, 1)], ids=["up-conv", "bilinear", "mirrored"]
)
def test_the_receptive_field_of_a_transposed_convolution(kernel: int, factor: int, padding: int) -> None:
    image = noise(1, 1, 16, 16).requires_grad_()
    down, up = nn.Conv2d(1, 1, 3, 2, 1), nn.ConvTranspose2d(1, 1, kernel, factor, padding=padding)
    with FollowFields(image) as fields:
        y = up(down(image))
        height, _ = fields.of(y)
    seen = 0
    for row in range(2, y.shape[2] - 2):
        image.grad = None
        y[0, 0, row, y.shape[3] // 2].backward(retain_graph=True)
        rows = image.grad.abs().sum((0, 1, 3)).nonzero()
        seen = max(seen, int(rows.max() - rows.min()) + 1)
    assert height.size == seen
    assert height.stride == 2 / factor
