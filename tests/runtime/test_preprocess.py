"""From a decoded image to a network's input: golden arrays by hand, torchvision as the reference, refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from svertka.errors import UserError
from svertka.runtime.preprocess import Preprocess

RED, GREEN, BLUE, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]


def pixels(*rows: list[list[int]]) -> NDArray[np.uint8]:
    return np.array(rows, np.uint8)


def noise(height: int, width: int) -> NDArray[np.uint8]:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


def test_normalising_by_hand() -> None:
    preprocess = Preprocess(height=1, width=2, mean=(0.5, 0.0, 0.2), std=(0.25, 1.0, 0.1))
    result = preprocess([pixels([[255, 255, 51], [0, 51, 255]])])
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    np.testing.assert_allclose(result, [[[[2, -2]], [[1, 0.2]], [[0, 8]]]], atol=1e-6)


def test_bgr_turns_the_channels_round_and_mean_and_std_are_those_of_the_result() -> None:
    preprocess = Preprocess(height=1, width=1, mean=(0, 0, 1), std=(1, 1, 0.5), order="bgr")
    np.testing.assert_allclose(preprocess([pixels([[255, 51, 0]])]).ravel(), [0, 0.2, 0], atol=1e-6)


def test_grey_is_the_luma_of_itu_601() -> None:
    preprocess = Preprocess(height=1, width=4, channels=1, mean=(0,), std=(1,))
    placed = preprocess.place(pixels([RED, GREEN, BLUE, WHITE]))
    assert placed.shape == (1, 4, 1)
    assert placed.ravel().tolist() == [76, 150, 29, 255]  # 0.299, 0.587, 0.114


def test_stretch_changes_the_proportions() -> None:
    preprocess = Preprocess(height=2, width=4, interpolation="nearest")
    placed = preprocess.place(pixels([RED, BLUE], [GREEN, WHITE], [GREEN, WHITE], [GREEN, WHITE]))
    assert placed.tolist() == [[GREEN, GREEN, WHITE, WHITE]] * 2


def test_crop_takes_the_middle() -> None:
    preprocess = Preprocess(height=1, width=2, fit="crop", shorter=2)
    assert preprocess.place(pixels(*[[RED, GREEN, BLUE, WHITE]] * 2)).tolist() == [[GREEN, BLUE]]


@pytest.mark.parametrize(
    ("image", "wanted"),
    [
        (pixels([RED, BLUE]), [[WHITE] * 4, [RED, RED, BLUE, BLUE], [RED, RED, BLUE, BLUE], [WHITE] * 4]),
        (pixels([RED], [BLUE]), [[WHITE, RED, RED, WHITE]] * 2 + [[WHITE, BLUE, BLUE, WHITE]] * 2),
        (pixels([RED], *[[BLUE]] * 3), [[WHITE, RED, WHITE, WHITE]] + [[WHITE, BLUE, WHITE, WHITE]] * 3),
    ],
    ids=["wide", "tall", "the odd column goes right"],
)
def test_pad_fills_with_white(image: NDArray[np.uint8], wanted: list[Any]) -> None:
    preprocess = Preprocess(height=4, width=4, fit="pad", interpolation="nearest")
    assert preprocess.place(image).tolist() == wanted


def test_pad_keeps_the_thinnest_image_visible() -> None:
    placed = Preprocess(height=8, width=8, fit="pad").place(np.zeros((1, 400, 3), np.uint8))
    assert (placed == 0).all(axis=(1, 2)).sum() == 1


def test_an_image_of_the_right_size_passes_unchanged() -> None:
    image = noise(13, 17)
    for fit, shorter in (("stretch", None), ("pad", None), ("crop", 17)):
        given = image if fit != "crop" else noise(17, 17)
        preprocess = Preprocess(height=given.shape[0], width=given.shape[1], fit=fit, shorter=shorter)
        assert np.array_equal(preprocess.place(given), given)


SIZES = [(7, 7), (33, 50), (50, 33), (257, 255), (31, 224), (180, 5), (99, 44), (56, 57), (58, 56)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
def test_crop_gives_what_torchvision_gives(size: tuple[int, int], interpolation: str) -> None:
    from torchvision.transforms import v2

    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    reference = v2.Compose(
        [
            v2.Resize(56, interpolation=v2.InterpolationMode(interpolation)),
            v2.CenterCrop((47, 50)),
            v2.PILToTensor(),
            v2.ToDtype(_float32(), scale=True),
            v2.Normalize(mean, std),
        ]
    )
    image = noise(*size)
    ours = Preprocess(height=47, width=50, fit="crop", shorter=56, interpolation=interpolation, mean=mean, std=std)(
        [image]
    )
    np.testing.assert_allclose(ours[0], reference(Image.fromarray(image)).numpy(), rtol=0, atol=1e-6)


def test_crop_scales_to_the_very_size_that_torchvision_scales_to() -> None:
    from torchvision.transforms.v2.functional import resize

    # 224 / 5 * 180 is just below 8064 in double precision.
    image = noise(180, 5)
    reference = np.asarray(resize(Image.fromarray(image), [224]))
    assert reference.shape[:2] == (8064, 224)
    ours = Preprocess(height=224, width=224, fit="crop", shorter=224).place(image)
    assert np.array_equal(ours, reference[3920:4144])


def test_stretch_gives_what_torchvision_gives() -> None:
    from torchvision.transforms.v2.functional import resize

    image = noise(61, 83)
    ours = Preprocess(height=32, width=48).place(image)
    assert np.array_equal(ours, np.asarray(resize(Image.fromarray(image), [32, 48])))


def test_a_thin_image_takes_no_more_memory_than_others() -> None:
    pytest.importorskip("resource")
    program = """
