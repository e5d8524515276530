"""A small network with convolutions, and images for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from exporting import operators_read_once
from svertka.deploy.onnx import onnx_bytes
from svertka.layers.net import Net
from svertka.runtime.card import Card, Golden
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.preprocess import Preprocess
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine


@pytest.fixture(scope="session")
def small() -> tuple[Net, Card]:
    """A residual network for images of 16×16 that was never trained, with its card."""
    torch.manual_seed(0)
    arguments = {"classes": 5, "in_channels": 3}
    net = registry.build("resnet20_cifar", arguments)
    with torch.no_grad():
        net.train()(torch.randn(64, 3, 16, 16))  # statistics of their own
    preprocess = Preprocess(height=16, width=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    image = np.random.default_rng(0).integers(0, 256, (20, 18, 3), np.uint8)
    logits = TorchEngine(net.eval()).run(preprocess([image]))["logits"][0]
    card = Card(
        net="resnet20_cifar",
        arguments=arguments,
        task="classification",
        output=OutputSpec(classes=tuple("abcde")),
        input=preprocess,
        licence="CC0-1.0",
        provenance={},
        metrics={},
        golden=(Golden(image, {"logits": logits}),),
        weights="",
    )
    return net, card


@pytest.fixture(scope="session")
def small_graph(small: tuple[Net, Card], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``small`` exported in single precision."""
    pytest.importorskip("onnxscript")
    path = tmp_path_factory.mktemp("small") / "model.onnx"
    path.write_bytes(onnx_bytes(*small))
    return path


@pytest.fixture(scope="session")
def small_images() -> NDArray[np.float32]:
    """Inputs for ``small``: ``(24, 3, 16, 16)``."""
    return np.random.default_rng(1).normal(size=(24, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="session", autouse=True)
def _operators_read_once() -> Iterator[None]:
    with operators_read_once():
        yield
