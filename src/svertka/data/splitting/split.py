"""Dividing one set of images into a part to learn from and a part to be judged by."""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from svertka.annotations import natural
from svertka.data.files.documents import MAX_TABLE, check_file
from svertka.data.files.records import RecordError
from svertka.errors import UserError
from svertka.wording import counted

_PARTS = ("train", "val", "test")


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
            how = (
                "one image" if len(positions) == 1 else f"{counted(len(positions), 'image')} that do not differ enough"
            )
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


def divide_by_group(
    labels: Sequence[Sequence[str]], keys: Sequence[str], *, shares: Sequence[float], seed: int
) -> NDArray[np.int64]:
    """The number of the part for each position, so that no group is in two parts and labels are spread evenly.

    The largest groups go first, each to the part that lacks most of what it has. Equal ones go in an order that
    depends on the seed and their keys alone.

    After K. Sechidis et al., "On the Stratification of Multi-Label Data", 2011.

    Args:
        labels: Label names by position.
        keys: The group by position.
        shares: Of each part, in sum 1.
        seed: Another seed gives another division.

    Returns:
        ``(N,)``, numbers below the number of shares.
    """
    number = {name: place for place, name in enumerate(sorted({name for names in labels for name in names}))}
    members: dict[str, list[int]] = defaultdict(list)
    for position, key in enumerate(keys):
        members[key].append(position)
    # The last column counts the images themselves, so that those without a label are spread as well.
    has = {}
    for key, positions in members.items():
        counts = np.zeros(len(number) + 1)
        for position in positions:
            counts[[number[name] for name in set(labels[position])]] += 1
            counts[-1] += 1
        has[key] = counts
    total = np.sum(list(has.values()), axis=0)
    lacking = np.outer(shares, total)
    part = np.zeros(len(labels), np.int64)
    for key in sorted(members, key=lambda key: (-len(members[key]), _rank(seed, key))):
        counts = has[key]
        # What is rare weighs more; each part by how much of its own share is still to come.
        need = (lacking / np.asarray(shares)[:, None] / total) @ counts
        chosen = int(need.argmax())
        lacking[chosen] -= counts
        part[members[key]] = chosen
    return part


class Written(NamedTuple):
    """A line of a split: an image's name and part, and the digest of its content, empty where it is not known."""

    file: str
    part: str
    content: str


def write_split(lines: Iterable[Written]) -> str:
    """A split as CSV text, in natural order of names."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(Written._fields)
    ordered: list[Written] = sorted(lines, key=lambda line: (line.part, natural(line.file)))
    rows.writerows(ordered)
    return text.getvalue()


def read_split(path: Path) -> list[Written]:
    """A split as `write_split` wrote it, or with ``file`` and ``part`` alone.

    Raises:
        UserError: It cannot be read, or is no such file; or an image is in two parts.
    """
    found: dict[str, Written] = {}
    try:
        check_file(path, MAX_TABLE)
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if not {"file", "part"} <= set(rows.fieldnames or ()):
                raise UserError("not a split", where=path, mend="it needs the columns file and part")
            for row in rows:
                line = Written(row["file"] or "", (row["part"] or "").strip(), row.get("content") or "")
                where = f"{path}, line {rows.line_num}"
                if line.part not in _PARTS:
                    raise UserError(f"the part {line.part!r} is none of {', '.join(_PARTS)}", where=where)
                if (before := found.setdefault(line.file, line).part) != line.part:
                    raise UserError(f"{line.file} is in {before} and in {line.part}", where=where)
    except (RecordError, OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"not a readable split ({error})", where=path) from error
    return list(found.values())


def _rank(seed: int, digest: str) -> bytes:
    return hashlib.blake2b(f"{seed} {digest}".encode(), digest_size=8).digest()
