"""What tests of several rooms share."""

from __future__ import annotations

import gc
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from calling import Answer, Running, call, starting


def pytest_collection_finish() -> None:
    """Thousands of tests and all that they import stay until the end: the collector need not look at them again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data that tests may use, named by SVERTKA_DATA; tests skip where it is absent."""
    folder = Path(os.environ.get("SVERTKA_DATA") or Path(__file__).parents[1] / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip(f"no folder of real data: {folder} (set SVERTKA_DATA)")
    return folder


@pytest.fixture(scope="session")
def soak() -> ModuleType:
    """``benchmarks/soak_annotations.py``, which writes small data sets of every format and mutates them."""
    return _benchmark("soak_annotations")


@pytest.fixture(scope="session")
def soak_images() -> ModuleType:
    """``benchmarks/soak_images.py``, which mutates small images of every format."""
    return _benchmark("soak_images")


@pytest.fixture(scope="session")
def soak_server() -> ModuleType:
    """``benchmarks/soak.py``, which asks servers more than they can bear, and attacks them."""
    return _benchmark("soak")


@pytest.fixture(scope="session")
def soak_weights() -> ModuleType:
    """``benchmarks/soak_weights.py``, which makes hostile files of weights and mutates sound ones."""
    return _benchmark("soak_weights")


def _benchmark(name: str) -> ModuleType:
    path = Path(__file__).parents[1] / "benchmarks" / f"{name}.py"
    if not path.is_file():
        pytest.skip("no benchmarks beside the tests")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SVERTKA_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.delenv("SVERTKA_CACHE_GB", raising=False)
        yield


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of the least network: every pixel of 4×4 in colour, three classes, one golden input."""
    import numpy as np
    import torch

    from svertka.runtime.card import Card, Golden
    from svertka.runtime.outputs import OutputSpec
    from svertka.runtime.preprocess import Preprocess
    from svertka.zoo import registry
    from svertka.zoo.engine import TorchEngine
    from svertka.zoo.modelfile import save_model

    torch.manual_seed(0)
    arguments = {"classes": 3, "in_channels": 3, "image_size": 4}
    net = registry.build("perceptron", arguments)
    preprocess = Preprocess(height=4, width=4, mean=(0.5, 0.4, 0.3), std=(0.2, 0.25, 0.3))
    image = np.arange(5 * 6 * 3, dtype=np.uint8).reshape(5, 6, 3)
    logits = TorchEngine(net).run(preprocess([image]))["logits"][0]
    card = Card(
        net="perceptron",
        arguments=arguments,
        task="classification",
        output=OutputSpec(classes=("cat", "dog", "hippopotamus")),
        input=preprocess,
        licence="CC0-1.0",
        provenance={"data": {"name": "зверь"}},
        metrics={"val": {"accuracy": 0.5}},
        golden=(Golden(image, {"logits": logits}),),
        weights="",
    )
    path = tmp_path_factory.mktemp("tiny") / "model.safetensors"
    save_model(path, net.state_dict(), card)
    return path


@pytest.fixture(scope="session")
def tiny_onnx(tiny_model: Path) -> Path:
    """``tiny_model`` exported."""
    pytest.importorskip("onnxscript")
    from svertka.deploy.onnx import export_onnx
    from svertka.zoo.modelfile import load_model

    path = tiny_model.with_suffix(".onnx")
    export_onnx(*load_model(tiny_model), path)
    return path


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model file of a network with BatchNorm that was never trained; random features will do here."""
    import numpy as np
    import torch

    from svertka.runtime.card import Card, Golden
    from svertka.runtime.outputs import OutputSpec
    from svertka.runtime.preprocess import Preprocess
    from svertka.zoo import registry
    from svertka.zoo.engine import TorchEngine
    from svertka.zoo.modelfile import save_model

    torch.manual_seed(0)
    arguments = {"classes": 5, "in_channels": 3}
    net = registry.build("resnet20_cifar", arguments)
    with torch.no_grad():
        net.train()(torch.randn(64, 3, 16, 16))  # statistics of their own
    preprocess = Preprocess(height=16, width=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.25))
    image = np.random.default_rng(0).integers(0, 256, (20, 18, 3), np.uint8)
    logits = TorchEngine(net).run(preprocess([image]))["logits"][0]
    card = Card(
        net="resnet20_cifar",
        arguments=arguments,
        task="classification",
        output=OutputSpec(classes=("a", "b", "c", "d", "e")),
        input=preprocess,
        licence="CC0-1.0",
        provenance={},
        metrics={},
        golden=(Golden(image, {"logits": logits}),),
        weights="",
    )
    path = tmp_path_factory.mktemp("weights") / "trained.safetensors"
    save_model(path, net.state_dict(), card)
    return path


@pytest.fixture(scope="session")
def svertka_call() -> Callable[..., Answer]:
    """Give a command in this process."""
    return call


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Start a command in a process of its own."""
    if sys.platform == "win32":
        pytest.skip("processes are forked and signalled here")
    with starting(tmp_path_factory.mktemp("said")) as run:
        yield run
