"""Every kind of finding is found where it was planted, and nothing is found in healthy data sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import planted
import pytest
from PIL import Image

from svertka.data.checks.checking import findings
from svertka.data.checks.suspicious import suspicious_labels
from svertka.data.splitting.likeness import alike, shrink

FAULTS = range(5)


@pytest.mark.parametrize("kind", planted.PLANTED)
def test_what_is_planted_is_found(kind: str, tmp_path: Path) -> None:
    for fault in FAULTS:
        seen = planted.PLANTED[kind](tmp_path / str(fault), fault)
        found = {finding.kind: finding for finding in planted.findings_of(kind, seen)}
        assert kind in found, (fault, list(found))
        assert found[kind].count >= 1
        assert found[kind].message
        assert found[kind].mend


@pytest.mark.parametrize("name", planted.HEALTHY)
def test_nothing_is_found_in_what_is_healthy(name: str, tmp_path: Path) -> None:
    for seed in FAULTS:
        found = planted.all_findings(planted.HEALTHY[name](tmp_path / str(seed), seed))
        assert [finding for finding in found if finding.kind != "groups"] == []  # these answer --group


@pytest.mark.parametrize("how", planted.COPIES)
def test_copies_are_found_and_others_are_not(how: str) -> None:
    originals = [planted.picture(3, number) for number in range(60)]
    copies = [planted.COPIES[how](image) for image in originals[:20]]
    images = [np.asarray(image.convert("RGB")) for image in [*originals, *copies]]
    pairs = alike(np.stack([shrink(image) for image in images]), np.array([min(image.shape[:2]) for image in images]))
    found = {(pair.first, pair.second) for pair in pairs}
    assert len(found & {(number, 60 + number) for number in range(20)}) >= 19
    assert found <= {(number, 60 + number) for number in range(20)}
    assert all(pair.mirrored == ("mirrored" in how) and pair.negative == (how == "negative") for pair in pairs)


def test_likeness_does_not_depend_on_the_order() -> None:
    images = [planted.picture(3, number) for number in range(40)]
    images += [planted.jpeg(image, 40) for image in images[:10]]
    small = np.stack([shrink(np.asarray(image)) for image in images])
    shorter = np.full(len(small), 96)
    order = np.random.default_rng(0).permutation(len(small))
    plain = {(pair.first, pair.second, pair.likeness) for pair in alike(small, shorter)}
    turned = {
        (*sorted((int(order[pair.first]), int(order[pair.second]))), pair.likeness)
        for pair in alike(small[order], shorter)
    }
    assert plain == turned
    assert len(plain) == 10


def test_a_group_of_one_colour_is_no_group_of_copies() -> None:
    small = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (0, 10, 200, 255)])
    assert alike(small, np.full(4, 200)) == []


def test_names_that_were_shuffled_are_no_leak(tmp_path: Path) -> None:
    planted.PLANTED["neighbours_by_name"](tmp_path / "taken", 1)
    files = planted.images(tmp_path / "taken")
    for seed in FAULTS:
        for number, place in enumerate(np.random.default_rng(seed).permutation(len(files)).tolist()):
            target = tmp_path / str(seed) / files[place].parent.name / f"IMG_{number}.jpg"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(files[place].read_bytes())
        kinds = {finding.kind for finding in findings(planted.of_folder(tmp_path / str(seed)))}
        assert "neighbours_by_name" not in kinds


def test_wrong_labels_are_ranked_by_their_odds(tmp_path: Path) -> None:
    seen = planted.of_folder(planted.folders(tmp_path, 0, per_class=4))
    labels = np.repeat(np.arange(3), 4)
    probabilities = np.full((12, 3), 0.05)
    probabilities[np.arange(12), labels] = 0.9
    probabilities[2] = (0.03, 0.92, 0.05)
    probabilities[9] = (0.95, 0.03, 0.02)
    probabilities[5] = (0.3, 0.4, 0.3)  # unsure, so it is not said to be wrong
    positions = np.arange(12)
    (finding,) = suspicious_labels(seen, positions, labels, probabilities, planted.NAMES, "chance")
    assert [name.split(":")[0] for name in finding.files] == [seen.samples[9].name, seen.samples[2].name]
    assert "looks like cat (95%)" in finding.files[0]
    probabilities[[2, 9]] = probabilities[[1, 8]]
    assert suspicious_labels(seen, positions, labels, probabilities, planted.NAMES, "chance") == []


def test_a_broken_image_is_no_reason_to_stop(tmp_path: Path) -> None:
    root = planted.folders(tmp_path, 0, per_class=4)
    Image.new("RGB", (1, 1)).save(root / "cat" / "one.png")
    (root / "cat" / "none.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    kinds = {finding.kind for finding in findings(planted.of_folder(root))}
    assert kinds & {"truncated_files", "unreadable_files"}
