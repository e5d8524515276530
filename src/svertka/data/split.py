"""Dividing one set of images into a part to learn from and a part to be judged by."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
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


def split_by_labels(
    labels: Sequence[Sequence[str]], digests: Sequence[str], *, fraction: float, seed: int
) -> tuple[list[int], list[int]]:
    """As `split_by_class`, where an image may have several labels or none.

    Labels are divided one after another, the rarest first, since what is decided for it decides for others too. None
    is lost from what is learnt from; of a label that only copies of one image have, nothing is held out.

    K. Sechidis et al., "On the Stratification of Multi-Label Data", 2011.

    Args:
        labels: Label names by position. Images without any are divided as if that were a label.
        digests: Digest of the content by position.
        fraction: Share of each label to hold out.
        seed: Another seed gives another division.
    """
    copies: dict[bytes, list[int]] = defaultdict(list)
    for position, digest in enumerate(digests):
        copies[_rank(seed, digest)].append(position)
    groups = {
        rank: {name for position in positions for name in labels[position] or ("",)}
        for rank, positions in sorted(copies.items())
    }
    having: dict[str, list[bytes]] = defaultdict(list)
    for rank, names in groups.items():
        for name in sorted(names):
            having[name].append(rank)
    held: set[bytes] = set()
    decided: set[bytes] = set()
    left = Counter({name: len(ranks) for name, ranks in having.items()})

    def hold_out(ranks: list[bytes], wanted: int) -> None:
        for rank in ranks:
            if wanted <= 0:
                break
            if rank not in held and all(left[name] > 1 for name in groups[rank]):
                held.add(rank)
                left.subtract(groups[rank])
                wanted -= 1

    for _, ranks in sorted(having.items(), key=lambda entry: (len(entry[1]), entry[0])):
        wanted = max(1, round(fraction * len(ranks)))
        hold_out([rank for rank in ranks if rank not in decided], wanted - len(held.intersection(ranks)))
        if not held.intersection(ranks):
            hold_out(ranks, 1)
        decided.update(ranks)
    learn = [position for rank, positions in copies.items() if rank not in held for position in positions]
    return sorted(learn), sorted(position for rank in held for position in copies[rank])


def _rank(seed: int, digest: str) -> bytes:
    return hashlib.blake2b(f"{seed} {digest}".encode(), digest_size=8).digest()
