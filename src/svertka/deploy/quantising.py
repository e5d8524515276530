"""8-bit integers in place of single precision, calibrated on images; what an image cannot bear is left as it is.

The result is the same ONNX graph with QuantizeLinear and DequantizeLinear around what is quantised, which both ONNX
Runtime and OpenVINO turn into integer arithmetic: one file, one card, one proof for both.

B. Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", 2018.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.runtime.onnx_runtime import cpu_session
from svertka.runtime.openvino_core import without_reports

Advance = Callable[[int, int], None]
"""Is told that so much of so much is done."""

_WEIGHED = ("Conv", "Gemm", "MatMul", "ConvTranspose")


def quantise(graph: bytes, images: Sequence[NDArray[np.float32]], *, leave: Sequence[str] = ()) -> Any:
    """Quantise an ONNX graph: weights by output channel, activations by tensor, biases corrected.

    Weights have 7 bits. The 8-bit dot products of AVX2, and of AVX-512 without VNNI, add two products of an unsigned
    and a signed number in 16 bits; with 8-bit weights these overflow, silently, and with 7-bit weights they cannot.

    Args:
        graph: In single precision.
        images: What it is calibrated on, each ``(1, C, H, W)``.
        leave: Names of operations to leave in single precision.

    Returns:
        The ``onnx.ModelProto``, without a card.

    Raises:
        UserError: NNCF is not installed, or cannot do it.
    """
    nncf = _nncf()
    import onnx

    model = onnx.load_from_string(graph)
    del model.metadata_props[:]  # the card would be copied with every part of the graph
    name = model.graph.input[0].name
    try:
        with _silence():
            return nncf.quantize(
                model,
                nncf.Dataset([{name: image} for image in images]),
                subset_size=len(images),
                # Zero points: products of two signed numbers would cost another bit.
                preset=nncf.QuantizationPreset.MIXED,
                target_device=nncf.TargetDevice.CPU,
                ignored_scope=nncf.IgnoredScope(names=list(leave)) if leave else None,
                advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=nncf.OverflowFix.ENABLE),
            )
    except Exception as error:  # its errors have no common class
        raise UserError(f"it cannot be quantised ({error})", mend="take --precision fp32") from error


def by_sensitivity(
    graph: bytes, quantised: Any, images: Sequence[NDArray[np.float32]], *, advance: Advance
) -> list[str]:
    """Names of the quantised layers, those first that are best left in single precision.

    Each is brought back by itself, and the mean squared difference of the outputs to those in single precision says
    what that is worth.

    Args:
        graph: In single precision.
        quantised: What `quantise` made of it.
        images: A few, each ``(1, C, H, W)``.
        advance: Is told how many layers have been tried.
    """
    import onnx

    original = onnx.load_from_string(graph)
    inputs = {node.name: list(node.input) for node in original.graph.node}
    weights = {tensor.name: tensor for tensor in original.graph.initializer}
    expected = _outputs(graph, images)
    layers = [
        number
        for number, node in enumerate(quantised.graph.node)
        if node.op_type in _WEIGHED and inputs.get(node.name, [])[:2] not in ([], list(node.input)[:2])
    ]
    errors: dict[str, float] = {}
    for done, number in enumerate(layers, 1):
        trial = onnx.ModelProto()
        trial.CopyFrom(quantised)
        node = trial.graph.node[number]
        # Quantising inserts operations between others and keeps the names of what was there.
        held = {tensor.name for tensor in trial.graph.initializer}
        for place, name in enumerate(inputs[node.name][:2]):
            node.input[place] = name
            if name in weights and name not in held:
                trial.graph.initializer.append(weights[name])
        found = _outputs(trial.SerializeToString(), images)
        errors[node.name] = sum(float(np.square(a - b).mean()) for a, b in zip(found, expected, strict=True))
        advance(done, len(layers))
    return sorted(errors, key=lambda name: errors[name])


def _outputs(graph: bytes, images: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float64]]:
    session = cpu_session(graph)
    name = session.get_inputs()[0].name
    return [output.astype(np.float64) for image in images for output in session.run(None, {name: image})]


def _nncf() -> Any:
    try:
        with warnings.catch_warnings(), without_reports():
            warnings.simplefilter("ignore")
            import nncf
    except ImportError as error:
        raise UserError(f"quantising needs {error.name}", mend="pip install 'svertka[deploy]'") from error
    return nncf


@contextlib.contextmanager
def _silence() -> Any:
    # Progress and remarks of the library go to standard output, where our own answer belongs.
    import logging

    logger = logging.getLogger("nncf")
    level = logger.level
    logger.setLevel(logging.ERROR)
    quiet = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
