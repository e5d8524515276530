"""The folder of a run: what lies in it, and going on with one."""

from __future__ import annotations

import csv
import dataclasses
import importlib.util
import io
import itertools
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from svertka.errors import UserError
from svertka.runtime.files import PARTIAL, make_folder, write_error, write_text
from svertka.training.recipe import Recipe
from svertka.workflows.models import MODEL_NAME, net_of
from svertka.workflows.trained import Trained
from svertka.zoo import registry

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared

_RECIPE, _BEGUN, _RESULT = "recipe.toml", "begun.json", "run.json"
SPLIT_NAME = "split.csv"
"""What the file is called that says which image was in which part."""
_FREE_TO_CHANGE = {"workers", "save_every"}
"""Recipe fields that change no bit of the result, so a resumed run may differ in them."""


@dataclass(frozen=True)
class Run:
    """A run's folder and its recipe.

    Attributes:
        folder: Where it lies.
        recipe: What was asked for.
        resumed: Whether it was begun before.
        finished: Whether its result is there.
        within: The run of all folds, of which this is one; it begins with its first.
    """

    folder: Path
    recipe: Recipe
    resumed: bool
    finished: bool
    within: Run | None = None
    typed: frozenset[str] = frozenset()
    """Fields of the recipe that the user gave now, be they equal to their defaults or not."""

    @classmethod
    def open(
        cls,
        data: Path,
        recipe: Recipe | str | PathLike[str] | None,
        changes: Mapping[str, Any],
        out: Path | None,
        resume: bool,
    ) -> Run:
        """The folder of a run of ``data``, begun now or gone on with.

        Raises:
            UserError: The folder or the recipe cannot be used.
        """
        if resume and out is None:
            raise UserError("which run is to be resumed?", mend="give its folder with --out")
        if resume and out is not None and (out / _RECIPE).is_file():
            saved = Recipe.from_toml(out / _RECIPE)
            asked = _recipe(recipe, {}) if recipe is not None else saved
            finished = (out / _RESULT).is_file()
            return cls(out, _reconciled(saved, asked.changed(changes), out), True, finished, typed=frozenset(changes))
        wanted = _with_net(_recipe(recipe, changes))
        if out is None:
            stem = f"{data.resolve().name.split('.')[0]}-{wanted.net}"
            names = itertools.chain([stem], (f"{stem}-{number}" for number in itertools.count(2)))
            out = next(Path("runs", name) for name in names if not Path("runs", name).exists())
        elif out.exists() and not (out.is_dir() and (_is_empty(out) or (resume and _is_barely_begun(out)))):
            if resume:
                raise UserError("there is something else than a run", where=out, mend="choose another --out")
            raise UserError(
                "the run's folder exists",
                where=out,
                mend="choose another --out, or go on with it by --resume",
            )
        return cls(out, wanted, False, False, typed=frozenset(changes))

    @property
    def begun(self) -> bool:
        """Whether it can be resumed."""
        return (self.folder / _RECIPE).is_file()

    def begin(self, recipe: Recipe, prepared: Prepared, weights: str = "") -> None:
        """Write down the recipe, with nothing left open, which sample is in which part, and what weights it is for.

        Args:
            recipe: Of the run.
            prepared: The samples.
            weights: Digest of the weights that it begins from, if any.

        Raises:
            UserError: A resumed run was begun with others; or the folder cannot be written.
        """
        known = {"images or labels": prepared.fingerprint, "weights": weights, "split": prepared.division}
        if self.resumed:
            begun = _begun(self.folder)
            for what, digest in known.items():
                if begun.get(what, "") != digest and (what != "split" or what in begun):
                    raise UserError(
                        f"the {what} have changed since the run was begun",
                        where=self.folder,
                        mend="put them back as they were, or begin a new run",
                    )
            self._tidy()
        else:
            if self.within is not None and not self.within.begun:
                self.within._write(self.within.recipe, dict.fromkeys(known, ""))
            self._write(recipe, known)
        if not (self.folder / SPLIT_NAME).exists():
            write_text(self.folder / SPLIT_NAME, prepared.split())

    def _write(self, recipe: Recipe, known: Mapping[str, str]) -> None:
        existed = self.folder.exists()
        make_folder(self.folder)
        try:
            write_text(self.folder / _BEGUN, json.dumps(known))
            write_text(self.folder / _RECIPE, recipe.to_toml())  # last: with it, the run can be resumed
        except UserError:
            (self.folder / _BEGUN).unlink(missing_ok=True)
            if not existed:
                self.folder.rmdir()
            raise
        self._tidy()

    def _tidy(self) -> None:
        for partial in self.folder.glob(PARTIAL):  # of a process that was killed while it wrote
            partial.unlink(missing_ok=True)

    def trained(
        self,
        metrics: Mapping[str, float],
        judged_on: str | None,
        seconds: Mapping[str, float],
        skipped: tuple[dict[str, str], ...],
        tried: tuple[dict[str, Any], ...] = (),
        findings: tuple[dict[str, Any], ...] = (),
        notes: tuple[str, ...] = (),
    ) -> Trained:
        """The result of this run."""
        model, report = self.folder / MODEL_NAME, self.folder / "report.html"
        return Trained(self.folder, model, report, metrics, judged_on, seconds, skipped, tried, findings, notes)

    def write_history(self, history: list[dict[str, float]]) -> None:
        """Write the line of every epoch as CSV, and for TensorBoard where it is installed; nothing without epochs."""
        if not history:
            return
        text = io.StringIO()
        columns = list(dict.fromkeys(name for row in history for name in row))
        table = csv.DictWriter(text, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(history)
        write_text(self.folder / "metrics.csv", text.getvalue())
        if importlib.util.find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            folder = self.folder / "tensorboard"
            shutil.rmtree(folder, ignore_errors=True)  # of a process that was killed here
            try:
                with SummaryWriter(str(folder)) as writer:
                    for row in history:
                        for name in columns:
                            if name != "epoch" and name in row:
                                writer.add_scalar(name, row[name], int(row["epoch"]))
            except OSError as error:
                raise write_error(folder, error) from error

    def finish(self, trained: Trained) -> None:
        """Write down the result; from here on the run is complete."""
        write_text(self.folder / _RESULT, json.dumps(trained.to_json(), indent=1))

    def forget_checkpoints(self) -> None:
        """Delete them, once the run is complete."""
        for path in self.folder.glob("checkpoint*.safetensors"):
            path.unlink(missing_ok=True)

    def result(self) -> Trained:
        """The result of a complete run."""
        values = json.loads((self.folder / _RESULT).read_text())
        return self.trained(
            values["metrics"],
            values["judged_on"],
            values["seconds_by_stage"],
            tuple(values["skipped"]),
            tuple(values.get("tried", ())),
            tuple(values.get("findings", ())),
            tuple(values.get("notes", ())),
        )


def _is_empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def _is_barely_begun(folder: Path) -> bool:
    # Killed before the recipe was written.
    return all(path.name == _BEGUN or path.match(PARTIAL) for path in folder.iterdir())


def _begun(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / _BEGUN).read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UserError("damaged, so the run cannot be resumed", where=folder / _BEGUN) from error


def _recipe(recipe: Recipe | str | PathLike[str] | None, changes: Mapping[str, Any]) -> Recipe:
    if recipe is None:
        return Recipe.of(changes, **_kind(changes))
    if not isinstance(recipe, Recipe):
        recipe = Recipe.from_toml(Path(recipe), net=_kind)
    return recipe.changed(changes)


def _kind(values: Mapping[str, Any]) -> dict[str, str]:
    # What `Recipe.of` goes by; a network that there is none of is refused later.
    name = values.get("net", "auto")
    if name == "auto" and values.get("weights"):
        name = net_of(Path(str(values["weights"])))
    if not isinstance(name, str) or not registry.has(name):
        return {}
    record = registry.record(name)
    return {"kind": record.kind, "media": record.media}


def _with_net(recipe: Recipe) -> Recipe:
    # The weights, where there are any, say which network it is.
    if recipe.weights is None:
        found = "lenet5" if recipe.net == "auto" else recipe.net
        registry.record(found)
        return recipe.changed({"net": found})
    found = net_of(Path(recipe.weights))
    if recipe.net != "auto" and registry.record(recipe.net).takes("trunk"):
        return recipe  # their trunk goes under it, or it is theirs
    if recipe.net not in ("auto", found):
        raise UserError(f"the weights are of {found}, not {recipe.net}", where=recipe.weights, mend="leave --net out")
    return recipe.changed({"net": found})


def _reconciled(saved: Recipe, asked: Recipe, folder: Path) -> Recipe:
    kept = {}
    for item in dataclasses.fields(Recipe):
        before, now = getattr(saved, item.name), getattr(asked, item.name)
        if before == now or (
            now == "auto" and item.name in ("precision", "layout", "engine", "net")
        ):  # decided when it was begun
            continue
        if item.name not in _FREE_TO_CHANGE:
            flag = item.name.replace("_", "-")
            raise UserError(
                f"the run was begun with --{flag} {before} and cannot be resumed with {now}",
                where=folder,
                mend=f"leave --{flag} out, or begin a new run",
            )
        kept[item.name] = now
    return saved.changed(kept)
