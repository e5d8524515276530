"""Engines for many images: the same outputs, in order, from whichever is fastest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from svertka.deploy import bulk
from svertka.errors import UserError
from svertka.layers.frozen import FrozenStages
from svertka.zoo import registry


@pytest.fixture(scope="module")
def frozen() -> FrozenStages:
    torch.manual_seed(0)
    net = registry.build("resnet20_cifar", {"classes": 3, "in_channels": 3})
    with torch.no_grad():
        net.train()(torch.randn(32, 3, 16, 16))
    return FrozenStages(net.eval().trunk, ("conv2", "conv4"), ["conv3"]).eval()


@pytest.fixture(scope="module")
def examples() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(16, 3, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("name", ["pytorch", "onnxruntime", "openvino"])
def test_every_engine_gives_what_pytorch_gives_in_order(
    name: bulk.BulkName, frozen: FrozenStages, examples: NDArray[np.float32]
) -> None:
    if name != "pytorch":
        pytest.importorskip(name)
    engine = bulk.fastest(frozen, examples, wanted=name)
    assert engine.name == name
    generator = np.random.default_rng(1)
    batches = [generator.normal(size=(engine.batch, 3, 16, 16)).astype(np.float32) for _ in range(9)]
    found = list(engine.stream(batches))
    assert len(found) == 9
    for batch, outputs in zip(batches, found, strict=True):
        with torch.no_grad():
            expected = frozen(torch.from_numpy(batch))
        assert [output.shape for output in outputs] == [tuple(output.shape) for output in expected]
        for one, other in zip(outputs, expected, strict=True):
            np.testing.assert_allclose(one, other.numpy(), atol=2e-4)
    again = list(engine.stream(batches))  # nothing of the first pass is left
    for one, other in zip(found, again, strict=True):
        for first, second in zip(one, other, strict=True):
            np.testing.assert_array_equal(first, second)


def test_batches_are_asked_for_as_they_are_needed(frozen: FrozenStages, examples: NDArray[np.float32]) -> None:
    pytest.importorskip("openvino")
    engine = bulk.fastest(frozen, examples, wanted="openvino")
    asked = 0

    def batches() -> Iterator[NDArray[np.float32]]:
        nonlocal asked
        for _ in range(100):
            asked += 1
            yield examples[:8]

    stream = engine.stream(batches())
    next(stream)
    assert asked < 20
    assert sum(1 for _ in stream) == 99


class Wrong:
    """An engine that is fast and computes something else."""

    name = "onnxruntime"
    batch = 8

    def __init__(self, graph: bytes) -> None:
        del graph

    def stream(self, batches: Iterable[NDArray[np.float32]]) -> Iterator[tuple[NDArray[np.float32], ...]]:
        for batch in batches:
            yield tuple(np.zeros((len(batch), *shape), np.float32) for shape in ((16,), (64,), (32, 8, 8)))


def test_a_fast_engine_that_is_wrong_is_not_taken(
    frozen: FrozenStages, examples: NDArray[np.float32], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "OnnxRuntimeBulk", Wrong)
    assert bulk.fastest(frozen, examples).name != "onnxruntime"
    with pytest.raises(UserError, match="computes something else"):
        bulk.fastest(frozen, examples, wanted="onnxruntime")


class Odd(nn.Module):
    """Something that no exporter knows."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        return (torch.from_numpy(np.sort(x.numpy().reshape(len(x), -1), axis=1)),)


def test_what_cannot_be_exported_is_run_by_pytorch(examples: NDArray[np.float32]) -> None:
    assert bulk.fastest(Odd(), examples).name == "pytorch"
