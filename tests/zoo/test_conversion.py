"""Foreign checkpoints fit or are refused; those of MLPerf Tiny give what Keras gives."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.convolution import ConvNorm
from svertka.zoo import registry
from svertka.zoo.checkpoints import Checkpoint, read_checkpoint
from svertka.zoo.conversion import Converted, convert, fitting, sources
from svertka.zoo.folding import fold

# What Keras 3.15 (on torch) gives for `waves` with its own layers and the files' weights: file, network, size, white.
MLPERF_TINY = [
    (
        "pretrainedResnet.h5",
        "resnet8_cifar",
        32,
        255,
        [
            [0.0001428, 0.000967, 0.9987662, 1.2e-06, 0.0, 0.0, 0.0, 0.0, 0.0001053, 1.76e-05],
            [0.0017228, 0.9652554, 1.1e-06, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0330206, 2e-07],
            [0.0006411, 0.9977285, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0016303, 1e-07],
            [0.0120825, 0.9611062, 0.0, 1e-07, 0.0, 0.0, 0.0, 0.0, 0.0268101, 1.1e-06],
        ],
    ),
    (
        "vww_96.h5",
        "mobilenet_025",
        96,
        1,
        [[0.5005414, 0.4994586], [0.821626, 0.178374], [0.9495148, 0.0504853], [0.9563569, 0.043643]],
    ),
]


def waves(size: int, white: float) -> NDArray[np.float32]:
    """Four images ``(4, size, size, 3)`` of eight bits, brought to 0 … ``white``."""
    number, y, x, colour = np.mgrid[0:4, 0:size, 0:size, 0:3]
    images = np.round(127.5 + 127.5 * np.sin((x * (colour + 1) + y * (number + 1)) / (3 + 2 * colour + number)))
    return (images * white / 255).astype(np.float32)


def probabilities(converted: Converted, images: NDArray[np.float32]) -> NDArray[np.float32]:
    net = registry.build(converted.net, converted.arguments).eval()
    net.load_state_dict(converted.state)
    with torch.no_grad():
        return net(torch.from_numpy(images).permute(0, 3, 1, 2)).softmax(1).numpy()


@pytest.mark.parametrize(("file", "net", "size", "white", "expected"), MLPERF_TINY)
def test_the_files_of_mlperf_tiny_give_what_keras_gave(
    file: str, net: str, size: int, white: int, expected: list[list[float]], shared_data: Path
) -> None:
    pytest.importorskip("h5py")
    converted = convert(net, "mlperf_tiny", read_checkpoint(shared_data / "weights" / file))
    np.testing.assert_allclose(probabilities(converted, waves(size, white)), expected, atol=2e-7)


@pytest.mark.usefixtures("keras")
@pytest.mark.parametrize(("file", "net", "size", "white", "expected"), MLPERF_TINY)
def test_the_files_of_mlperf_tiny_give_what_keras_gives(
    file: str, net: str, size: int, white: int, expected: list[list[float]], shared_data: Path
) -> None:
    path, images = shared_data / "weights" / file, waves(size, white)
    theirs = np.asarray(keras_model(path).predict(images, verbose=0))
    np.testing.assert_allclose(theirs, expected, atol=1e-6)
    converted = convert(net, "mlperf_tiny", read_checkpoint(path))
    np.testing.assert_allclose(probabilities(converted, images), theirs, atol=1e-6)


def keras_model(path: Path) -> Any:
    """The model in a file of Keras 2, by Keras 3, which stumbles over one argument of old depthwise layers."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format, saving_utils

    with h5py.File(path) as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                del layer["config"]["groups"]
        model = saving_utils.model_from_config(config)
        legacy_h5_format.load_weights_from_hdf5_group(file["model_weights"], model)
    return model


@pytest.mark.usefixtures("keras")
def test_an_archive_of_keras(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "weights" / "pretrainedResnet.h5"
    keras_model(path).save(tmp_path / "model.keras")
    before = convert("resnet8_cifar", "mlperf_tiny", read_checkpoint(path))
    after = convert("resnet8_cifar", "mlperf_tiny", read_checkpoint(tmp_path / "model.keras"))
    assert all(torch.equal(before.state[name], tensor) for name, tensor in after.state.items())


def test_folding_changes_nothing() -> None:
    torch.manual_seed(0)
    theirs = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4, eps=1e-3), nn.Conv2d(4, 5, 1)).eval()
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.01, 1)
    names = {"0": "a.conv", "1": "a.norm", "2": "b.conv"}
    state = {f"{names[key[0]]}{key[1:]}": value for key, value in theirs.state_dict().items()}
    ours = nn.ModuleDict({"a": ConvNorm(3, 4, 3, activation=None), "b": ConvNorm(4, 5, 1, activation=None)}).eval()
    ours.load_state_dict(
        {**fold(state, epsilon=1e-3), "b.norm.num_batches_tracked": state["a.norm.num_batches_tracked"]}
    )
    x = torch.randn(2, 3, 7, 5)
    with torch.no_grad():
        torch.testing.assert_close(ours["b"](ours["a"](x)), theirs(x), rtol=1e-5, atol=1e-5)


