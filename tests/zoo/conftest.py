"""What the tests of converted weights share."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import peers
import pytest
import torch
from torch import Tensor, nn

from svertka.zoo.renaming import rename

Converter = Callable[[Mapping[str, Tensor]], Mapping[str, Tensor]]


@pytest.fixture
def assert_parity() -> Callable[..., None]:
    """Compare with a network that no library has as it stands: ``assert_parity(ours, theirs, rules, image_shape)``."""

    def check(
        ours: nn.Module,
        theirs: nn.Module,
        conversion: Sequence[tuple[str, str]] | Converter,
        image_shape: tuple[int, ...],
    ) -> None:
        x = torch.randn(image_shape, generator=torch.Generator().manual_seed(1))
        with peers.one_thread(), torch.no_grad():
            peers.disturb_norms(theirs, x)
            state = theirs.state_dict()
            ours.load_state_dict(conversion(state) if callable(conversion) else rename(state, conversion))
            found = peers.difference(ours.eval()(x), theirs.eval()(x))
        assert found.relative <= peers.TOLERANCE

    return check


@pytest.fixture
def keras() -> Iterator[None]:
    """Keras on torch; the test is skipped where there is none."""
    try:
        peers.library("keras")
    except ImportError as error:
        pytest.skip(str(error))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"keras\.")  # of Keras about its own code
        yield


@pytest.fixture
def write_caffemodel() -> Callable[..., Path]:
    """Write blobs ``layer.weight`` and ``layer.bias`` as Caffe does: ``(path, tensors, first_generation=…)``."""
    return _write_caffemodel


def _write_caffemodel(path: Path, tensors: Mapping[str, Tensor], *, first_generation: bool) -> Path:
    layers: dict[str, bytes] = {}
    blobs_field = 6 if first_generation else 7
    for key, value in tensors.items():
        name = key.rpartition(".")[0]
        layers[name] = layers.get(name, b"") + _field(blobs_field, _blob(value, first_generation))
    network = _field(1, b"a network")
    for name, blobs in layers.items():
        layer = _field(4 if first_generation else 1, name.encode()) + blobs + _number(10, 0)
        network += _field(2 if first_generation else 100, layer)
    path.write_bytes(network)
    return path


def _blob(value: Tensor, first_generation: bool) -> bytes:
    data = _field(5, value.float().contiguous().numpy().astype("<f4").tobytes())
    if not first_generation:
        return data + _field(7, _field(1, b"".join(_varint(side) for side in value.shape)))
    shape = [*[1] * (4 - value.ndim), *value.shape]
    return b"".join(_number(field, side) for field, side in enumerate(shape, 1)) + data


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _varint(value: int) -> bytes:
    more = b""
    while value > 127:
        more, value = more + bytes([value & 127 | 128]), value >> 7
    return more + bytes([value])
