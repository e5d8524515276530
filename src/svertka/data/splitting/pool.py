"""Dividing a data set: what is held out, which fold, or what a file says of each sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from svertka.annotations import names_in
from svertka.data.samples import Sample
from svertka.data.splitting.likeness import Looks
from svertka.data.splitting.split import divide_by_group, read_split, split_by_class, split_by_labels
from svertka.errors import UserError
from svertka.wording import counted, inflected


@dataclass
class Pool:
    """Positions by part, and what decides how they are divided.

    Attributes:
        positions: By part; dividing changes them.
        samples: That they stand for.
        looks: Which of these are copies of one another.
        groups: The group of each sample, where one was asked for.
        notes: Are told of what was chosen.
        noun: What a sample is, in a word.
    """

    positions: dict[str, list[int]]
    samples: Sequence[Sample]
    looks: Looks
    groups: list[str] | None
    notes: list[str]
    noun: str = "image"

    @property
    def _nouns(self) -> str:
        return inflected(2, self.noun)

    def divide(self, fraction: float, seed: int, *, fold: tuple[int, int] | None, split: Path | None) -> None:
        """As a file says, if one is given; else into folds, if one of them is; else a share is held out."""
        if split is not None:
            self.as_written(split)
        elif fold is not None:
            self.into_folds(*fold, seed)
        else:
            self.hold_out(fraction, seed)

    def hold_out(self, fraction: float, seed: int) -> None:
        """A share of the training part for validation, where there is none."""
        if "all" in self.positions:
            self.positions["train"] = self.positions.pop("all")
        if "val" in self.positions or "train" not in self.positions or not fraction:
            return
        pool = self.positions["train"]
        labels, keys = self._of(pool)
        if self.groups is not None:
            self._check_groups(pool, 2)
            part = divide_by_group(labels, keys, shares=(fraction, 1 - fraction), seed=seed)
            held, learn = (np.flatnonzero(part == number).tolist() for number in (0, 1))
        elif all(isinstance(self.samples[position].annotation, str) for position in pool):
            learn, held = split_by_class([label for (label,) in labels], keys, fraction=fraction, seed=seed)
        else:
            learn, held = split_by_labels(labels, keys, fraction=fraction, seed=seed)
            told = {name for index in held for name in labels[index]}
            rare = sorted({name for names in labels for name in names} - told)
            if rare:
                self.notes.append(f"too few different {self._nouns} to hold one out: {', '.join(rare)}")
        self.positions["train"] = [pool[index] for index in learn]
        if held:
            self.positions["val"] = [pool[index] for index in held]
        how = "class by class" if self.groups is None else "whole groups"
        self.notes.append(
            f"{fraction:.0%} of the training {self._nouns} are held out for validation, {how}, seed {seed}"
        )

    def into_folds(self, fold: int, folds: int, seed: int) -> None:
        """The fold is held out; of all other samples but those of the test part is learnt."""
        pool = sorted(position for part in ("all", "train", "val") for position in self.positions.pop(part, []))
        self._check_groups(pool, folds)
        labels, keys = self._of(pool)
        part = divide_by_group(labels, keys, shares=[1 / folds] * folds, seed=seed)
        self.positions["train"] = [pool[index] for index in np.flatnonzero(part != fold - 1).tolist()]
        self.positions["val"] = [pool[index] for index in np.flatnonzero(part == fold - 1).tolist()]
        self.notes.append(f"fold {fold} of {folds} is held out for validation, seed {seed}")

    def as_written(self, path: Path) -> None:
        """Every sample into the part that a file names; what it does not name is left out."""
        written = read_split(path)
        by_name = {line.file: line for line in written}
        by_content = {line.content: line.part for line in written if line.content}
        pool = sorted(position for chosen in self.positions.values() for position in chosen)
        divided: dict[str, list[int]] = {}
        for position in pool:
            content, line = self.looks.digests[position], by_name.get(self.samples[position].name)
            # A sample may have been renamed, and another taken its name.
            if line and line.content in ("", content):
                divided.setdefault(line.part, []).append(position)
            elif content in by_content:
                divided.setdefault(by_content[content], []).append(position)
        count = sum(map(len, divided.values()))
        if not count:
            raise UserError(
                f"names none of the {self._nouns}", where=path, mend="give the split.csv of a run on this data set"
            )
        self.notes.append(f"divided as {path} says")
        if count < len(pool):
            beyond = counted(len(pool) - count, *self._words("that it does not name"))
            self.notes.append(f"{beyond} left out")
        if count < len(written):
            self.notes.append(f"{counted(len(written) - count, *self._words('that it names'))} not here")
        self.positions = divided

    def _words(self, which: str) -> tuple[str, str]:
        return f"{self.noun} {which} is", f"{self._nouns} {which} are"

    def _of(self, pool: list[int]) -> tuple[list[tuple[str, ...]], list[str]]:
        keys = self.looks.keys(self.groups)
        return [names_in(self.samples[position].annotation) for position in pool], [keys[p] for p in pool]

    def _check_groups(self, pool: list[int], parts: int) -> None:
        keys = self.looks.keys(self.groups)
        count = len({keys[position] for position in pool})
        if count < parts:
            raise UserError(
                f"{counted(count, 'group')} cannot be divided into {counted(parts, 'part')}",
                mend="give a --group that tells more of them apart" if self.groups else "give fewer --folds",
            )
