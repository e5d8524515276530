"""The model file: it comes back to the bit, or is refused in one line."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.safetensors import Serialised, read_header
from svertka.zoo import registry
from svertka.zoo.engine import TorchEngine
from svertka.zoo.modelfile import load_model, read_card, save_model
from svertka.zoo.tensors import DTYPE_NAMES, tensor_bytes

State = dict[str, Tensor]


@pytest.fixture
def copy(tiny_model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(tiny_model.read_bytes())
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_model(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


def test_it_comes_back_to_the_bit(tiny_model: Path, copy: Path) -> None:
    net, card = load_model(tiny_model)
    written = save_model(copy, net.state_dict(), card)
    assert copy.read_bytes() == tiny_model.read_bytes()
    assert written.to_json() == card.to_json() == read_card(copy).to_json()
    assert not net.training
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert Predictor(TorchEngine(net), card).golden_difference() == 0


def test_the_weights_do_not_hang_on_the_file(copy: Path) -> None:
    net, card = load_model(copy)
    with copy.open("r+b") as file:
        file.write(bytes(copy.stat().st_size))
    assert Predictor(TorchEngine(net), card).golden_difference() == 0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="where Linux tells the peak")
def test_loading_takes_the_memory_of_one_copy(tiny_model: Path, copy: Path) -> None:
    card = read_card(copy)
    arguments = {"image_size": 64, "in_channels": 3, "classes": 1024, "hidden": (2048,)}
    with torch.device("meta"):
        expected = registry.build("mlp", arguments).state_dict()
    state = {name: torch.zeros(tensor.shape) for name, tensor in expected.items()}
    preprocess, output = Preprocess(height=64, width=64), OutputSpec(classes=tuple(map(str, range(1024))))
    card = dataclasses.replace(card, net="mlp", arguments=arguments, input=preprocess, output=output, golden=())
    save_model(copy, state, card)
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from svertka.zoo.modelfile import load_model\n"
        "load_model(Path(sys.argv[1]))\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "before = peak()\n"
        "net, _ = load_model(Path(sys.argv[2]))\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, tiny_model, copy], capture_output=True, text=True, check=True)
    size = copy.stat().st_size
    assert size > 100_000_000
    assert 0.8 * size < int(done.stdout) * 1024 < 1.2 * size


def test_any_layout_and_views_are_written(copy: Path) -> None:
    net, card = load_model(copy)
    state = net.state_dict()
    odd = {
        name: value.t().contiguous().t() if value.ndim == 2 else value.expand(2, -1)[1] for name, value in state.items()
    }
    assert save_model(copy, odd, card).weights == card.weights


def without_the_bias(state: State) -> State:
    return {name: value for name, value in state.items() if not name.endswith("bias")}


def reshaped(state: State) -> State:
    return {name: value[None] if value.ndim == 1 else value for name, value in state.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_the_bias, "head.output.bias is missing"),
        (lambda state: state | {"extra": torch.zeros(1)}, "extra is not part of the network"),
        (reshaped, r"head.output.bias is F32 [1, 3], not F32 [3]"),
        (lambda state: {name: value.half() for name, value in state.items()}, "is F16 [3], not F32 [3] and 1 more"),
        (lambda state: {name: value.int() for name, value in state.items()}, "is I32 [3], not F32 [3]"),
        (lambda _: {}, "head.output.bias is missing and 1 more"),
    ],
    ids=["missing", "extra", "misshapen", "half", "integer", "empty"],
)
def test_weights_of_another_network(copy: Path, change: Callable[[State], State], said: str) -> None:
    net, card = load_model(copy)
    save_model(copy, change(net.state_dict()), card)
    assert said in refused(copy)


def test_every_flipped_byte_of_the_weights_is_found(copy: Path) -> None:
    data = copy.read_bytes()
    start = min(entry.start for entry in read_header(copy).tensors.values())
    for position in (start, start + 1, (start + len(data)) // 2, len(data) - 1):
        copy.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        assert "not those its card was written for" in refused(copy)


def test_tensors_lie_where_the_library_lays_them() -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = {
        f"{letter}.{dtype}": torch.randint(0, 2, (number, 3), generator=generator).to(dtype)
        for number, letter in enumerate("bЯa")
        for dtype in DTYPE_NAMES
    }
    tensors["scalar"] = torch.tensor(1.0)
    one, other = io.BytesIO(), io.BytesIO()
    ours = Serialised.of({name: tensor_bytes(tensor) for name, tensor in tensors.items()})
    theirs = Serialised(safetensors.torch.save(tensors))
    for serialised, file in ((ours, one), (theirs, other)):
        serialised.write(file, {"a": "b"})
    assert one.getvalue() == other.getvalue()
    assert ours.digest() == theirs.digest()


def test_weights_of_a_sister_are_refused(copy: Path) -> None:
    net, card = load_model(copy)
    text = copy.read_bytes()
    save_model(copy, {name: value + 1 for name, value in net.state_dict().items()}, card)
    sister = copy.read_bytes()
    body = sum(entry.stop - entry.start for entry in read_header(copy).tensors.values())
    copy.write_bytes(text[:-body] + sister[-body:])
    assert "not those its card was written for" in refused(copy)


def test_an_altered_card_is_found(copy: Path) -> None:
    data = copy.read_bytes()
    copy.write_bytes(data.replace(b"CC0-1.0", b"MIT-0  "))
    assert copy.read_bytes() != data
    assert "its card was altered" in refused(copy)
    with pytest.raises(UserError, match="altered"):
        read_card(copy)


def rewritten(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the card, and sign it anew."""
    card = json.loads(read_card(path).to_json())
    change(card)
    text = json.dumps(card)
    metadata = {CARD_KEY: text, "svertka.card.sha256": hashlib.sha256(text.encode()).hexdigest()}
    safetensors.torch.save_file(safetensors.torch.load_file(path), path, metadata)


