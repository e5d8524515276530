"""The networks of other libraries beside ours: who has which, and how far their logits are from ours.

`tests/zoo/test_parity.py` holds the differences to the limit; `benchmarks/parity.py` writes them down.
"""

from __future__ import annotations

import importlib
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from svertka.zoo import registry
from svertka.zoo.checkpoints import Checkpoint, read_checkpoint
from svertka.zoo.conversion import convert

TOLERANCE = 1e-4
"""Largest difference allowed between logits in fp32, relative to the largest logit where that is above one."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A network of ours and the one of another library that computes the same.

    Attributes:
        net: Registry name of ours.
        library: Whose the other is: ``torchvision``, ``timm`` or ``keras``.
        title: What that library calls it.
        sides: Height and width of the images; odd ones find what even ones hide.
        count: Number of images.
        make: Makes theirs, of the library's module and the sides; with weights of its own random initialisation.
        source: Whose checkpoints it is converted as, where that is not the library's name.
    """

    net: str
    library: str
    title: str
    sides: tuple[int, int]
    count: int = 2
    make: Callable[[Any, tuple[int, int]], Any]
    source: str = ""


@dataclass(frozen=True)
class Difference:
    """How far two networks are apart.

    Attributes:
        largest: Largest absolute difference between two logits.
        scale: Largest absolute logit.
    """

    largest: float
    scale: float

    @property
    def relative(self) -> float:
        """Largest difference, relative to the largest logit where that is above one."""
        return self.largest / max(1.0, self.scale)


def _torchvision(net: str, sides: tuple[int, int], **arguments: Any) -> Pair:
    def make(library: Any, sides: tuple[int, int]) -> nn.Module:
        del sides
        theirs: nn.Module = library.models.get_model(net, weights=None, **arguments)
        return theirs

    return Pair(net=net, library="torchvision", title=net, sides=sides, make=make)


def _torchvision_masks(net: str, sides: tuple[int, int]) -> Pair:
    def make(library: Any, sides: tuple[int, int]) -> nn.Module:
        del sides
        theirs: nn.Module = library.models.get_model(net, weights=None, weights_backbone=None, aux_loss=True)
        theirs.register_forward_hook(lambda *call: call[2]["out"])
        return theirs

    return Pair(net=net, library="torchvision", title=net, sides=sides, make=make)


def _timm(net: str, sides: tuple[int, int], title: str | None = None) -> Pair:
    def make(library: Any, sides: tuple[int, int]) -> nn.Module:
        del sides
        theirs: nn.Module = library.create_model(title or net, pretrained=False)
        return theirs

    return Pair(net=net, library="timm", title=title or net, sides=sides, make=make)


def _keras(net: str, sides: tuple[int, int], title: str, *, count: int = 2, **arguments: Any) -> Pair:
    def make(library: Any, sides: tuple[int, int]) -> Any:
        application = getattr(library.applications, title)
        return application(weights=None, classifier_activation=None, input_shape=(*sides, 3), **arguments)

    given = ", ".join(f"{name}={value}" for name, value in arguments.items())
    return Pair(
        net=net,
        library="keras",
        title=f"{title}({given})" if given else title,
        sides=sides,
        count=count,
        make=make,
    )


def _keras_nasnet(net: str, sides: tuple[int, int], title: str, source: str, **arguments: Any) -> Pair:
    def make(library: Any, sides: tuple[int, int]) -> Any:
        # Not keras.applications.NASNetMobile: it refuses to be built on torch.
        return library.src.applications.nasnet.NASNet(
            input_shape=(*sides, 3), weights=None, classifier_activation=None, default_size=224, **arguments
        )

    return Pair(net=net, library="keras", title=title, sides=sides, make=make, source=source)


_WHOLE, _SMALL = (237, 215), (97, 75)
_EVEN = (128, 96)
"""For Keras's MobileNet, which leaves out the last pixels where a side is odd."""

