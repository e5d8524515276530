"""Regions that are proposed of images are searched for once, and remembered by the image's content."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from svertka.data.cache.images import Images
from svertka.data.cache.loaded import Advance
from svertka.data.cache.memory import Store
from svertka.runtime.proposals import SELECTIVE_SEARCH

_SECONDS = 10.0  # after which what was found is written


def proposed(
    images: Images, positions: Sequence[int], *, advance: Advance | None = None
) -> dict[int, NDArray[np.float32]]:
    """The regions ``(R, 4)`` of each of these images, by position; of none where ``images.preprocess`` asks for none.

    They are those of `svertka.runtime.preprocess.Preprocess.beside`.

    Args:
        images: As the network takes them.
        positions: Which of them.
        advance: Told how it goes.
    """
    preprocess = images.preprocess
    if not preprocess.regions or not positions:
        return {}
    geometry = {name: value for name, value in preprocess.to_json().items() if name not in ("mean", "std", "order")}
    what = json.dumps([SELECTIVE_SEARCH, geometry], sort_keys=True)
    store = Store(hashlib.sha256(what.encode()).hexdigest()[:32], (preprocess.regions, 4))
    unique = {images.digests[position]: position for position in positions}
    store.check(unique)
    absent = [(digest, position) for digest, position in unique.items() if digest not in store]
    pending: list[NDArray[np.float32]] = []
    kept, written = 0, time.monotonic()
    for done, (_, position) in enumerate(absent, 1):
        pending += preprocess.beside(images.take(np.array([position])))
        if done == len(absent) or time.monotonic() - written > _SECONDS:
            # Of sides that are powers of two, shares are exact in half precision.
            store.add([digest for digest, _ in absent[kept:done]], np.concatenate(pending).astype(np.float16))
            pending, kept, written = [], done, time.monotonic()
        if advance:
            advance(done, len(absent))
    rows = store.take(store.places([images.digests[position] for position in positions])).astype(np.float32)
    return dict(zip(positions, rows, strict=True))
