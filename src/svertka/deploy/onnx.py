"""Exporting to ONNX, and proving the export before anyone gets it."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision  # noqa: F401 (its operators)
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.net import Net
from svertka.runtime.card import CARD_KEY, Card
from svertka.runtime.engines import OnnxRuntimeEngine
from svertka.runtime.files import replacing
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess

_OPSET = 18
TOLERANCE = 1e-4
"""Largest difference between the outputs of two engines that counts as agreement, in fp32."""


def export_onnx(net: Net, card: Card, path: Path) -> float:
    """Write ``net`` to ``path`` as ONNX with the card in its metadata; the batch axis is free.

    The file gets its name only when ONNX Runtime gives the golden outputs, and the same answer for an image
    whatever the size of the batch it comes in.

    Returns:
        The largest absolute difference to the golden outputs.

    Raises:
        UserError: onnx is not installed, or the exported graph does not agree.
    """
    data = onnx_bytes(net, card)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, "model.onnx")
        trial.write_bytes(data)
        difference = _prove(trial)
    with replacing(path) as file:
        file.write(data)
    return difference


def onnx_bytes(net: Net, card: Card) -> bytes:
    """``net`` as an ONNX file with the card in its metadata, not yet proven.

    Raises:
        UserError: onnx is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 (the exporter needs it)
    except ImportError as error:
        raise UserError(f"ONNX export needs {error.name}", mend="pip install 'svertka[deploy]'") from error
    preprocess = card.preprocess
    # Two images, since a batch of one is taken for a constant.
    examples = [torch.zeros(2, preprocess.channels, preprocess.height, preprocess.width)]
    if preprocess.regions:
        examples.append(torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(2, preprocess.regions, 4).contiguous())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    quiet = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        warnings.simplefilter("ignore")  # of the exporter's own use of older interfaces
        program = torch.onnx.export(
            _Named(net).eval(),
            tuple(examples),
            input_names=["images", "regions"][: len(examples)],
            output_names=list(net.output_names),
            dynamic_shapes=(tuple(_free_axes(preprocess)),),
            opset_version=_OPSET,
            custom_translation_table={torch.ops.torchvision.roi_pool.default: _roi_pool},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    model.producer_name = "svertka"
    onnx.helper.set_model_props(model, {CARD_KEY: card.to_json()})
    data: bytes = model.SerializeToString()
    return data


def _free_axes(preprocess: Preprocess) -> list[dict[int, Any]]:
    batch = torch.export.Dim("batch", min=1)
    axes: dict[int, Any] = {0: batch}
    if preprocess.fit == "whole" and not preprocess.margin:
        axes |= {2: torch.export.Dim("height", min=32), 3: torch.export.Dim("width", min=32)}
    return [axes, {0: batch}] if preprocess.regions else [axes]


def _roi_pool(maps: Any, rows: Any, scale: float, height: int, width: int) -> tuple[Any, Any]:
    # onnxscript's own takes other arguments than the operator has; what was largest is not asked for.
    from onnxscript import opset18

    pooled = opset18.MaxRoiPool(maps, rows, pooled_shape=(height, width), spatial_scale=scale)
    return pooled, opset18.Identity(pooled)


class _Named(nn.Module):
    """A network that gives all its outputs, in the order of their names."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.net.outputs(*given).values())


def _prove(path: Path) -> float:
    engine = OnnxRuntimeEngine(path)
    predictor = Predictor(engine, engine.card)
    difference = predictor.golden_difference()
    images = [golden.image for golden in engine.card.golden]
    together = predictor.raw(images)
    for number, golden in enumerate(engine.card.golden):
        for name, expected in golden.outputs.items():
            difference = max(difference, float(np.abs(together[name][number] - expected).max()))
    if not difference <= TOLERANCE:
        raise UserError(
            f"the exported graph differs by {difference:.2g}, more than {TOLERANCE:g}; nothing was written",
            mend="please report the network and its options",
        )
    return difference