PAIRS = (
    _torchvision("alexnet", _WHOLE),
    *(_torchvision(f"vgg{layers}{norm}", (77, 59)) for layers in (11, 13, 16, 19) for norm in ("", "_bn")),
    _torchvision("googlenet", _WHOLE, aux_logits=False, init_weights=False),
    _torchvision("inception_v3", (161, 139), aux_logits=False, init_weights=False),
    *(_torchvision(f"resnet{layers}", _WHOLE if layers < 101 else _SMALL) for layers in (18, 34, 50, 101, 152)),
    _torchvision("resnext50_32x4d", _SMALL),
    *(_torchvision(f"densenet{layers}", (83, 109)) for layers in (121, 169, 201)),
    *(_torchvision(f"squeezenet1_{version}", _WHOLE) for version in (0, 1)),
    _torchvision("mobilenet_v2", _WHOLE),
    _torchvision_masks("fcn_resnet50", _SMALL),
    *(_timm(f"resnet{layers}", _SMALL) for layers in (18, 34, 50, 101, 152)),
    *(_timm(f"resnext{layers}_32x4d", _SMALL) for layers in (50, 101)),
    _timm("inception_v4", (161, 139)),
    _timm("inception_resnet_v2", (161, 139)),
    _timm("xception", (161, 139), "legacy_xception"),
    _timm("mobilenet", _WHOLE, "mobilenetv1_100"),
    _timm("nasnet_large", _SMALL, "nasnetalarge"),
    *(_timm(f"efficientnet_lite{number}", _WHOLE, f"tf_efficientnet_lite{number}") for number in (0, 1, 2)),
    *(_keras(f"vgg{layers}", (224, 224), f"VGG{layers}", count=1) for layers in (16, 19)),  # theirs has one size
    _keras("mobilenet", _EVEN, "MobileNet"),
    _keras("mobilenet_025", _EVEN, "MobileNet", alpha=0.25),
    *(_keras(f"densenet{layers}", (83, 109), f"DenseNet{layers}") for layers in (121, 169, 201)),
    *(_keras(f"resnet{layers}_v2", (109, 83), f"ResNet{layers}V2") for layers in (50, 101, 152)),
    _keras_nasnet(
        "nasnet_mobile",
        _SMALL,
        "NASNetMobile",
        "keras",
        num_blocks=4,
        penultimate_filters=1056,
        stem_block_filters=32,
        skip_reduction=False,
    ),
    _keras_nasnet(
        "nasnet_large",
        (64, 47),
        "NASNetLarge",
        "keras_large",
        num_blocks=6,
        penultimate_filters=4032,
        stem_block_filters=96,
        skip_reduction=True,
    ),
)


def library(name: str) -> Any:
    """The library called ``name``.

    Raises:
        ImportError: It is not here, or Keras was told to use another backend than torch.
    """
    if name == "keras":
        os.environ.setdefault("KERAS_BACKEND", "torch")
        os.environ.setdefault("KERAS_HOME", tempfile.mkdtemp())  # Keras writes a configuration file
    module = importlib.import_module(name)
    if name == "keras" and module.backend.backend() != "torch":
        raise ImportError("Keras was told to use another backend than torch")
    return module


def compare(pair: Pair) -> Difference:
    """The difference between theirs and ours with the weights of theirs, in evaluation, on images of noise."""
    torch.manual_seed(0)
    source = library(pair.library)
    with one_thread(), torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"keras\.")  # of Keras about its own code
        theirs = pair.make(source, pair.sides)
        x = torch.randn(pair.count, 3, *pair.sides, generator=torch.Generator().manual_seed(1))
        if pair.library == "keras":
            channels_last = x.permute(0, 2, 3, 1)
            disturb_keras(source, theirs, channels_last)
            checkpoint = keras_checkpoint(theirs)
            expected = theirs(channels_last, training=False)
        else:
            disturb_norms(theirs, x)
            checkpoint = Checkpoint(Path(pair.title), "pytorch", theirs.state_dict())
            expected = theirs(x)
        converted = convert(pair.net, pair.source or pair.library, checkpoint)
        with torch.device("meta"):  # all weights come from the peer
            ours = registry.build_any(pair.net, converted.arguments)
        ours.load_state_dict(converted.state, assign=True)
        return difference(ours.eval()(x), expected)


def difference(got: Tensor, expected: Tensor) -> Difference:
    """Compare logits."""
    assert got.shape == expected.shape
    assert expected.std() > 1e-3, "the peer's logits are all alike: this would prove nothing"
    return Difference((got - expected).abs().max().item(), expected.abs().max().item())


@contextmanager
def one_thread() -> Iterator[None]:
    """Small work is slowed down by more threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def keras_checkpoint(model: Any) -> Checkpoint:
    """The weights of a Keras model, which both of Keras's file formats must bring back alike."""
    with tempfile.TemporaryDirectory() as folder:
        paths = Path(folder, "model.h5"), Path(folder, "model.weights.h5")
        model.save(paths[0])
        model.save_weights(paths[1])
        checkpoint, other = (read_checkpoint(path) for path in paths)
    assert checkpoint.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in checkpoint.tensors.items())
    return checkpoint


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


def disturb_keras(keras: Any, model: Any, x: Tensor) -> None:
    """As `disturb_norms`, for a Keras model and images ``(N, H, W, C)``; also its biases, which begin at zero."""
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    random = np.random.default_rng(2)
    for layer in model.layers:
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(random.uniform(-0.1, 0.1, layer.bias.shape))
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
