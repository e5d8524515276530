"""A changed .onnx is found when it is opened, whichever bit of it was changed."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from svertka.errors import UserError
from svertka.runtime.card import CARD_KEY
from svertka.runtime.engines import OnnxRuntimeEngine, open_engine
from svertka.runtime.onnx_card import DIGEST_KEY, read_onnx_card

FLIPS = 400
IMAGES = np.random.default_rng(0).standard_normal((2, 3, 4, 4), np.float32)


def without_digest(graph: Path, path: Path) -> Path:
    """The graph as an older release wrote it."""
    onnx = pytest.importorskip("onnx")
    model = onnx.load(graph)
    onnx.helper.set_model_props(model, {CARD_KEY: read_onnx_card(graph).to_json()})
    path.write_bytes(model.SerializeToString())
    return path


def test_no_flipped_bit_gives_another_answer(tiny_onnx: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    expected, data = OnnxRuntimeEngine(tiny_onnx).run(IMAGES)["logits"], tiny_onnx.read_bytes()
    refused = 0
    for number, place in enumerate(np.linspace(0, len(data) - 1, FLIPS).astype(int)):
        changed = bytearray(data)
        changed[place] ^= 1 << number % 8
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(changed)
        caplog.clear()
        try:
            engine, _ = open_engine(path)
        except UserError:
            refused += 1
            continue
        # The digest is there no more: as an older file, it opens with a note, and what else there is was not changed.
        assert "carries no digest" in caplog.text
        np.testing.assert_array_equal(engine.run(IMAGES)["logits"], expected)
    assert refused > 0.95 * FLIPS


@pytest.mark.parametrize("length", [0, 1, 100, -100, -1])
def test_a_file_that_is_cut_short_is_refused(length: int, tiny_onnx: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.onnx"
    path.write_bytes(tiny_onnx.read_bytes()[:length])
    with pytest.raises(UserError):
        open_engine(path)


def test_another_card_is_refused(tiny_onnx: Path, tmp_path: Path) -> None:
    path = tmp_path / "renamed.onnx"
    path.write_bytes(tiny_onnx.read_bytes().replace(b"hippopotamus", b"hippopotamos"))
    for open_it in (read_onnx_card, open_engine, OnnxRuntimeEngine):
        with pytest.raises(UserError, match="altered or damaged since it was exported; export it again"):
            open_it(path)


def test_a_file_of_an_older_release_opens_with_one_note(
    tiny_onnx: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = without_digest(tiny_onnx, tmp_path / "older.onnx")
    for _ in range(3):
        engine, card = open_engine(path)
    assert card.to_json() == read_onnx_card(tiny_onnx).to_json()
    np.testing.assert_array_equal(engine.run(IMAGES)["logits"], OnnxRuntimeEngine(tiny_onnx).run(IMAGES)["logits"])
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "older.onnx carries no digest" in caplog.text


def test_a_graph_that_prepares_images_carries_one_too(tiny_model: Path) -> None:
    onnx = pytest.importorskip("onnx")
    from svertka.deploy.onnx import onnx_bytes, with_card
    from svertka.deploy.pixels import with_preparation
    from svertka.zoo.modelfile import load_model

    net, card = load_model(tiny_model)
    model = with_preparation(onnx.load_from_string(onnx_bytes(net, card)), card.input)
    found = onnx.load_from_string(with_card(model, card))
    assert {item.key for item in found.metadata_props} == {CARD_KEY, DIGEST_KEY}