def test_a_card_that_was_signed_anew_is_as_good(copy: Path) -> None:
    rewritten(copy, lambda card: card.update(licence="MIT"))
    assert load_model(copy)[1].licence == "MIT"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"net": "perceptrom"}, "did you mean perceptron?"),
        ({"arguments": {"classs": 3}}, "has no option 'classs'; did you mean classes?"),
        ({"arguments": {"classes": -1}}, "perceptron cannot be built"),
        ({"arguments": {"classes": "three"}}, "perceptron cannot be built"),
        ({"arguments": {"image_size": 10**30}}, "perceptron cannot be built"),
        ({"arguments": {"classes": 4, "image_size": 4, "in_channels": 3}}, "not F32 [4]"),
        ({"version": 99}, "version 99"),
        ({"weights": "0" * 64}, "not those its card was written for"),
        ({"input": {"media": "image", "height": 4, "width": -4}}, "its card is damaged"),
    ],
)
def test_a_card_that_does_not_fit(copy: Path, change: dict[str, Any], said: str) -> None:
    rewritten(copy, lambda card: card.update(change))
    assert said in refused(copy)


@pytest.mark.parametrize(
    "values",
    [
        {"height": 7, "width": 7},
        {"height": 5},
        {"height": 4096, "width": 4096},
        {"channels": 1, "mean": [0.5], "std": [0.5]},
        {"fit": "whole"},
        {"fit": "whole", "margin": 1},
        {"regions": 3},
    ],
)
def test_a_card_of_another_size(copy: Path, values: dict[str, Any]) -> None:
    rewritten(copy, lambda card: card["input"].update(values))
    assert "its card does not suit perceptron" in refused(copy)


