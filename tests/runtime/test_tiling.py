"""Whole images in pieces: every pixel is answered for once, in its place, whatever sizes there are."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from svertka.errors import UserError
from svertka.results import Segmentation
from svertka.runtime.card import Card
from svertka.runtime.outputs import OutputSpec
from svertka.runtime.predictor import Predictor
from svertka.runtime.preprocess import Preprocess
from svertka.runtime.tiling import assemble, mirrored, pieces


def whole(side: int = 224, margin: int = 0) -> Preprocess:
    return Preprocess(height=side, width=side, fit="whole", margin=margin)


LARGE = st.tuples(st.integers(1, 1500), st.integers(1, 1500), st.sampled_from([(224, 0), (700, 0), (572, 92)]))
SMALL = st.tuples(st.integers(1, 100), st.integers(1, 100), st.just((188, 92)))  # pieces of 4 × 4 pixels


@settings(max_examples=60, deadline=None)
@given(st.one_of(LARGE, SMALL))
def test_what_says_of_a_pixel_what_it_is_gives_the_image_again(given: tuple[int, int, tuple[int, int]]) -> None:
    height, width, size = given
    preprocess = whole(*size)
    image = np.random.default_rng(height * width).random((1, 1, height, width), np.float32)

    def same(cut: NDArray[Any]) -> dict[str, NDArray[np.float32]]:
        margin = preprocess.margin
        return {"logits": cut[..., margin : cut.shape[-2] - margin, margin : cut.shape[-1] - margin]}

    assert np.array_equal(assemble(same, image, preprocess)["logits"], image)


def test_sides_of_pieces_suit_the_strides_of_networks_and_are_bounded() -> None:
    for piece in pieces(3000, 333, whole()):
        assert len(piece.source_rows) == 512
        assert len(piece.source_columns) == 352
        assert piece.source_rows[0] % 32 == 0
    assert {len(piece.source_rows) for piece in pieces(3000, 333, whole(572, 92))} == {572}


def test_what_surrounds_a_piece_is_seen_but_not_answered_for() -> None:
    first, second, *_ = pieces(2000, 100, whole())
    assert first.rows.stop == second.rows.start
    assert second.rows.start - second.source_rows[0] == 64


def test_borders_are_mirrored_and_not_doubled() -> None:
    assert mirrored(-2, 7, 4).tolist() == [2, 1, 0, 1, 2, 3, 2]
    assert mirrored(-3, 5, 1).tolist() == [0] * 5


class Brightness:
    """An engine: class 1 where it is bright."""

    name = "brightness"

    def __init__(self) -> None:
        self.largest = 0

    def run(self, batch: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
        self.largest = max(self.largest, batch.shape[-1] * batch.shape[-2])
        mean = batch.mean(axis=1, keepdims=True)
        return {"logits": np.concatenate([0.5 - mean, mean - 0.5], axis=1)}


def predictor(engine: Brightness) -> Predictor:
    return Predictor(
        engine,
        Card(
            net="unet",
            arguments={},
            task="segmentation",
            output=OutputSpec(classes=("background", "bright")),
            input=whole(),
            licence="Apache-2.0",
            provenance={},
            metrics={},
            golden=(),
            weights="",
        ),
    )


def test_images_of_different_sizes_are_predicted_whole() -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (*size, 3), np.uint8) for size in ((7, 5), (900, 700))]
    for image, result in zip(images, predictor(Brightness()).predict(images), strict=True):
        assert isinstance(result, Segmentation)
        assert np.array_equal(result.mask, image.mean(axis=2) / 255 > 0.5)


def test_memory_stays_flat_for_an_image_of_10000_by_10000() -> None:
    image = np.broadcast_to(np.uint8([[[200, 200, 200]]]), (10_000, 10_000, 3))
    engine = Brightness()
    tracemalloc.start()
    (result,) = predictor(engine).predict([image])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert isinstance(result, Segmentation)
    assert result.areas.tolist() == [0, 10_000 * 10_000]
    assert engine.largest == 512 * 512
    # The image in planes and the masks, of the pieces and of the whole: logits alone would be 800 MB.
    assert peak < 900e6


def test_a_margin_must_leave_something() -> None:
    with pytest.raises(UserError, match="leaves nothing"):
        whole(100, 50)
