"""Preprocessing as operations of the exported graph, for programs that have decoded pixels and nothing else.

Resampling is a product with a matrix for each axis, which says what every pixel of the image counts for in a pixel of
the result. The matrices are computed in the graph from the size of the image, by pillow's formulas and with its
rounding to whole numbers after each axis, columns first. Pillow sometimes begins with the other axis, and the last bit
of a weight may differ: so may a pixel, by one level in 255.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from svertka.deploy.onnx import with_card
from svertka.deploy.parity import scale
from svertka.errors import UserError
from svertka.runtime.agreement import difference
from svertka.runtime.card import Card, image_input
from svertka.runtime.deployment import Deployment
from svertka.runtime.engines import Engine, OnnxRuntimeEngine, OpenVinoEngine
from svertka.runtime.openvino_core import openvino_is_installed
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import THINNEST, Preprocess

_OPSET = 18
_PIXEL_ERROR = 0.05  # of the largest output: more than a level in some pixels changes
_FLOAT, _INT64, _DOUBLE = 1, 7, 11  # as ONNX numbers types
_PREFIX = "prepare/"
_LUMA: Final = (19595, 38470, 7471)  # of 65,536: pillow's whole numbers for ITU-R 601


class _Graph:
    """Operations in the order in which they were called; each gives the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, operation: str, *inputs: str, **attributes: Any) -> str:
        import onnx

        name = f"{operation}_{len(self.nodes)}"
        self.nodes.append(onnx.helper.make_node(operation, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: Any, kind: type = np.float64) -> str:
        import onnx

        name = f"constant_{len(self.constants)}"
        self.constants.append(onnx.numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def real(self, name: str) -> str:
        return self("Cast", name, to=_DOUBLE)

    def single(self, name: str) -> str:
        return self("Cast", name, to=_FLOAT)


class _Axis(NamedTuple):
    """One axis of the resampling, as names in the graph.

    Attributes:
        source: Its length in the image, int64.
        size: Its length after resampling, int64.
        first: Which place of that is the first of the result, double.
        length: Its length in the result.
    """

    source: str
    size: str
    first: str
    length: int


def with_preparation(model: Any, preprocess: Preprocess) -> Any:
    """An ONNX model that takes decoded images of one size, any, ``(N, H, W, 3)`` uint8 RGB, as ``pixels``.

    Args:
        model: A ``ModelProto`` with one input, ``(N, C, height, width)``.
        preprocess: What goes into the graph.

    Raises:
        UserError: Images are taken whole, so they are cut into pieces before the graph sees them.
    """
    import onnx

    if preprocess.fit == "whole":
        raise UserError(
            "a network that takes images whole gets them in pieces, which no graph cuts", mend="leave out --pixels"
        )
    graph = _Graph()
    graph("Identity", _images(graph, preprocess))
    graph.nodes[-1].output[0] = "images"
    side = preprocess.height, preprocess.width
    first = onnx.helper.make_model(
        onnx.helper.make_graph(
            graph.nodes,
            "prepare",
            [onnx.helper.make_tensor_value_info("pixels", onnx.TensorProto.UINT8, ["batch", "height", "width", 3])],
            [onnx.helper.make_tensor_value_info("images", _FLOAT, ["batch", preprocess.channels, *side])],
            graph.constants,
        ),
        ir_version=model.ir_version,
        opset_imports=[onnx.helper.make_opsetid("", _OPSET)],
    )
    first = onnx.compose.add_prefix(first, _PREFIX, rename_inputs=False)
    del model.metadata_props[:]
    return onnx.compose.merge_models(first, model, io_map=[(f"{_PREFIX}images", model.graph.input[0].name)])


def taking_pixels(data: bytes, card: Card, images: Sequence[NDArray[np.uint8]]) -> tuple[bytes, Card, float]:
    """An exported file with preprocessing in its graph, its card, and how far it is from the golden outputs.

    What a level of a few pixels changes is measured, and is part of the tolerance from then on.

    Args:
        data: The file that takes prepared images.
        card: Its card.
        images: To compare by: decoded, ``(H, W, 3)`` uint8 RGB of any sizes, the golden ones among them.

    Raises:
        UserError: The preprocessing cannot be put into a graph, or not well enough.
    """
    import onnx

    before = card.deployment or Deployment()
    loose = Deployment(**{**before.to_json(), "pixels": True, "piece": 0})
    model = with_preparation(onnx.load_from_string(data), image_input(card))
    with tempfile.TemporaryDirectory() as folder:
        plain, whole = Path(folder, "plain.onnx"), Path(folder, "pixels.onnx")
        plain.write_bytes(data)
        card = replace(card, deployment=loose)
        whole.write_bytes(with_card(model, card))
        reference = Predictor(OnnxRuntimeEngine(plain), replace(card, deployment=before))
        predictors = [Predictor(engine, card) for engine in _engines(whole)]
        apart = 0.0
        largest = 1.0
        for image in images:
            expected = reference.raw([image])
            largest = max(largest, scale(expected))
            apart = max(apart, *(difference(predictor.raw([image]), expected) for predictor in predictors))
        if not apart <= _PIXEL_ERROR * largest:
            raise UserError(
                f"preparing images in the graph changes outputs by {apart:.2g}; nothing was written",
                mend="leave out --pixels",
            )
        tolerance = before.tolerance + 2 * apart
        card = replace(card, deployment=Deployment(**{**loose.to_json(), "tolerance": tolerance}))
        whole.write_bytes(with_card(model, card))
        return whole.read_bytes(), card, max(predictor.golden_difference() for predictor in predictors)


def _engines(path: Path) -> list[Engine]:
    engines: list[Engine] = [OnnxRuntimeEngine(path)]
    return [*engines, OpenVinoEngine(path)] if openvino_is_installed() else engines


def _images(graph: _Graph, preprocess: Preprocess) -> str:
    shape = graph("Shape", "pixels")
    sides = [graph("Gather", shape, graph.constant(axis, np.int64)) for axis in (1, 2)]
    cut, rows, columns = _FITS[preprocess.fit](graph, preprocess, sides)
    planes = graph("Transpose", graph.single(cut), perm=[0, 3, 1, 2])
    if preprocess.channels == 1:
        planes = _grey(graph, planes)
    downwards, within_rows = _matrix(graph, rows, preprocess.interpolation)
    rightwards, within_columns = _matrix(graph, columns, preprocess.interpolation)
    across = _rounded(graph, graph("MatMul", planes, graph("Transpose", rightwards, perm=[1, 0])))
    placed = _rounded(graph, graph("MatMul", downwards, across))
    if preprocess.fit == "pad":
        inside = graph("Mul", within_rows, graph("Transpose", within_columns, perm=[1, 0]))
        white = graph("Sub", graph.constant(1, np.float32), inside)
        placed = graph("Add", placed, graph("Mul", white, graph.constant(255, np.float32)))
    if preprocess.order == "bgr":
        placed = graph("Gather", placed, graph.constant([2, 1, 0], np.int64), axis=1)
    std, mean = (np.asarray(values, np.float64).reshape(1, -1, 1, 1) for values in (preprocess.std, preprocess.mean))
    scaled = graph("Mul", placed, graph.constant(1 / (255 * std), np.float32))
    return graph("Add", scaled, graph.constant(-mean / std, np.float32))


def _stretch(graph: _Graph, preprocess: Preprocess, sides: list[str]) -> tuple[str, _Axis, _Axis]:
    rows, columns = (
        _Axis(side, graph.constant(length, np.int64), graph.constant(0.0), length)
        for side, length in zip(sides, (preprocess.height, preprocess.width), strict=True)
    )
    return "pixels", rows, columns


def _crop(graph: _Graph, preprocess: Preprocess, sides: list[str]) -> tuple[str, _Axis, _Axis]:
    least = graph("Min", *sides)
    most = graph("Mul", least, graph.constant(THINNEST, np.int64))
    two, half = graph.constant(2, np.int64), graph.constant(0.5)
    shorter = graph.constant(preprocess.shorter, np.int64)
    axes, begins, ends = [], [], []
    for side, length in zip(sides, (preprocess.height, preprocess.width), strict=True):
        source = graph("Min", side, most)
        begin = graph("Div", graph("Sub", side, source), two)
        begins.append(_list(graph, begin))
        ends.append(_list(graph, graph("Add", begin, source)))
        size = graph("Div", graph("Mul", shorter, source), least)
        spare = graph.real(graph("Sub", size, graph.constant(length, np.int64)))
        axes.append(_Axis(source, size, graph("Round", graph("Mul", spare, half)), length))
    corners = [graph("Concat", *places, axis=0) for places in (begins, ends)]
    cut = graph("Slice", "pixels", *corners, graph.constant([1, 2], np.int64))
    return cut, axes[0], axes[1]


def _pad(graph: _Graph, preprocess: Preprocess, sides: list[str]) -> tuple[str, _Axis, _Axis]:
    lengths = preprocess.height, preprocess.width
    ratios = [
        graph("Div", graph.constant(length), graph.real(side)) for side, length in zip(sides, lengths, strict=True)
    ]
    ratio = graph("Min", *ratios)
    axes = []
    for side, length in zip(sides, lengths, strict=True):
        rounded = graph("Cast", graph("Round", graph("Mul", ratio, graph.real(side))), to=_INT64)
        size = graph("Max", rounded, graph.constant(1, np.int64))
        spare = graph("Sub", graph.constant(length, np.int64), size)
        before = graph("Div", spare, graph.constant(2, np.int64))
        axes.append(_Axis(side, size, graph.real(graph("Neg", before)), length))
    return "pixels", axes[0], axes[1]


_FITS: Mapping[str, Callable[[_Graph, Preprocess, list[str]], tuple[str, _Axis, _Axis]]] = {
    "stretch": _stretch,
    "crop": _crop,
    "pad": _pad,
}


def _matrix(graph: _Graph, axis: _Axis, interpolation: str) -> tuple[str, str]:
    """What each place of the image counts for, ``(length, source)``, and ``(length, 1)``: 1 inside of it, else 0."""
    one, half = graph.constant(1.0), graph.constant(0.5)
    down, right = graph.constant([1], np.int64), graph.constant([0], np.int64)
    places = graph("Add", graph.constant(np.arange(axis.length)), axis.first)
    last = graph("Sub", graph.real(axis.size), one)
    held = graph("Min", graph("Max", places, graph.constant(0.0)), last)
    inside = graph("Unsqueeze", graph.single(graph("Equal", places, held)), down)
    scale = graph("Div", graph.real(axis.source), graph.real(axis.size))
    center = graph("Unsqueeze", graph("Mul", graph("Add", held, half), scale), down)
    sources = graph("Range", graph.constant(0, np.int64), axis.source, graph.constant(1, np.int64))
    source = graph("Unsqueeze", graph.real(sources), right)
    if interpolation == "nearest":
        weights = graph.real(graph("Equal", source, graph("Floor", center)))
    else:
        apart = graph("Sub", graph("Add", source, half), center)
        weights = _KERNELS[interpolation](graph, graph("Abs", graph("Div", apart, graph("Max", scale, one))))
    shares = graph("Div", weights, graph("ReduceSum", weights, down))
    return graph("Mul", graph.single(shares), inside), inside


def _bilinear(graph: _Graph, distance: str) -> str:
    return graph("Max", graph("Sub", graph.constant(1.0), distance), graph.constant(0.0))


def _bicubic(graph: _Graph, distance: str) -> str:
    # Keys' kernel with a = -1/2.
    near = _polynomial(graph, distance, (1.0, 0.0, -2.5, 1.5))
    far = _polynomial(graph, distance, (2.0, -4.0, 2.5, -0.5))
    beyond = graph("Where", graph("Less", distance, graph.constant(2.0)), far, graph.constant(0.0))
    return graph("Where", graph("Less", distance, graph.constant(1.0)), near, beyond)


def _lanczos(graph: _Graph, distance: str) -> str:
    angle = graph("Mul", graph("Max", distance, graph.constant(1e-9)), graph.constant(np.pi))
    third = graph("Div", angle, graph.constant(3.0))
    sines = graph("Mul", graph("Sin", angle), graph("Sin", third))
    bell = graph("Div", sines, graph("Mul", angle, third))
    return graph("Where", graph("Less", distance, graph.constant(3.0)), bell, graph.constant(0.0))


_KERNELS: Mapping[str, Callable[[_Graph, str], str]] = {
    "bilinear": _bilinear,
    "bicubic": _bicubic,
    "lanczos": _lanczos,
}


def _polynomial(graph: _Graph, x: str, coefficients: tuple[float, ...]) -> str:
    value = graph.constant(coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        value = graph("Add", graph("Mul", value, x), graph.constant(coefficient))
    return value


def _grey(graph: _Graph, planes: str) -> str:
    weights: NDArray[Any] = np.asarray(_LUMA).reshape(1, 3, 1, 1)
    total = graph("ReduceSum", graph("Mul", planes, graph.constant(weights, np.float32)), graph.constant([1], np.int64))
    shifted = graph("Add", total, graph.constant(32768, np.float32))
    return graph("Floor", graph("Mul", shifted, graph.constant(1 / 65536, np.float32)))


def _rounded(graph: _Graph, values: str) -> str:
    whole = graph("Floor", graph("Add", values, graph.constant(0.5, np.float32)))
    return graph("Clip", whole, graph.constant(0, np.float32), graph.constant(255, np.float32))


def _list(graph: _Graph, number: str) -> str:
    return graph("Unsqueeze", number, graph.constant([0], np.int64))