@pytest.mark.parametrize("side", [1, 7, 4000])
def test_a_card_of_a_size_that_the_network_cannot_take_or_pay(weights: Path, side: int, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    net, card = load_model(weights)
    save_model(path, net.state_dict(), card)
    rewritten(path, lambda card: card["input"].update(height=side, width=side))
    if side == 4000:
        assert "takes 1.0 GB in a single stage of resnet20_cifar" in refused(path)
    else:
        load_model(path)


@pytest.mark.parametrize("count", [1, 2, 4, 3000])
def test_a_card_with_other_classes_than_the_network(copy: Path, count: int) -> None:
    rewritten(copy, lambda card: card.update(output={"classes": [str(number) for number in range(count)]}, golden=[]))
    assert f"its card does not suit perceptron: classes {count:,}, not 3" in refused(copy)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"task": "x"}, "unknown task 'x' in the card"),
        ({"net": "own/net"}, "unknown network 'own/net'"),
        ({"arguments": {"trunk": {"net": "own/net"}}}, "unknown network 'own/net'"),
    ],
)
def test_a_card_of_what_is_not_installed(copy: Path, values: dict[str, Any], told: str) -> None:
    rewritten(copy, lambda card: card.update(values))
    assert f"its card names what is not installed here: {told}; " in refused(copy)
    rewritten(copy, lambda card: card["provenance"].update(plugins={"own-net": "1.2"}))
    assert f"{told}; the file says that it needs the plug-in own-net 1.2: install it if you trust" in refused(copy)


@pytest.mark.parametrize("values", [{"task": "segmentation"}, {"reject_limit": 0.5}], ids=str)
def test_a_card_of_what_the_network_does_not_do(copy: Path, values: dict[str, Any]) -> None:
    rewritten(copy, lambda card: card.update(values))
    assert "its card does not suit perceptron: " in refused(copy)


@pytest.mark.parametrize(
    "arguments",
    [{"depth": 10**9}, {"depth": 10**5}, {"depth": True}, {"in_channels": 10**9}, {"classes": 10**9}],
    ids=str,
)
def test_a_card_of_a_huge_network(weights: Path, arguments: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    net, card = load_model(weights)
    save_model(path, net.state_dict(), card)
    rewritten(path, lambda card: card["arguments"].update(arguments))
    refused(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_neither_written_nor_opened(
    copy: Path, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, card = load_model(copy)
    state, before = net.state_dict(), copy.read_bytes()
    state["head.output.bias"][1] = value
    with pytest.raises(UserError, match=r"'head.output.bias' holds numbers that are not finite"):
        save_model(copy, state, card)
    assert copy.read_bytes() == before
    monkeypatch.setattr("svertka.zoo.modelfile.check_plain", lambda *_, **__: None)  # as somebody else may write it
    save_model(copy, state, card)
    monkeypatch.undo()
    assert "'head.output.bias' holds numbers that are not finite" in refused(copy)


def test_safetensors_of_others_have_no_card(copy: Path) -> None:
    safetensors.torch.save_file({"weight": torch.zeros(3)}, copy)
    assert "no card" in refused(copy)


class _Trap:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('the pickle was run')",)


@pytest.mark.parametrize("zipped", [True, False, None])
def test_a_pickle_of_that_name_is_never_run(copy: Path, zipped: bool | None) -> None:
    if zipped is None:
        copy.write_bytes(pickle.dumps(_Trap()))
    else:
        torch.save({"state": _Trap()}, copy, _use_new_zipfile_serialization=zipped)
    assert "a pickle" in refused(copy)


@pytest.mark.parametrize("share", range(20))
def test_a_file_cut_short_is_refused(copy: Path, share: int) -> None:
    os.truncate(copy, copy.stat().st_size * share // 20)
    assert "not a readable model file" in refused(copy)


def test_one_byte_too_many_or_too_few_is_refused(copy: Path) -> None:
    data = copy.read_bytes()
    for changed in (data[:-1], data + b"\0"):
        copy.write_bytes(changed)
        assert "not a readable model file" in refused(copy)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "nothing.safetensors")
    assert "cannot be read" in refused(tmp_path)


def test_a_failed_save_leaves_the_old_model(copy: Path) -> None:
    net, card = load_model(copy)
    before = copy.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        save_model(copy, net.state_dict(), dataclasses.replace(card, metrics={"loss": float("nan")}))
    assert copy.read_bytes() == before
    assert list(copy.parent.iterdir()) == [copy]