@pytest.fixture(scope="module")
def resnet20() -> dict[str, Tensor]:
    """A checkpoint as akamaster's code would save it, of 7 classes and grey images."""
    state = registry.build("resnet20_cifar", {"classes": 7, "in_channels": 1}).state_dict()
    foreign = {}
    for name, tensor in state.items():
        name = name.removeprefix("trunk.").replace("head.", "").replace("residual.", "")
        for stage in (2, 3, 4):
            for block in (1, 2, 3):
                name = name.replace(f"conv{stage}.block{block}", f"layer{stage - 1}.{block - 1}")
        name = name.replace(".conv1.norm", ".bn1").replace(".conv2.norm", ".bn2").replace("conv1.norm", "bn1")
        foreign[name.replace(".conv.", ".")] = tensor
    return foreign


def checkpoint(state: dict[str, Tensor]) -> Checkpoint:
    return Checkpoint(Path("somebody.pth"), "pytorch", state)


def test_classes_and_channels_are_the_checkpoint_s(resnet20: dict[str, Tensor]) -> None:
    converted = convert("resnet20_cifar", "akamaster", checkpoint(resnet20))
    assert converted.arguments == {"classes": 7, "in_channels": 1}
    registry.build("resnet20_cifar", converted.arguments).load_state_dict(converted.state)


def test_half_precision_becomes_single(resnet20: dict[str, Tensor]) -> None:
    halved = {name: value.half() if value.is_floating_point() else value for name, value in resnet20.items()}
    state = convert("resnet20_cifar", "akamaster", checkpoint(halved)).state
    assert {tensor.dtype for tensor in state.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bn1.weight": None}, "trunk.conv1.norm.weight is missing"),
        ({"linear.bias": None}, "head.linear.bias is missing"),
        ({"bn1.weight": None, "bn1.bias": None}, "is missing and 1 more like it"),
        ({"extra.weight": (3,)}, "extra.weight is not part of resnet20_cifar"),
        ({"bn1.weight": (17,)}, r"trunk.conv1.norm.weight is \[17\], not \[16\]"),
        ({"linear.weight": (8, 64)}, r"head.linear.weight is \[8, 64\], not \[7, 64\]"),
        ({"conv1.weight": (16, 3)}, r"trunk.conv1.conv.weight is \[16, 3\]"),
        ({"conv1.weight": ()}, r"trunk.conv1.conv.weight is \[\]"),
        ({"linear.bias": (0,)}, r"head.linear.bias is \[0\]"),
    ],
)
def test_what_does_not_fit_is_named(
    change: dict[str, tuple[int, ...] | None], message: str, resnet20: dict[str, Tensor]
) -> None:
    state = dict(resnet20)
    for name, shape in change.items():
        state.pop(name, None)
        if shape is not None:
            state[name] = torch.zeros(shape)
    with pytest.raises(UserError, match=message):
        convert("resnet20_cifar", "akamaster", checkpoint(state))


def test_the_network_that_fits_is_found(resnet20: dict[str, Tensor]) -> None:
    assert [converted.net for converted in fitting(checkpoint(resnet20))] == ["resnet20_cifar"]
    assert fitting(checkpoint({"nothing.like.it": torch.zeros(3)})) == []


def test_a_source_that_there_is_not(resnet20: dict[str, Tensor]) -> None:
    assert "akamaster" in sources("resnet20_cifar")
    with pytest.raises(UserError, match="did you mean torchvision"):
        convert("resnet20_cifar", "torchvison", checkpoint(resnet20))
    with pytest.raises(UserError, match="a checkpoint of pytorch, as mlperf_tiny's are not"):
        convert("resnet8_cifar", "mlperf_tiny", checkpoint(resnet20))


def test_a_damaged_file_of_keras(shared_data: Path, tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    whole = (shared_data / "weights" / "pretrainedResnet.h5").read_bytes()
    for name, content in {"cut.h5": whole[:500_000], "text.h5": b"text", "empty.h5": b""}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match="cannot be read as weights of Keras"):
            read_checkpoint(tmp_path / name)


def test_a_damaged_archive_of_keras(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("text")
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("config.json", "{}")
    with zipfile.ZipFile(tmp_path / "bomb.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", bytes(1 << 24))
    for name, message in [("text", "cannot be read"), ("other", "model.weights.h5"), ("bomb", "larger than the file")]:
        with pytest.raises(UserError, match=message):
            read_checkpoint(tmp_path / f"{name}.keras")
