"""GoogLeNet computes what torchvision computes, with and without its auxiliary classifiers."""

from functools import partial

import pytest
import torch
from torch import Tensor, nn

from svertka.zoo import registry
from svertka.zoo.catalogue.googlenet import KEYS
from svertka.zoo.checkpoints import read_checkpoint
from svertka.zoo.conversion import convert
from svertka.zoo.renaming import rename

RULES = KEYS["torchvision"]


class Biased(nn.Module):
    """Takes the place of torchvision's convolution: no normalisation."""

    def __init__(self, inputs: int, outputs: int, **arguments: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, **arguments)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.conv(x))


def peer(name: str, *, auxiliary: bool = False) -> nn.Module:
    """torchvision's network; for that of 2014 its frame, with the parts put back in that torchvision changed."""
    googlenet = pytest.importorskip("torchvision.models.googlenet")
    torch.manual_seed(0)
    if name == "googlenet":
        return googlenet.GoogLeNet(aux_logits=auxiliary, init_weights=False)

    def inception(*widths: int) -> nn.Module:
        module = googlenet.Inception(*widths, conv_block=Biased)
        module.branch3[1] = Biased(widths[4], widths[5], kernel_size=5, padding=2)
        return module

    blocks = [Biased, inception, partial(googlenet.InceptionAux, conv_block=Biased)]
    net = googlenet.GoogLeNet(aux_logits=auxiliary, init_weights=False, blocks=blocks)
    response = nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75)
    net.maxpool1 = nn.Sequential(net.maxpool1, response)
    net.maxpool2 = nn.Sequential(response, net.maxpool2)
    net.maxpool4 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return net


@pytest.mark.parametrize("name", ["googlenet", "googlenet_2014"])
def test_as_torchvision(name, assert_parity) -> None:
    assert_parity(registry.build(name, {}), peer(name), RULES, (2, 3, 237, 215))


def test_a_file_of_caffe(write_caffemodel, assert_parity, tmp_path) -> None:
    theirs = peer("googlenet_2014")
    blobs = {f"loss1/{layer}.weight": torch.zeros(1, 1) for layer in ("conv", "fc", "classifier")}  # to be left out
    for name, value in theirs.state_dict().items():
        blobs[f"{caffe_name(name)}.{name.rpartition('.')[2]}"] = value
    path = write_caffemodel(tmp_path / "googlenet.caffemodel", blobs, first_generation=False)

    def conversion(_: object) -> dict[str, Tensor]:
        return convert("googlenet_2014", "caffe", read_checkpoint(path)).state

    assert_parity(registry.build("googlenet_2014", {}), theirs, conversion, (1, 3, 224, 224))


def caffe_name(name: str) -> str:
    """What bvlc_googlenet calls a layer of torchvision's."""
    layer = name.split(".conv.")[0].removesuffix(".weight").removesuffix(".bias")
    single = {"conv1": "conv1/7x7_s2", "conv2": "conv2/3x3_reduce", "conv3": "conv2/3x3", "fc": "loss3/classifier"}
    if layer in single:
        return single[layer]
    module, _, branch = layer.partition(".")
    kinds = {
        "branch1": "1x1",
        "branch2.0": "3x3_reduce",
        "branch2.1": "3x3",
        "branch3.0": "5x5_reduce",
        "branch3.1": "5x5",
        "branch4.1": "pool_proj",
    }
    return f"{module.replace('inception', 'inception_')}/{kinds[branch]}"


@pytest.mark.parametrize("name", ["googlenet", "googlenet_2014"])
def test_the_auxiliary_classifiers_as_torchvision(name) -> None:
    theirs = peer(name, auxiliary=True).eval()
    theirs.training = True  # makes it give them, and leaves its layers in evaluation
    ours = registry.build(name, {"auxiliary": True}).eval()
    ours.load_state_dict(rename(theirs.state_dict(), RULES))
    x = torch.randn(1, 3, 113, 95, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        logits, second, first = theirs(x)
        got = ours.forward_with_auxiliary(x)
        torch.testing.assert_close(got, (logits, first, second), atol=1e-4, rtol=0)
        assert torch.equal(ours(x), got[0])


def test_without_auxiliary_classifiers_there_is_one_output() -> None:
    net = registry.build("googlenet", {"classes": 5}).eval()
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        (logits,) = net.forward_with_auxiliary(x)
        assert torch.equal(logits, net(x))
