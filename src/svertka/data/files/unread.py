"""What annotation files state and a reader does not take: counted by name, so that nothing vanishes unseen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from svertka.data.files.records import shown
from svertka.data.samples import Unread

_MOST = 500  # different names; a hostile file may have a million
_OTHERS = "other names"
_NAMED = 6  # in a note
_NESTED = 64  # names within one value


@dataclass(frozen=True)
class Fields:
    """The fields that a kind of record may have.

    Attributes:
        of: What the record is, for the note.
        read: Names that the reader takes, or that say nothing of the image: ids, dates, colours of the program.
        minor: Names that training could not use.
        default: Values, by name, with which a field states nothing.
    """

    of: str
    read: Collection[str]
    minor: Collection[str] = ()
    default: Mapping[str, tuple[object, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", frozenset(self.read))  # asked for every field of every record

    def states_nothing(self, name: str, value: object) -> bool:
        """Whether a field with this value is as good as absent."""
        if value is None or value is False:
            return True
        if isinstance(value, str):
            return not value.strip() or value in self.default.get(name, ())
        if isinstance(value, list | dict):
            return not value
        return value in self.default.get(name, ())


@dataclass
class _Count:
    count: int
    first: str
    minor: bool


class UnreadCounter:
    """Counts by name what is not taken."""

    def __init__(self) -> None:
        self._found: dict[str, _Count] = {}

    def add(self, what: str, where: str | Callable[[], str], *, minor: bool = False, count: int = 1) -> None:
        """Count one statement, or several.

        Args:
            what: Its kind and name.
            where: The record, or what makes its name; asked for the first one alone.
            minor: See `svertka.data.samples.Unread`.
            count: How many there are.
        """
        if what not in self._found and len(self._found) >= _MOST:
            what, minor = _OTHERS, False
        known = self._found.get(what)
        if known is None:
            self._found[what] = _Count(count, where if isinstance(where, str) else where(), minor)
        else:
            known.count += count

    def fields(self, record: Mapping[str, object], known: Fields, where: str | Callable[[], str]) -> None:
        """Count the fields of a record that are not read and state something; those of an object in it one by one."""
        for name, value in record.items():
            if isinstance(value, dict) and name not in known.read and len(value) <= _NESTED:
                for inner, own in value.items():
                    if not known.states_nothing(inner, own):
                        minor = bool({name, inner} & set(known.minor))
                        self.add(f"{shown(f'{name}.{inner}')} of {known.of}", where, minor=minor)
            elif name not in known.read and not known.states_nothing(name, value):
                self.add(f"{shown(str(name))} of {known.of}", where, minor=name in known.minor)

    def found(self) -> tuple[Unread, ...]:
        """All that was counted, in the order in which it was met."""
        return tuple(Unread(what, held.count, held.first, held.minor) for what, held in self._found.items())


def unread_note(unread: tuple[Unread, ...]) -> list[str]:
    """A line that names what was not read, the most important first; none where all was."""
    if not unread:
        return []
    ordered = sorted(unread, key=lambda item: item.minor)
    named = ", ".join(f"{item.what} ({item.count:,})" for item in ordered[:_NAMED])
    more = f", and {len(ordered) - _NAMED:,} more" if len(ordered) > _NAMED else ""
    return [f"in the annotations and not read: {named}{more}"]
