"""What hostile and mutated weight files do to loading: nothing runs, and what is taken is whole.

    python benchmarks/soak_weights.py [--mutants 10000]

Thirty-nine hostile files, each of which would leave a witness if anything in it ran or anything outside were read, go
through every route that loads weights: pickles in four containers, forged headers, archives, layers that are code,
tensors that lie elsewhere. Then model files and checkpoints are mutated as `soak_images.py` mutates images: each is
refused in one line, or every name, shape and type is that of the network. Memory stays below what it was, twice the
file, and 64 MB. Last measured:

    39 hostile files: all refused, nothing ran
    10,000 mutants of 4 files of 2.8 MB: 489 taken, all of them whole; the slowest in 539 ms; memory at most 22 MB more
"""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch

sys.path.insert(0, str(Path(__file__).parent))
from soak_images import mutated

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY, Card
from svertka.runtime.engines import OnnxRuntimeEngine
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.preprocess import Preprocess
from svertka.zoo import registry
from svertka.zoo.checkpoints import read_checkpoint
from svertka.zoo.conversion import convert
from svertka.zoo.modelfile import load_model, save_model

NET, SOURCE, CLASSES = "squeezenet1_1", "torchvision", 10
MEGABYTES = 64

Load = Callable[[Path], object]
LOADS: tuple[Load, ...] = (load_model, read_checkpoint, OnnxRuntimeEngine)


class _Calls:
    """What pickle turns into a call when it is read."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def gadgets(witness: Path) -> Iterator[tuple[str, Any]]:
    """Objects that leave the witness when they are unpickled."""
    import builtins
    import importlib
    import runpy
    import shutil
    import subprocess

    script = witness.with_suffix(".py")
    script.write_text(f"open({str(witness)!r}, 'w')")
    order, code = f"touch {witness}", f"open({str(witness)!r}, 'w')"
    yield "os.system", _Calls(os.system, order)
    yield "subprocess", _Calls(subprocess.Popen, ["touch", str(witness)])
    yield "eval", _Calls(builtins.eval, code)
    yield "exec", _Calls(builtins.exec, code)
    yield "open", _Calls(builtins.open, str(witness), "w")
    yield "runpy", _Calls(runpy.run_path, str(script))
    yield "copy", _Calls(shutil.copy, str(script), str(witness))
    yield "inside a dictionary", {"weight": torch.zeros(1), "epoch": _Calls(importlib.import_module, "antigravity")}


def hostile(folder: Path, model: Path, witness: Path) -> Iterator[tuple[Path, tuple[Load, ...]]]:
    """Files that run something, or read something outside, wherever that is possible; and what must refuse them."""
    for number, (_, gadget) in enumerate(gadgets(witness)):
        plain = pickle.dumps({"state_dict": gadget})
        for suffix in (".pth", ".safetensors"):
            (folder / f"{number}{suffix}").write_bytes(plain)
            yield folder / f"{number}{suffix}", LOADS
        torch.save({"state_dict": gadget}, folder / f"{number}-zip.pt")
        yield folder / f"{number}-zip.pt", LOADS
        torch.save({"state_dict": gadget}, folder / f"{number}.th", _use_new_zipfile_serialization=False)
        yield folder / f"{number}.th", LOADS
    yield from _elsewhere(folder, model, witness)


def _elsewhere(folder: Path, model: Path, witness: Path) -> Iterator[tuple[Path, tuple[Load, ...]]]:
    import h5py
    import onnx

    data = model.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    card = json.loads(header["__metadata__"][CARD_KEY])
    for number, net in enumerate(("os.system", "../../secret", "__import__('os')")):
        text = json.dumps({**header, "__metadata__": {CARD_KEY: json.dumps({**card, "net": net})}}).encode()
        path = folder / f"forged-{number}.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + data[8 + length :])
        yield path, (load_model,)  # to others, it holds tensors
    layer = {"class_name": "Lambda", "config": {"function": ["os.system", None, None], "arguments": [str(witness)]}}
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.attrs["model_config"] = json.dumps(layer)
        file["layer"] = h5py.ExternalLink("/etc/passwd", "/")
        file["other"] = h5py.SoftLink("/nowhere")
    (folder / "linked.h5").write_bytes(buffer.getvalue())
    yield folder / "linked.h5", LOADS
    with zipfile.ZipFile(folder / "lambda.keras", "w") as archive:
        archive.writestr("config.json", json.dumps(layer))
        archive.writestr("../../outside", "x")
        archive.writestr("model.weights.h5", buffer.getvalue())
    yield folder / "lambda.keras", LOADS
    for number, place in enumerate(("/etc/passwd", "../../../../etc/passwd")):
        weight = onnx.TensorProto(name="w", data_type=onnx.TensorProto.UINT8, dims=[8])
        weight.data_location = onnx.TensorProto.EXTERNAL
        weight.external_data.add(key="location", value=place)
        output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.UINT8, [8])
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Identity", ["w"], ["y"])], "g", [], [output], initializer=[weight]
        )
        path = folder / f"outside-{number}.onnx"
        whole = onnx.helper.make_model(graph)
        onnx.helper.set_model_props(whole, {CARD_KEY: json.dumps(card)})
        path.write_bytes(whole.SerializeToString())
        yield path, LOADS


def write_models(folder: Path) -> dict[str, Path]:
    """A network's weights in every kind of file that is mutated."""
    import torchvision

    torch.manual_seed(0)
    peer = torchvision.models.squeezenet1_1(weights=None, num_classes=CLASSES)
    files = {suffix: folder / f"checkpoint{suffix}" for suffix in (".pth", ".th", ".safetensors")}
    torch.save(peer.state_dict(), files[".pth"])
    torch.save(peer.state_dict(), files[".th"], _use_new_zipfile_serialization=False)
    safetensors.torch.save_file(peer.state_dict(), files[".safetensors"])
    converted = convert(NET, SOURCE, read_checkpoint(files[".pth"]))
    card = Card(
        net=NET,
        arguments=converted.arguments,
        task="classification",
        output=OutputSpec(classes=tuple(map(str, range(CLASSES)))),
        input=Preprocess(height=64, width=64),
        licence="CC0-1.0",
        provenance={},
        metrics={},
        golden=(),
        weights="",
    )
    model = folder / "model.safetensors"
    save_model(model, converted.state, card)
    return {"model": model, **files}


