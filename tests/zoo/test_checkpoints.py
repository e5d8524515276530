"""Other people's checkpoints: whatever wraps them, whatever in them is no plain tensor, whatever they claim."""

from __future__ import annotations

import io
import json
import struct
import subprocess
import sys
import warnings
import zipfile
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.zoo.checkpoints import Checkpoint, read_checkpoint
from svertka.zoo.conversion import MisfitError, convert

STATE = {
    "conv1.weight": torch.arange(16.0).reshape(2, 2, 2, 2),
    "bn1.bias": torch.tensor([0.5, -1.0]),
    "bn1.num_batches_tracked": torch.tensor(3),
}


def saved(path: Path, value: Any, **how: Any) -> Path:
    torch.save(value, path, **how)
    return path


def prefixed(prefix: str) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in STATE.items()}


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_checkpoint(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert line.isprintable()
    assert "weights_only" not in line
    return line


WRAPPED: dict[str, Any] = {
    "plain": STATE,
    "compiled": prefixed("_orig_mod."),
    "parallel and compiled": prefixed("module._orig_mod."),
    "compiled and parallel": prefixed("_orig_mod.module."),
    "twice parallel": prefixed("module.module."),
    "in a module of Lightning": {"epoch": 3, "state_dict": prefixed("model."), "hyper_parameters": {"lr": 0.1}},
    "compiled in a module of Lightning": {"state_dict": prefixed("model._orig_mod."), "loops": {"fit": {}}},
    "net": {"net": STATE, "acc": 91.2, "epoch": 180},
    "net in net": {"net": prefixed("net.")},
    "model_state_dict": {"model_state_dict": prefixed("module."), "optimizer_state_dict": {"state": {}}},
    "model in state_dict": {"state_dict": {"model": prefixed("net.")}},
    "ema": {"ema": STATE},
    "ema of a parallel module": {"ema": {"module": prefixed("module.")}, "updates": 7},
    "params_ema": {"params_ema": STATE},
    "averaged": {"n_averaged": torch.tensor(4), **prefixed("module.")},
    "beside a running mean": {
        "model": STATE,
        "model_ema": {name: torch.zeros_like(value) for name, value in STATE.items()},
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}},
    },
    "beside a loss with weights": {"state_dict": {**prefixed("net."), "criterion.weight": torch.ones(10)}},
    "a dictionary for every layer": {"conv1": {"weight": STATE["conv1.weight"]}, "bn1": prefixed("")}
    | {"bn1": {name.removeprefix("bn1."): value for name, value in STATE.items() if name.startswith("bn1.")}},
}


@pytest.mark.parametrize("how", WRAPPED)
def test_wrappers_are_taken_off_in_any_order(how: str, tmp_path: Path) -> None:
    found = read_checkpoint(saved(tmp_path / "a.pth", WRAPPED[how])).tensors
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[name], value) for name, value in STATE.items())


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module._orig_mod.", "state_dict.model.", "ema.module."])
def test_and_off_the_names_in_safetensors(prefix: str, tmp_path: Path) -> None:
    safetensors.torch.save_file(prefixed(prefix), tmp_path / "a.safetensors")
    assert read_checkpoint(tmp_path / "a.safetensors").tensors.keys() == STATE.keys()


def test_what_lies_beside_the_weights_is_named(tmp_path: Path) -> None:
    read = read_checkpoint(saved(tmp_path / "a.pth", WRAPPED["beside a loss with weights"]))
    assert read.beside == ("criterion.weight",)


def test_dictionaries_in_themselves_and_shared_a_thousand_times_end(tmp_path: Path) -> None:
    round_about: dict[str, Any] = {"model": STATE}
    round_about["self"] = round_about
    assert read_checkpoint(saved(tmp_path / "a.pth", round_about)).tensors.keys() == STATE.keys()
    doubled: Any = {"x": torch.zeros(1)}
    for _ in range(60):
        doubled = {"a": doubled, "b": doubled}
    assert len(read_checkpoint(saved(tmp_path / "b.pth", doubled)).tensors) == 1


def of_beta(make: Callable[..., Tensor], *arguments: Any) -> Callable[[], Tensor]:
    """A tensor of a kind of which torch warns that it may change."""

    def made() -> Tensor:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return make(*arguments)

    return made


