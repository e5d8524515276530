"""Verify: a model file proves itself in every engine at hand."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from svertka.commands.verify.result import EngineCheck, Verification
from svertka.errors import UserError
from svertka.runtime.card import Card
from svertka.runtime.deployment import Deployment
from svertka.runtime.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine
from svertka.runtime.onnx_card import read_onnx_card
from svertka.runtime.predictor import Predictor
from svertka.workflows.models import model_file


def verify(model: str | PathLike[str]) -> Verification:
    """Reproduce the golden outputs of a model in PyTorch, ONNX Runtime and OpenVINO, where they are installed.

    A .safetensors is exported for the engines that read ONNX; an .onnx is run as it is, without torch, in the precision
    and the pieces that its card names.

    Args:
        model: Model file or a run's folder.

    Raises:
        UserError: The model is missing, damaged, or has no golden inputs.
    """
    path = model_file(Path(model))
    checks: list[EngineCheck] = []
    absent: dict[str, str] = {}

    def check(name: str, make: Callable[[], Engine], card: Card) -> None:
        try:
            engine = make()
        except (UserError, ImportError) as error:
            absent[name] = str(error)
            return
        checks.append(EngineCheck(name, Predictor(engine, card).golden_difference(), card.tolerance))

    with tempfile.TemporaryDirectory() as folder:
        if path.suffix == ".onnx":
            graph, card = path, read_onnx_card(path)
        else:
            from svertka.zoo.engine import TorchEngine
            from svertka.zoo.modelfile import load_model

            net, card = load_model(path)
            graph = Path(folder, "model.onnx")
            check("pytorch", lambda: TorchEngine(net), card)
            try:
                from svertka.deploy.onnx import onnx_bytes

                graph.write_bytes(onnx_bytes(net, card))
            except UserError as error:
                absent |= dict.fromkeys(("onnxruntime", "openvino"), str(error))
        if not card.golden:
            raise UserError("it has no golden inputs to be verified with", where=path)
        if graph.exists():
            check("onnxruntime", lambda: OnnxRuntimeEngine(graph, card=card), card)
            plan = card.deployment or Deployment()
            bf16 = plan.precision == "bf16"
            check("openvino", lambda: OpenVinoEngine(graph, piece=plan.piece, bf16=bf16), card)
    return Verification(path, len(card.golden), card.tolerance, tuple(checks), absent)
