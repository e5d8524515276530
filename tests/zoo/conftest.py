"""What the tests of converted weights share."""

import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from svertka.zoo import keras as keras_files
from svertka.zoo.renaming import rename

Converter = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


@contextmanager
def one_thread() -> Iterator[None]:
    """Small work is slowed down by more threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@pytest.fixture
def assert_parity() -> Iterator[Callable[..., float]]:
    """Compare a network of ours with a peer's: ``assert_parity(ours, theirs, rules_or_converter, image_shape)``."""
    with one_thread():
        yield _assert_parity


@pytest.fixture
def keras(tmp_path_factory) -> Iterator[Any]:
    """Keras on torch; the test is skipped where there is none."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("KERAS_HOME", str(tmp_path_factory.getbasetemp()))  # Keras writes a configuration file
    module = pytest.importorskip("keras")
    if module.backend.backend() != "torch":
        pytest.skip("Keras was told to use another backend")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"keras\.")  # of Keras about its own code
        yield module


@pytest.fixture
def assert_keras_parity(keras: Any, tmp_path) -> Callable[..., float]:
    """Compare with a Keras model that gives logits: ``assert_keras_parity(ours, model, rules, image_shape)``.

    The weights go through both of Keras's file formats.
    """

    def check(ours: nn.Module, model: Any, rules: Sequence[tuple[str, str]], image_shape: tuple[int, ...]) -> float:
        x = torch.randn(image_shape, generator=torch.Generator().manual_seed(1))
        theirs = x.permute(0, 2, 3, 1)
        with one_thread(), torch.no_grad():
            _disturb_keras_norms(keras, model, theirs)
            model.save(tmp_path / "model.h5")
            model.save_weights(tmp_path / "model.weights.h5")
            arrays, others = (keras_files.read(tmp_path / name) for name in ("model.h5", "model.weights.h5"))
            assert arrays.keys() == others.keys()
            assert all(np.array_equal(array, others[key]) for key, array in arrays.items())
            ours.load_state_dict(keras_files.convert(arrays, rules, ours.state_dict()))
            return _largest_difference(ours, ours.eval()(x), model(theirs, training=False), tolerance=1e-4)

    return check


def _assert_parity(
    ours: nn.Module,
    theirs: nn.Module,
    conversion: Sequence[tuple[str, str]] | Converter,
    image_shape: tuple[int, ...],
    *,
    tolerance: float = 1e-4,
) -> float:
    """Converted weights of ``theirs`` give ``ours`` the same logits in evaluation; returns the largest difference.

    Args:
        ours: The network under test.
        theirs: The peer's, with weights of its own random initialisation.
        conversion: Rules for ``rename``, or a function from their state dict to ours.
        image_shape: Shape of the batch, ``(N, C, H, W)``; odd sizes find what even ones hide.
        tolerance: Largest difference allowed, relative to the largest logit where that is above one.
    """
    x = torch.randn(image_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        disturb_norms(theirs, x)
        state = theirs.state_dict()
        ours.load_state_dict(conversion(state) if callable(conversion) else rename(state, conversion))
        expected, got = theirs.eval()(x), ours.eval()(x)
    return _largest_difference(ours, got, expected, tolerance)


def _largest_difference(ours: nn.Module, got: Tensor, expected: Tensor, tolerance: float) -> float:
    assert got.shape == expected.shape
    assert expected.std() > 1e-3, "the peer's logits are all alike: this would prove nothing"
    scale = max(1.0, expected.abs().max().item())
    difference = (got - expected).abs().max().item()
    print(f"{type(ours).__name__}: largest difference {difference:.1e} of logits up to {scale:.1e}")
    assert difference <= tolerance * scale
    return difference


def disturb_norms(net: nn.Module, x: Tensor) -> None:
    """Random scales, shifts and statistics for every normalisation, near what keeps the signal of ``x`` alive."""
    norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    generator = torch.Generator().manual_seed(2)

    def uniform(like: Tensor, low: float, high: float) -> Tensor:
        return torch.empty_like(like).uniform_(low, high, generator=generator)

    net.eval()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0  # the statistics of this very batch
        norm.train()
        if norm.weight is not None:
            norm.weight.copy_(uniform(norm.weight, 0.5, 1.5))
        if norm.bias is not None:
            norm.bias.copy_(uniform(norm.bias, -0.3, 0.3))
    net(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.running_mean.add_(uniform(norm.running_mean, -0.1, 0.1))
        norm.running_var.mul_(uniform(norm.running_var, 0.7, 1.3)).add_(0.01)
    net.eval()


def _disturb_keras_norms(keras: Any, model: Any, x: Tensor) -> None:
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    random = np.random.default_rng(2)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 0.0  # in Keras, the share that is kept
        if norm.scale:
            norm.gamma.assign(random.uniform(0.5, 1.5, norm.gamma.shape))
        if norm.center:
            norm.beta.assign(random.uniform(-0.3, 0.3, norm.beta.shape))
    model(x, training=True)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.moving_mean.assign_add(random.uniform(-0.1, 0.1, norm.moving_mean.shape))
        variance = keras.ops.convert_to_numpy(norm.moving_variance)
        norm.moving_variance.assign(variance * random.uniform(0.7, 1.3, variance.shape) + 0.01)