NOT_PLAIN: dict[str, tuple[Callable[[], Tensor], str]] = {
    "sparse": (lambda: torch.eye(3).to_sparse(), "sparse"),
    "sparse rows": (of_beta(torch.eye(3).to_sparse_csr), ""),
    "quantised": (of_beta(torch.quantize_per_tensor, torch.ones(2), 0.1, 0, torch.qint8), "quantised"),
    "nested": (of_beta(torch.nested.nested_tensor, [torch.ones(2), torch.ones(3)]), ""),
    "meta": (lambda: torch.zeros(3, device="meta"), "meta device"),
    "complex": (lambda: torch.zeros(3, dtype=torch.complex64), "is of complex64, not of real numbers"),
    "truth": (lambda: torch.zeros(3, dtype=torch.bool), "is of bool"),
    "nan": (lambda: torch.tensor([1.0, float("nan")]), "not finite"),
    "infinite": (lambda: torch.tensor(float("-inf")), "not finite"),
    "half nan": (lambda: torch.tensor([float("nan")]).half(), "not finite"),
    "float8 nan": (lambda: torch.tensor([float("nan")]).to(torch.float8_e4m3fn), "not finite"),
    "nan in columns": (lambda: torch.tensor([[1.0, 2.0], [float("nan"), 0.0]]).t(), "not finite"),
    "stride 0": (lambda: torch.zeros(1).expand(1000), "more than are stored"),
    "overlapping": (lambda: torch.zeros(5).as_strided((3, 3), (1, 1)), "more than are stored"),
}


@pytest.mark.parametrize("kind", NOT_PLAIN)
def test_a_tensor_that_is_not_plain_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    make, word = NOT_PLAIN[kind]
    line = refused(saved(tmp_path / "a.pth", {"state_dict": {**STATE, "fc.bias": make()}}))
    assert word in line
    assert "'fc.bias'" in line or not word  # which torch itself may not open


@pytest.mark.parametrize(
    "tensor",
    [
        torch.zeros(0, 3),
        torch.tensor(1.5),
        torch.ones(2).bfloat16(),
        torch.ones(2).double(),
        torch.ones(2).to(torch.float8_e5m2),
        nn.Parameter(torch.ones(2)),
        torch.ones(3, 2).t(),
        torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last),
        torch.ones(100)[::3],
    ],
    ids=lambda tensor: f"{tensor.dtype} {list(tensor.shape)}",
)
def test_other_plain_tensors_are_taken(tensor: Tensor, tmp_path: Path) -> None:
    assert torch.equal(read_checkpoint(saved(tmp_path / "a.pth", {"a": tensor})).tensors["a"], tensor)


def test_many_tensors_of_one_storage_are_larger_than_the_file(tmp_path: Path) -> None:
    one = torch.zeros(100_000)
    path = saved(tmp_path / "a.pth", {f"a{number}": one for number in range(50)})
    assert "larger than the file" in refused(path)
    parts = {f"a{number}": one[1000 * number : 1000 * number + 1000] for number in range(50)}
    assert len(read_checkpoint(saved(tmp_path / "b.pth", parts)).tensors) == 50


