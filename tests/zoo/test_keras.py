"""Weight files of Keras, read without Keras."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from svertka.errors import UserError
from svertka.zoo import keras as keras_files
from svertka.zoo.checkpoints import read_checkpoint
from svertka.zoo.renaming import rename


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


def legacy(h5py, path: Path, layers: dict[str, dict[str, np.ndarray]], root: str = "/") -> Path:
    """A file as Keras 1 and 2 write it: layers and variables listed in attributes."""
    with h5py.File(path, "w") as file:
        group = file.require_group(root)
        group.attrs["layer_names"] = [name.encode() for name in layers]
        for name, variables in layers.items():
            layer = group.create_group(name)
            layer.attrs["weight_names"] = [variable.encode() for variable in variables]
            for variable, value in variables.items():
                layer[variable] = value
    return path


def ones(*shape: int) -> np.ndarray:
    return np.ones(shape, np.float32)


def test_names_of_keras_1(h5py, tmp_path) -> None:
    path = legacy(
        h5py,
        tmp_path / "a.h5",
        {
            "input_1": {},
            "block1_conv1": {"block1_conv1_W_1:0": ones(3, 3, 3, 8), "block1_conv1_b_1:0": ones(8)},
            "bn_1": {"bn_1_gamma:0": ones(8), "bn_1_running_mean:0": ones(8), "bn_1_running_std:0": ones(8)},
        },
    )
    assert sorted(keras_files.read(path)) == [
        "block1_conv1/bias",
        "block1_conv1/kernel",
        "bn_1/gamma",
        "bn_1/moving_mean",
        "bn_1/moving_variance",
    ]


def test_names_of_keras_2_with_architecture_and_scopes_of_tensorflow(h5py, tmp_path) -> None:
    path = legacy(
        h5py,
        tmp_path / "a.h5",
        {"conv": {"conv_1/kernel:0": ones(1, 1, 2, 3)}, "dense": {"dense/kernel:0": ones(3, 4)}},
        root="model_weights",
    )
    assert sorted(keras_files.read(path)) == ["conv/kernel", "dense/kernel"]


def test_a_nested_model(h5py, tmp_path) -> None:
    nested = {"conv1/kernel:0": ones(1, 1, 2, 3), "conv1_bn/gamma:0": ones(3)}
    path = legacy(h5py, tmp_path / "a.h5", {"mobilenet": nested, "top": {"top/bias:0": ones(2)}})
    assert sorted(keras_files.read(path)) == ["conv1/kernel", "conv1_bn/gamma", "top/bias"]


def test_lists_that_are_cut_into_pieces(h5py, tmp_path) -> None:
    path = legacy(h5py, tmp_path / "a.h5", {name: {f"{name}/bias:0": ones(1)} for name in "abc"})
    with h5py.File(path, "a") as file:
        del file.attrs["layer_names"]
        file.attrs["layer_names0"], file.attrs["layer_names1"] = [b"a", b"b"], [b"c"]
    assert sorted(keras_files.read(path)) == ["a/bias", "b/bias", "c/bias"]


def test_files_of_keras_3(h5py, tmp_path) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        for label, name, count in [
            ("layers/conv2d", "first", 1),
            ("layers/functional/layers/separable_conv2d_1", "second", 3),
            ("layers/batch_normalization", None, 3),
            ("layers/dropout/seed_generator", None, 0),
            ("optimizer", None, 2),
        ]:
            group = file.create_group(f"{label}/vars")
            if name:
                group.attrs["name"] = name
            for number in range(count):
                group[str(number)] = ones(2)
        file["layers/dropout/seed_generator/vars/0"] = np.zeros(2, np.int64)
    assert sorted(keras_files.read(path)) == [
        "batch_normalization/beta",
        "batch_normalization/moving_mean",
        "batch_normalization/moving_variance",
        "first/kernel",
        "second/bias",
        "second/depthwise_kernel",
        "second/pointwise_kernel",
    ]


def test_two_variables_of_one_name(h5py, tmp_path) -> None:
    path = legacy(h5py, tmp_path / "a.h5", {"a": {"a/bias:0": ones(1), "a/bias_1:0": ones(1)}})
    with pytest.raises(UserError, match="two variables are called 'a/bias'"):
        keras_files.read(path)


def test_what_is_no_weight_file(h5py, tmp_path) -> None:
    (tmp_path / "text.h5").write_text("text")
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    for name, message in [("none.h5", "No such file"), ("text.h5", "signature"), ("empty.h5", "no weights")]:
        with pytest.raises(UserError, match=message):
            keras_files.read(tmp_path / name)


def test_links_to_other_files_are_not_followed(h5py, tmp_path) -> None:
    legacy(h5py, tmp_path / "secret.h5", {"a": {"a/bias:0": ones(1)}})
    (tmp_path / "secret").write_bytes(bytes(400))
    link = h5py.ExternalLink("secret.h5", "/a/a/bias:0")

    def external(layer) -> None:
        layer["a/bias:0"] = link

    def soft(layer) -> None:
        layer["b"] = ones(1)
        layer["a/bias:0"] = h5py.SoftLink("/a/b")

    def raw(layer) -> None:
        layer.create_dataset("a/bias:0", (100,), "f4", external=[(tmp_path / "secret", 0, 400)])

    def virtual(layer) -> None:
        layout = h5py.VirtualLayout((1,), "f4")
        layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "/a/a/bias:0", (1,))
        layer.create_virtual_dataset("a/bias:0", layout)

    for number, plant in enumerate((external, soft, raw, virtual)):
        path = legacy(h5py, tmp_path / f"{number}.h5", {"a": {"a/bias:0": ones(1)}})
        with h5py.File(path, "a") as file:
            del file["a/a/bias:0"]
            plant(file["a"])
        with pytest.raises(UserError, match=r"link|no plain array"):
            keras_files.read(path)
    path = tmp_path / "three.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars")["0"] = link
    with pytest.raises(UserError, match="link"):
        keras_files.read(path)


def test_a_file_that_unpacks_to_more_than_it_is(h5py, tmp_path) -> None:
    path = legacy(h5py, tmp_path / "a.h5", {"a": {"a/bias:0": ones(1)}})
    with h5py.File(path, "a") as file:
        del file["a/a/bias:0"]
        file["a"].create_dataset("a/bias:0", (1 << 40,), "f4", chunks=(1 << 20,), compression="gzip")
    with pytest.raises(UserError, match="no plain array"):
        keras_files.read(path)


def test_a_damaged_file_on_which_the_library_crashes(h5py, tmp_path) -> None:
    path = legacy(h5py, tmp_path / "a.h5", {"a": {"a/bias:0": ones(1)}})
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    outcomes = set()
    for _ in range(6):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[random.integers(0, 1200, 8)] = random.integers(0, 256, 8)
        path.write_bytes(damaged.tobytes())
        try:
            outcomes.add(tuple(keras_files.read(path)))
        except UserError as error:
            outcomes.add(type(error))
    assert outcomes <= {("a/bias",), UserError}


def test_a_group_that_contains_itself(h5py, tmp_path) -> None:
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        file.create_group("layers/dense/vars")["0"] = ones(2, 2)
        file["layers/dense/layers"] = file["layers"]
    assert sorted(keras_files.read(path)) == ["dense/kernel"]


def test_layouts() -> None:
    random = np.random.default_rng(0)
    net = nn.ModuleDict(
        {
            "conv": nn.Conv2d(3, 4, (1, 3)),
            "depthwise": nn.Conv2d(3, 6, 3, groups=3, bias=False),
            "newer": nn.Conv2d(3, 6, 3, groups=3, bias=False),
            "pointwise": nn.Conv2d(6, 2, 1, bias=False),
            "norm": nn.BatchNorm2d(2),
            "linear": nn.Linear(2, 5),
            "as_linear": nn.Linear(2, 5, bias=False),
            "as_conv": nn.Conv2d(2, 5, 1, bias=False),
        }
    )
    arrays = {
        "conv/kernel": random.random((1, 3, 3, 4)),
        "conv/bias": random.random(4),
        "s/depthwise_kernel": random.random((3, 3, 3, 2)),
        "s/pointwise_kernel": random.random((1, 1, 6, 2)),
        "newer/kernel": random.random((3, 3, 3, 2)),
        **{f"norm/{name}": random.random(2) for name in ("gamma", "beta", "moving_mean", "moving_variance")},
        "linear/kernel": random.random((2, 5)),
        "linear/bias": random.random(5),
        "as_linear/kernel": random.random((1, 1, 2, 5)),
        "as_conv/kernel": random.random((2, 5)),
    }
    state = rename(
        keras_files.torch_keys({name: array.astype(np.float32) for name, array in arrays.items()}),
        [(r"s\.(\w+)\.weight", r"\1.weight")],
    )
    like = net.state_dict()
    state = {name: keras_files.laid_out(value, tuple(like[name].shape)) for name, value in state.items()}
    net.load_state_dict({"norm.num_batches_tracked": like["norm.num_batches_tracked"], **state})
    image = random.random((1, 5, 7, 3))
    x = torch.from_numpy(image).permute(0, 3, 1, 2).float()
    with torch.no_grad():
        for module, name in [(net["depthwise"], "s/depthwise_kernel"), (net["newer"], "newer/kernel")]:
            expected = np.zeros((3, 5, 3, 2))  # of every channel by every multiplier, by the definition
            for i, j in np.ndindex(3, 3):
                expected += image[0, i : i + 3, j : j + 5, :, None] * arrays[name][i, j]
            np.testing.assert_allclose(module(x)[0].permute(1, 2, 0), expected.reshape(3, 5, 6), rtol=1e-5)
        expected = sum(image[0, :, j : j + 5] @ arrays["conv/kernel"][0, j] for j in range(3)) + arrays["conv/bias"]
        np.testing.assert_allclose(net["conv"](x)[0].permute(1, 2, 0), expected, rtol=1e-5)
        y = random.random((1, 2))
        for name in ("as_linear", "as_conv"):
            given = torch.from_numpy(y).float()
            got = net[name](given if name == "as_linear" else given[:, :, None, None]).flatten()
            np.testing.assert_allclose(got, (y @ arrays[f"{name}/kernel"].reshape(2, 5))[0], rtol=1e-5)
    assert torch.equal(state["norm.running_var"], torch.from_numpy(arrays["norm/moving_variance"]).float())


def test_a_depthwise_layer_before_keras_3() -> None:
    (key,) = state = keras_files.torch_keys({"dw/depthwise_kernel": ones(3, 3, 3, 1)})
    assert key == "dw.weight"
    assert keras_files.laid_out(state[key], (3, 1, 3, 3)).shape == (3, 1, 3, 3)


def test_flattened_maps() -> None:
    random = np.random.default_rng(0)
    maps, kernel = random.random((4, 3, 5)), random.random((4 * 3 * 5, 7))  # (height, width, channels)
    ours = keras_files.flattened(torch.from_numpy(kernel), channels=5, height=4, width=3).numpy()
    np.testing.assert_allclose(maps.transpose(2, 0, 1).reshape(-1) @ ours, maps.reshape(-1) @ kernel)


def test_what_does_not_fit_keeps_a_shape_that_can_be_named() -> None:
    assert keras_files.laid_out(torch.ones(2, 3), (2, 3)).shape == (3, 2)
    assert keras_files.laid_out(torch.ones(3, 3, 8, 16), (32, 8, 3, 3)).shape == (16, 8, 3, 3)
    assert keras_files.laid_out(torch.ones(3, 1), (3,)).shape == (1, 3)


@pytest.mark.parametrize(
    ("name", "parameters", "layer", "shape"),
    [  # MLPerf Tiny's, with the number of parameters that Keras prints for them, moving statistics included
        ("pretrainedResnet.h5", 78_666, "conv2d/kernel", (3, 3, 3, 16)),
        ("vww_96.h5", 221_794, "depthwise_conv2d/depthwise_kernel", (3, 3, 8, 1)),
    ],
)
@pytest.mark.usefixtures("h5py")
def test_published_files(name, parameters, layer, shape, shared_data: Path) -> None:
    arrays = keras_files.read(shared_data / "weights" / name)
    assert arrays[layer].shape == shape
    assert sum(array.size for array in arrays.values()) == parameters


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="where memory can be bounded")
def test_memory_is_bounded_by_the_size_of_the_file(h5py, tmp_path) -> None:
    path = legacy(h5py, tmp_path / "a.h5", {"dense": {}})
    with h5py.File(path, "r+") as file:
        file["dense"].attrs["weight_names"] = [b"kernel:0"]
        chunks = {"maxshape": (None,), "chunks": (100_000_000,), "compression": "gzip"}
        file["dense"].create_dataset("kernel:0", (4,), "f4", **chunks)[:] = 1.0
    assert path.stat().st_size < 1_000_000
    with pytest.raises(UserError, match="cannot be read as weights of Keras"):
        keras_files.read(path)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(h5py, tmp_path, value: float) -> None:
    path = legacy(h5py, tmp_path / "a.h5", {"dense": {"dense/kernel:0": ones(2, 2), "dense/bias:0": ones(2) * value}})
    with pytest.raises(UserError, match=r"'dense.bias' holds numbers that are not finite"):
        read_checkpoint(path)