import resource
import numpy as np
from svertka.runtime.preprocess import Preprocess
image = np.zeros((1, 300_000, 3), np.uint8)
image[:, 149_900:150_100] = 255
resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
placed = Preprocess(height=224, width=224, fit="crop", shorter=256).place(image)
assert placed.shape == (224, 224, 3) and (placed == 255).all()
"""
    subprocess.run(
        [sys.executable, "-c", program], check=True, timeout=60, env=os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    )


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"height": 0}, "size 0×8"),
        ({"width": 65536}, "16,384"),
        ({"height": 8.5}, "whole"),
        ({"height": 4097, "width": 4096}, "16,777,216 pixels"),
        ({"height": True}, "whole"),
        ({"channels": True, "mean": (0,), "std": (1,)}, "True channels"),
        ({"margin": True, "fit": "whole"}, "margin"),
        ({"regions": 10**9}, "1000000000 regions"),
        ({"regions": True}, "True regions"),
        ({"fit": "crop", "shorter": 33}, "too long to cut"),
        ({"channels": 4}, "4 channels"),
        ({"channels": 1}, "mean and std need 1"),
        ({"mean": (0.5,)}, "mean and std need 3"),
        ({"mean": (0, 0, float("nan"))}, "finite"),
        ({"std": (1, 1, 0)}, "above zero"),
        ({"std": (1, 1, -1)}, "above zero"),
        ({"std": (1, 1, float("inf"))}, "finite"),
        ({"fit": "squash"}, "unknown fit 'squash'"),
        ({"interpolation": "cubic"}, "interpolation 'cubic'"),
        ({"order": "gbr"}, "channel order 'gbr'"),
        ({"order": "bgr", "channels": 1, "mean": (0,), "std": (1,)}, "does not suit 1"),
        ({"fit": "crop"}, "'shorter' belongs"),
        ({"shorter": 9}, "'shorter' belongs"),
        ({"fit": "crop", "shorter": 7}, "cannot cut 8×8"),
        ({"fit": "crop", "shorter": 8.5}, "whole"),
        ({"fit": "crop", "shorter": 10**6}, "16,384"),
    ],
)
def test_what_makes_no_sense_is_refused(values: dict[str, Any], problem: str) -> None:
    with pytest.raises(UserError, match=problem):
        Preprocess(**{"height": 8, "width": 8, **values})


def test_json_there_and_back() -> None:
    preprocess = Preprocess(height=8, width=9, fit="crop", shorter=12, interpolation="bicubic", order="bgr")
    assert Preprocess.from_json(preprocess.to_json()) == preprocess


@pytest.mark.parametrize(
    "change",
    [
        {"height": "8"},
        {"mean": None},
        {"mean": "abc"},
        {"std": [10**400] * 3},
        {"interpolation": []},
        {"fit": {}},
        {"channels": None},
        {"alien": 1},
    ],
)
def test_alien_json_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        Preprocess.from_json(Preprocess(height=8, width=8).to_json() | change)


def _float32() -> Any:
    import torch

    return torch.float32
