"""Dividing one set of images into a part to learn from and a part to be judged by."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from svertka.errors import UserError


def split_by_class(
    labels: Sequence[str], digests: Sequence[str], *, fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """Positions to learn from and positions held out, class by class.

    Where an image goes depends on the seed and its content alone: neither its name nor what else is in the folder
    moves it far, and two copies of one image always stay together.

    Args:
        labels: Class name by position.
        digests: Digest of the content by position.
        fraction: Share of each class to hold out; at least one image is held out and at least one is left.
        seed: Another seed gives another division.

    Raises:
        UserError: A class has too few different images to be divided.
    """
    classes: dict[str, list[int]] = defaultdict(list)
    for position, label in enumerate(labels):
        classes[label].append(position)
    learn: list[int] = []
    held: list[int] = []
    for label, positions in classes.items():
        rank = {position: _rank(seed, digests[position]) for position in positions}
        positions.sort(key=lambda position: rank[position])
        # Where one can cut without parting copies.
        cuts = [cut for cut in range(1, len(positions)) if rank[positions[cut - 1]] != rank[positions[cut]]]
        if not cuts:
            how = "one image" if len(positions) == 1 else f"{len(positions)} images that do not differ enough"
            raise UserError(
                f"class {label!r} has {how}, and some must be held out",
                mend="add images to it, remove it, or give train/ and val/ folders",
            )
        wanted = round(fraction * len(positions))
        count = next((cut for cut in cuts if cut >= wanted), cuts[-1])
        held += positions[:count]
        learn += positions[count:]
    return sorted(learn), sorted(held)


def _rank(seed: int, digest: str) -> bytes:
    return hashlib.blake2b(f"{seed} {digest}".encode(), digest_size=8).digest()
