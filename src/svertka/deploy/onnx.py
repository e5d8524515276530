"""Exporting to ONNX, and proving the export before anyone gets it."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from svertka.errors import UserError
from svertka.layers.net import Net
from svertka.runtime.agreement import difference
from svertka.runtime.card import CARD_KEY, Card, image_input
from svertka.runtime.deployment import AGREEMENT
from svertka.runtime.engines import OnnxRuntimeEngine
from svertka.runtime.files import replacing
from svertka.runtime.inputs import InputTransform
from svertka.runtime.onnx_card import DIGEST_KEY, onnx_digest
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess

_OPSET = 18
_SHOWN = 200  # characters of what the exporter says
TOLERANCE = AGREEMENT


def export_onnx(net: Net, card: Card, path: Path) -> float:
    """Write ``net`` to ``path`` as ONNX with the card in its metadata; the batch axis is free.

    Returns:
        The largest absolute difference to the golden outputs.

    Raises:
        UserError: See `proven_onnx`.
    """
    data, largest = proven_onnx(net, card)
    with replacing(path) as file:
        file.write(data)
    return largest


def proven_onnx(net: Net, card: Card, *, any_size: bool = False) -> tuple[bytes, float]:
    """``net`` as an ONNX file, and the largest absolute difference to the golden outputs.

    ONNX Runtime gives the golden outputs, and the same answer for an input whatever the size of the batch it comes in.

    Args:
        net: The network.
        card: Its card.
        any_size: See `onnx_bytes`.

    Raises:
        UserError: onnx is not installed, the network does not take any size, or the graph does not agree.
    """
    data = onnx_bytes(net, card, any_size=any_size)
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, "model.onnx")
        trial.write_bytes(data)
        return data, _prove(trial)


def onnx_bytes(net: Net, card: Card, *, any_size: bool = False) -> bytes:
    """``net`` as an ONNX file with the card in its metadata, not yet proven.

    Constants are folded, and every BatchNorm that follows a convolution is part of it.

    Args:
        net: The network.
        card: Its card; images that it takes whole have any size.
        any_size: Leave height and width open in any case.

    Raises:
        UserError: onnx is not installed, or the network takes images of one size only.
    """
    try:
        import onnx  # noqa: F401 (the exporter needs both)
        import onnxscript  # noqa: F401
        import torchvision  # noqa: F401 (its operators)
    except ImportError as error:
        raise UserError(f"ONNX export needs {error.name}", mend="pip install 'svertka[deploy]'") from error
    if any_size and not _takes_any_size(net, image_input(card)):
        raise _one_size(card)
    # Two inputs, since a batch of one is taken for a constant.
    examples = [torch.zeros(2, *card.input.shape)]
    regions = card.input.regions if isinstance(card.input, Preprocess) else 0
    if regions:
        examples.append(torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(2, regions, 4).contiguous())
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    quiet = io.StringIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        warnings.simplefilter("ignore")  # of the exporter's own use of older interfaces
        program = _exported(
            card,
            _Named(net).eval(),
            tuple(examples),
            input_names=[card.input.graph_input, "regions"][: len(examples)],
            output_names=list(net.output_names),
            dynamic_shapes=(tuple(_free_axes(card.input, any_size=any_size)),),
            opset_version=_OPSET,
            custom_translation_table={torch.ops.torchvision.roi_pool.default: _roi_pool},
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    if any_size and not all(axis.dim_param for axis in model.graph.input[0].type.tensor_type.shape.dim[2:]):
        raise _one_size(card)
    return with_card(model, card)


def _exported(card: Card, net: nn.Module, examples: tuple[Tensor, ...], **options: Any) -> Any:
    try:
        return torch.onnx.export(net, examples, **options)
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().partition("\n")[0]
        raise UserError(
            f"{card.net} cannot be exported: {reason[:_SHOWN]}",
            mend="its forward must take the same steps whatever is in its input",
        ) from error


def with_card(model: Any, card: Card) -> bytes:
    """An ONNX model, a ``ModelProto``, as a file with the card and a digest in its metadata."""
    import onnx

    model.producer_name = "svertka"
    del model.metadata_props[:]
    text = card.to_json()
    digest = onnx_digest(model.SerializeToString(), text)
    onnx.helper.set_model_props(model, {CARD_KEY: text, DIGEST_KEY: digest})
    data: bytes = model.SerializeToString()
    return data


def _takes_any_size(net: Net, preprocess: Preprocess) -> bool:
    if preprocess.regions:
        return False  # they are proposed of images of one size
    larger = torch.zeros(1, preprocess.channels, preprocess.height + 32, preprocess.width + 64)
    try:
        with torch.inference_mode():
            net.eval().outputs(larger)
    except RuntimeError:  # a product of matrices that do not fit
        return False
    return True


def _one_size(card: Card) -> UserError:
    return UserError(f"{card.net} takes images of one size only, as it is built", mend="leave out --any-size")


def _free_axes(transform: InputTransform, *, any_size: bool) -> list[dict[int, Any]]:
    batch = torch.export.Dim("batch", min=1)
    axes: dict[int, Any] = {0: batch}
    if not isinstance(transform, Preprocess):
        return [axes]
    preprocess = transform
    if any_size or (preprocess.fit == "whole" and not preprocess.margin):
        least = min(32, preprocess.height, preprocess.width)
        axes |= {2: torch.export.Dim("height", min=least), 3: torch.export.Dim("width", min=least)}
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
    if not engine.card.golden:
        raise UserError("it has no golden inputs to prove an exported graph with", mend="adopt or train it anew")
    predictor = Predictor(engine, engine.card)
    largest = predictor.golden_difference()
    together = predictor.raw([golden.input for golden in engine.card.golden])
    for number, golden in enumerate(engine.card.golden):
        found = {name: values[number] for name, values in together.items()}
        largest = max(largest, difference(found, golden.outputs))
    if not largest <= TOLERANCE:
        raise UserError(
            f"the exported graph differs by {largest:.2g}, more than {TOLERANCE:g}; nothing was written",
            mend="please report the network and its options",
        )
    return largest