@pytest.mark.parametrize("dtype", ["complex64", "bool"])
def test_safetensors_of_other_types(dtype: str, tmp_path: Path) -> None:
    safetensors.torch.save_file({"a": torch.zeros(2, dtype=getattr(torch, dtype))}, tmp_path / "a.safetensors")
    assert f"is of {dtype}" in refused(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    ("dtype", "shape"), [("F32", [2**62, 4, 0]), ("F32", [0] * 70), ("F4", [1]), ("F32", [True]), ("F32", [1e9])]
)
def test_impossible_headers_of_safetensors(dtype: str, shape: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    size = 4 if shape == [True] else 0
    header = json.dumps({"a": {"dtype": dtype, "shape": shape, "data_offsets": [0, size]}}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(size))
    assert "header names no tensors" in refused(path)


def test_a_header_of_a_million_brackets(tmp_path: Path) -> None:
    header = b'{"a":[' + b"[]," * 1_000_000 + b"[]]}"
    path = tmp_path / "a.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    assert "more entries than any network" in refused(path)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        ({**STATE, "args": Namespace(lr=0.1)}, "it holds argparse.Namespace, which could run code"),
        (nn.Linear(2, 2), "it holds torch.nn.modules.linear.Linear"),
        (STATE["bn1.bias"], "no tensors by name"),
        ([STATE], "no tensors by name"),
        ({"a" * 5000: torch.zeros(1)}, "too long"),
        ({"a": {"b": torch.zeros(1)}, "a.b": torch.zeros(1)}, "two tensors"),
        ({"a\x1b[31m": torch.zeros(1)}, r"'a\x1b[31m' of a tensor cannot be printed"),
        ({**STATE, "b\n": Namespace()}, "argparse.Namespace"),
    ],
    ids=["namespace", "module", "tensor", "list", "long", "twice", "escape", "line"],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_what_else_is_saved_is_refused_in_our_own_words(value: Any, word: str, zipped: bool, tmp_path: Path) -> None:
    assert word in refused(saved(tmp_path / "a.pth", value, _use_new_zipfile_serialization=zipped))


def test_a_torchscript_archive_is_named(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.zeros(1, 2)), tmp_path / "a.pt")
    assert "a TorchScript archive, which holds code" in refused(tmp_path / "a.pt")


def deflated(value: Any, path: Path) -> Path:
    plain = io.BytesIO()
    torch.save(value, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return path


def pickled_lists(path: Path) -> Path:
    saved(path, STATE)
    with zipfile.ZipFile(path) as source:
        entries = {name: source.read(name) for name in source.namelist()}
    with zipfile.ZipFile(path, "w") as target:
        for name, data in entries.items():
            target.writestr(name, b"\x80\x02(" + b"]" * 20_000_000 + b"l." if name.endswith("data.pkl") else data)
    return path


def claimed(path: Path) -> Path:
    """A file of the old kind that claims 40 GB."""
    saved(path, {"a": torch.zeros(1234)}, _use_new_zipfile_serialization=False)
    data = path.read_bytes()
    number = b"M" + struct.pack("<H", 1234)
    assert data.count(number) >= 2
    path.write_bytes(data.replace(number, b"\x8a\x05" + (10**10).to_bytes(5, "little")))
    return path


BOMBS: dict[str, Callable[[Path], Path]] = {
    "deflated": lambda path: deflated({"a": torch.zeros(50_000_000)}, path),
    "strided": lambda path: saved(path, {"a": torch.zeros(1).expand(200_000_000)}),
    "shared": lambda path: saved(path, dict.fromkeys(map(str, range(1000)), torch.zeros(1_000_000))),
    "lists": pickled_lists,
    "claimed": claimed,
}

MEASURE = """
import resource, sys
from pathlib import Path
from svertka.errors import UserError
from svertka.zoo.checkpoints import read_checkpoint
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
read_checkpoint(Path(sys.argv[1]))
before = peak()
try:
    read_checkpoint(Path(sys.argv[2]))
except UserError as error:
    print(peak() - before, error)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="where the peak is in kB")
@pytest.mark.parametrize("kind", BOMBS)
def test_small_files_stay_small(kind: str, tmp_path: Path) -> None:
    path = BOMBS[kind](tmp_path / "bomb.pth")
    good = saved(tmp_path / "good.pth", STATE)
    done = subprocess.run([sys.executable, "-c", MEASURE, good, path], capture_output=True, text=True, check=True)
    grown, _, line = done.stdout.partition(" ")
    assert "bomb.pth: " in line
    assert int(grown) * 1024 < 2 * path.stat().st_size + (64 << 20)


def test_a_misfit_shows_the_names_side_by_side(tmp_path: Path) -> None:
    with pytest.raises(MisfitError) as caught:
        convert("resnet20_cifar", "akamaster", Checkpoint(tmp_path / "a.pth", "pytorch", STATE))
    line = str(caught.value)
    assert "begins with conv1.weight [2, 2, 2, 2], bn1.bias [2], bn1.num_batches_tracked []" in line
    assert "resnet20_cifar with trunk.conv1.conv.weight [16, 3, 3, 3]" in line
