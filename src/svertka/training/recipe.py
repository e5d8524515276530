"""The recipe: every choice of a training run. It is saved with the run, and can be given back."""

from __future__ import annotations

import dataclasses
import inspect
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svertka.errors import UserError, nearest
from svertka.signatures import checked_class
from svertka.task_records.record import named, of_contract
from svertka.training.sections import (
    SECTIONS,
    AugmentationSection,
    DataSection,
    MaskSection,
    ModelSection,
    OptimiserSection,
    RunSection,
)


@checked_class
@dataclass(frozen=True, kw_only=True)
class Recipe(RunSection, MaskSection, AugmentationSection, OptimiserSection, ModelSection, DataSection):
    """Every field is a flag of ``svertka train`` and a key of the recipe's TOML, in the table of its section."""

    def to_toml(self) -> str:
        """As TOML text, a table a section; fields that are not given are left out."""
        import tomli_w

        tables: dict[str, dict[str, Any]] = {}
        for name, section in SECTIONS.items():
            values = {item.name: getattr(self, item.name) for item in dataclasses.fields(section)}
            tables[name] = {key: value for key, value in values.items() if value is not None}
        return tomli_w.dumps(tables)

    @classmethod
    def of(cls, values: Mapping[str, Any], *, kind: str = "classifier", media: str = "image") -> Recipe:
        """The recipe with these values, and the defaults for all else: with weights, those of fine-tuning.

        Args:
            values: Of some fields.
            kind: What kind of network it is; see `svertka.zoo.records.NetRecord`.
            media: What it takes; only images are augmented.

        Raises:
            UserError: A field is unknown or its value impossible.
        """
        task = values.get("task", "auto")
        learnt = next(iter(of_contract(kind, media)), None) if task == "auto" else named(task)
        own: Mapping[str, Any] = {}
        if learnt is not None:
            own = learnt.fine_tuning if values.get("weights") else learnt.from_scratch
        return cls().changed({} if media == "image" else {"augment": ()}).changed(own).changed(values)

    @classmethod
    def from_toml(cls, path: Path, *, net: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda _: {}) -> Recipe:
        """Read a recipe.

        Args:
            path: The file.
            net: Gives ``kind`` and ``media`` of the network of these values; see `of`.

        Raises:
            UserError: It is no TOML, has an unknown field, or an impossible value.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot be read ({error})", where=path) from error
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"not a recipe: {error}", where=path) from error
        try:
            fields = _flat(values)
            return cls.of(fields, **net(fields))
        except UserError as error:
            raise UserError(error.what, where=path, mend=error.mend) from error

    def changed(self, values: Mapping[str, Any]) -> Recipe:
        """A copy with some fields changed.

        Raises:
            UserError: A field is unknown or its value impossible.
        """
        known = [item.name for item in dataclasses.fields(self)]
        for name in values:
            if name not in known:
                raise UserError(f"a recipe has no field {name!r}", mend=nearest(name, known))
        return dataclasses.replace(self, **values)


def _flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a recipe's TOML: in tables, or, as version 1 wrote them, beside one another."""
    places = {item.name: name for name, section in SECTIONS.items() for item in dataclasses.fields(section)}
    found: dict[str, Any] = {}
    for key, value in tables.items():
        several = isinstance(value, list) and any(isinstance(item, Mapping) for item in value)
        if several or (isinstance(value, Mapping) and key not in SECTIONS and key != "net_options"):
            sign, tables_here = f"[[{key}]]" if several else f"[{key}]", ", ".join(f"[{name}]" for name in SECTIONS)
            raise UserError(f"a recipe has no table {sign}", mend=f"its tables are {tables_here}")
        inside = value if key in SECTIONS and isinstance(value, Mapping) else {key: value}
        for name in inside:
            if inside is value and places.get(name, key) != key:
                raise UserError(f"{name} stands in the table [{key}]", mend=f"put it into [{places[name]}]")
            if name in found:
                raise UserError(f"{name} stands there twice", mend=f"leave it in [{places.get(name, key)}] alone")
        found.update(inside)
    return found


def _documented(sections: Mapping[str, type]) -> str:
    """The documentation of all fields, as one list; a caller sees one class."""
    listed = [inspect.getdoc(section) or "" for section in sections.values()]
    return "".join(f"{text.partition('Attributes:')[2].strip(chr(10))}\n" for text in listed)


Recipe.__doc__ = f"{inspect.getdoc(Recipe)}\n\nAttributes:\n{_documented(SECTIONS)}"
