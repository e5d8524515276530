"""Whatever happens to the bytes of an image, the decoder returns pixels or raises ImageError, and nothing else."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from image_files import FILES, TEXTS, whole, with_checksums

from svertka.runtime.image import MAX_PIXELS, ImageError, decode

COUNT = 24  # examples for each of the files
positions = st.integers(0, 2**16)
edits = st.one_of(
    st.tuples(st.just("set"), positions, st.binary(min_size=1, max_size=8)),
    st.tuples(st.just("insert"), positions, st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("cut out"), positions, st.integers(1, 64)),
    st.tuples(st.just("double"), positions, st.integers(1, 64)),
    st.tuples(st.just("cut short"), positions, st.none()),
)


def edited(data: bytes, changes: list[tuple[str, int, bytes | int | None]]) -> bytes:
    """The data with all these changes made."""
    for what, position, value in changes:
        # Half of them hit the beginning, where the structure is.
        start = position // 2 % (len(data) + 1 if position % 2 else min(len(data), 64) + 1)
        before, after = data[:start], data[start:]
        match what, value:
            case "set", bytes(new):
                data = before + new + after[len(new) :]
            case "insert", bytes(new):
                data = before + new + after
            case "cut out", int(count):
                data = before + after[count:]
            case "double", int(count):
                data = before + after[:count] + after
            case _:
                data = before
    return data


def check(data: bytes) -> None:
    """Pixels, or an error of one line that names the place."""
    try:
        pixels = decode(data, where="mutant")
    except ImageError as error:
        line = str(error)
        assert line.startswith("mutant: ")
        assert "\n" not in line
    else:
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        assert 0 < pixels.size // 3 <= MAX_PIXELS
        assert pixels.flags.c_contiguous
        assert pixels.flags.writeable


@pytest.mark.parametrize("name", [*FILES, *TEXTS])
def test_the_unchanged_file_is_read(name: str) -> None:
    assert decode(whole(name)).ndim == 3


@pytest.mark.parametrize("name", [*FILES, *TEXTS])
@settings(max_examples=COUNT, derandomize=True, deadline=None, database=None)
@given(changes=st.lists(edits, min_size=1, max_size=5))
def test_mutants(name: str, changes: list[tuple[str, int, bytes | int | None]]) -> None:
    data = edited(whole(name), changes)
    for mutant in (data, with_checksums(data)) if name.startswith("PNG") else (data,):
        check(mutant)


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(data=st.binary(max_size=200))
def test_noise(data: bytes) -> None:
    check(data)


@pytest.mark.parametrize("name", [*FILES, *TEXTS])
def test_a_short_soak(name: str, soak_images: ModuleType) -> None:
    told = soak_images.soak({name: whole(name)}, 24, seed=1)
    assert told["slowest"] < soak_images.SECONDS