def judge(path: Path, *, model: bool) -> bool:
    """Whether the file is taken. Fail unless it is whole then, or refused in one line."""
    try:
        if model:
            net, card = load_model(path)
            state, arguments = net.state_dict(), card.arguments
            name = card.net
        else:
            converted = convert(NET, SOURCE, read_checkpoint(path))
            name, state, arguments = NET, converted.state, converted.arguments
    except UserError as refusal:
        _of_one_line(refusal)
        return False
    with torch.device("meta"):
        expected = registry.build(name, arguments).state_dict()
    assert {key: (value.shape, value.dtype) for key, value in state.items()} == {
        key: (value.shape, value.dtype) for key, value in expected.items()
    }
    return True


def _of_one_line(refusal: UserError) -> None:
    if "\n" in str(refusal):
        raise AssertionError("a refusal of several lines") from refusal


def peak() -> float:
    """The most MB that were resident so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def refuse(folder: Path, model: Path) -> int:
    """Load all hostile files, by every route that has to refuse them; how many there are.

    Raises:
        AssertionError: One was taken, or something in it ran.
    """
    witness, tried = folder / "witness", 0
    for path, loads in hostile(folder, model, witness):
        for load in loads:
            try:
                load(path)
            except UserError as refusal:
                _of_one_line(refusal)
            else:
                raise AssertionError(f"{path.name} is taken by {load}")
            assert not witness.exists(), f"{path.name} ran something in {load}"
        tried += 1
    return tried


def soak(folder: Path, files: Mapping[str, Path], mutants: int, *, seed: int = 0) -> tuple[int, float]:
    """Load so many mutants of these files; how many are taken, and seconds of the slowest."""
    whole = {kind: path.read_bytes() for kind, path in files.items()}
    chance, taken, slowest = random.Random(seed), 0, 0.0
    for number in range(mutants):
        kind = list(whole)[number % len(whole)]
        path = folder / f"mutant{files[kind].suffix}"
        path.write_bytes(mutated(whole[kind], chance))
        started = time.perf_counter()
        taken += judge(path, model=kind == "model")
        slowest = max(slowest, time.perf_counter() - started)
    return taken, slowest


def main() -> None:
    """Both, and status 1 if memory grew too much."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutants", type=int, default=10_000)
    mutants = parser.parse_args().mutants
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        files = write_models(folder)
        for kind, path in files.items():
            assert judge(path, model=kind == "model"), f"{kind} is not taken as it is"
        print(f"{refuse(folder, files['model'])} hostile files: all refused, nothing ran", flush=True)
        base, largest = peak(), max(path.stat().st_size for path in files.values()) / 2**20
        taken, slowest = soak(folder, files, mutants)
        grown = peak() - base
    print(
        f"{mutants:,} mutants of {len(files)} files of {largest:.1f} MB: {taken:,} taken, all of them whole; "
        f"the slowest in {slowest * 1000:.0f} ms; memory at most {grown:.0f} MB more"
    )
    sys.exit(grown > 2 * largest + MEGABYTES)


if __name__ == "__main__":
    main()
