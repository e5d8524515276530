"""Files of ``torch.save``, opened without running anything and without believing the sizes that they claim."""

from __future__ import annotations

import pickletools
import re
import warnings
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import torch

from svertka.errors import UserError

_ZIP = b"PK\x03\x04"
_MOST_OPERATIONS = 400_000
"""Of a pickle: each can make an object of some dozens of bytes. The largest networks here need 50,000."""

_LEGACY_PICKLES = 5
"""What stands before the numbers in a file that is no archive: a sign, a version, sizes of types, the object, names."""

_HARMLESS = re.compile(
    r"collections\.(OrderedDict|Counter)|_codecs\.encode|(builtins|__builtin__)\.(set|complex|bytearray)"
    r"|torch\.(\w+|_utils\.\w+|_tensor\.\w+|nn\.parameter\.\w+|serialization\.\w+)"
)
"""What the pickle of a checkpoint may name. Torch decides; this only tells which name is to blame."""

_HINT = "save the weights alone: torch.save(network.state_dict(), 'weights.pth')"


def load(path: Path) -> Any:
    """What was saved, with its tensors on the processor. Memory grows by the size of the file.

    Raises:
        UserError: It is missing, damaged, compressed, or holds something that could run.
    """
    named: list[str] = []
    try:
        with path.open("rb") as file:
            start = file.read(len(_ZIP))
            if start == _ZIP:
                named += _names(_pickles_in_archive(path, file))
            else:
                file.seek(0)
                named += _names([file] * _LEGACY_PICKLES)
            file.seek(0)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # on pickle protocols; what cannot be read is refused below
                return torch.load(file, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror or error})", where=path) from error
    except Exception as error:  # a damaged pickle raises anything; torch's own text advises to trust the file
        foreign = [name for name in named if not _HARMLESS.fullmatch(name)]
        why = f"it holds {_shown(foreign[0])}, which could run code" if foreign else "it is damaged or no such file"
        raise _refused(path, why) from error


def _refused(path: Path, why: str) -> UserError:
    return UserError(f"not a checkpoint of tensors alone: {why}", where=path, mend=_HINT)


def _pickles_in_archive(path: Path, file: IO[bytes]) -> list[IO[bytes]]:
    # Torch inflates whatever an entry claims; it writes all entries as they are.
    left = path.stat().st_size
    archive = zipfile.ZipFile(file)
    names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        raise _refused(path, "it is a TorchScript archive, which holds code")
    for entry in archive.infolist():
        left -= entry.file_size
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise _refused(path, f"the entry {_shown(entry.filename)} is compressed, which torch.save does not do")
        if left < 0:
            raise _refused(path, "its entries are larger than the file")
    return [archive.open(name) for name in names if name.endswith("/data.pkl")]


def _names(pickles: Iterable[IO[bytes]]) -> list[str]:
    """What the pickles would import, by name."""
    found, count = [], 0
    for stream in pickles:
        for operation, argument, _ in pickletools.genops(stream):
            count += 1
            if count > _MOST_OPERATIONS:
                raise ValueError("more objects than any network has")
            if operation.name == "GLOBAL":
                found.append(str(argument).replace(" ", "."))
    return found


def _shown(name: str) -> str:
    return ascii(name[:80]).strip("'\"")
