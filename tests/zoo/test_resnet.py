"""ResNet for CIFAR computes what its paper says, with a published checkpoint."""

from pathlib import Path

import torch
import torch.nn.functional as F

from svertka.nets.resnet import CifarResNet, PaddedShortcut
from svertka.zoo.catalogue import resnet
from svertka.zoo.renaming import rename


def test_the_shortcut_of_option_a() -> None:
    x = torch.arange(2 * 3 * 5 * 4.0).reshape(2, 3, 5, 4)
    y = PaddedShortcut(3, stride=2)(x)
    assert y.shape == (2, 6, 3, 2)
    assert torch.equal(y[:, 1:4], x[:, :, ::2, ::2])
    assert not y[:, :1].any()
    assert not y[:, 4:].any()


def test_the_published_cifar_checkpoint(shared_data: Path) -> None:
    path = shared_data / "weights" / "resnet20-12fca82f.th"
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    net = CifarResNet().eval()
    net.load_state_dict(rename(state, resnet.KEYS["akamaster"]))
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(net(x), plain_resnet20(state, x), atol=1e-5, rtol=0)


def plain_resnet20(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """The paper's ResNet-20, written down once more without modules."""

    def convolution(name: str, norm: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        x = F.conv2d(x, state[f"module.{name}.weight"], stride=stride, padding=1)
        values = [state[f"module.{norm}.{value}"] for value in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(x, *values)

    x = F.relu(convolution("conv1", "bn1", x))
    for layer, channels in ((1, 16), (2, 32), (3, 64)):
        for block in range(3):
            name = f"layer{layer}.{block}"
            shortcut, stride = x, 1
            if x.shape[1] != channels:
                zeros = torch.zeros(len(x), channels // 4, x.shape[2] // 2, x.shape[3] // 2)
                shortcut, stride = torch.cat([zeros, x[:, :, ::2, ::2], zeros], 1), 2
            y = F.relu(convolution(f"{name}.conv1", f"{name}.bn1", x, stride))
            x = F.relu(convolution(f"{name}.conv2", f"{name}.bn2", y) + shortcut)
    return F.linear(x.mean((2, 3)), state["module.linear.weight"], state["module.linear.bias"])
