"""The table of machines: what each can do at best, and how fast networks ran on it; it grows by a line a machine."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.errors import UserError
from svertka.runtime.checked import DamagedError, read_checked, report_damaged, write_checked
from svertka.runtime.cores import available_cores
from svertka.runtime.files import cache_folder, make_folder

if TYPE_CHECKING:
    from svertka.deploy.peaks import Peaks

_FILE = "machines.json"
_VERSION = 1


@dataclass(frozen=True)
class MachineLine:
    """One machine.

    Attributes:
        name: Of its processor.
        cores: How many of them could be used.
        peaks: The best that was measured, on the most threads that were asked for; see `svertka.deploy.peaks.Peaks`.
        nets: By network, ``seconds`` for one image, ``images`` a second at most, and the ``engine`` of each.
    """

    name: str
    cores: int
    peaks: Mapping[str, float]
    nets: Mapping[str, Mapping[str, Any]]


def machines_file(save: Path | None) -> Path:
    """Where the table is: ``save``, or a file in the user's cache."""
    return cache_folder() / _FILE if save is None else save


def known_machines(file: Path) -> list[MachineLine]:
    """The machines of a table; none where there is no such file yet.

    Raises:
        UserError: It is something else.
    """
    if not file.exists():
        return []
    try:
        values = read_checked(file, required=False)
        if values["version"] != _VERSION:
            raise ValueError(f"version {values['version']!r}")
        return [MachineLine(**line) for line in values["machines"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        if isinstance(error, DamagedError) and file == machines_file(None):
            report_damaged(file, "the table of machines begins anew")
            return []
        raise UserError(f"no table of machines ({error!r})", where=file, mend="give another --save") from error


def this_machine(peaks: Peaks, nets: Mapping[str, Mapping[str, Any]]) -> MachineLine:
    """The line of the machine that this runs on."""
    return MachineLine(_processor(), available_cores(), peaks.to_json(), nets)


def with_machine(lines: Sequence[MachineLine], line: MachineLine) -> list[MachineLine]:
    """The table with a machine that may be in it already: what was measured anew takes the place of what was there."""
    same = [other for other in lines if (other.name, other.cores) == (line.name, line.cores)]
    nets = {name: figures for other in same for name, figures in other.nets.items()} | dict(line.nets)
    merged = MachineLine(line.name, line.cores, line.peaks, nets)
    places = [merged if other in same else other for other in lines]
    return places if same else [*lines, merged]


def save_machines(file: Path, lines: Sequence[MachineLine]) -> None:
    """Write the table.

    Raises:
        UserError: It cannot be written.
    """
    make_folder(file.parent)
    values = {"version": _VERSION, "machines": [asdict(line) for line in lines]}
    write_checked(file, values, indent=1)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), "") or platform.processor() or platform.machine()
