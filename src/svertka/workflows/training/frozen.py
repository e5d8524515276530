"""What the frozen stages of a network make of the images at hand: run once, by the fastest engine, and remembered."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from svertka.data.batching.batches import Inputs
from svertka.data.batching.handling import Kept, remembered_inputs
from svertka.data.batching.laid import Pieces
from svertka.data.cache.memory import Pictures, Remembered, Store, memory_bytes, remember, room_bytes, seconds_a_byte
from svertka.deploy.bulk import Bulk, BulkName, fastest
from svertka.layers.frozen import FrozenStages
from svertka.runtime.files import cache_folder
from svertka.wording import counted
from svertka.workflows.training.engine import engine_of

if TYPE_CHECKING:
    from svertka.data.preparing import Prepared
    from svertka.runtime.preprocess import Preprocess
    from svertka.training.machine import Machine
    from svertka.training.recipe import Recipe
    from svertka.workflows.training.stages import Context
    from svertka.zoo.transfer import Start

_EXAMPLES = 16  # images that engines are timed with
_WORTH_SAYING = 10_000_000  # bytes that are to be written


@dataclass(frozen=True)
class Kind:
    """What is remembered of a stage.

    Attributes:
        stage: Its name.
        maps: All of its output; else the means over all positions.
    """

    stage: str
    maps: bool = False


class FrozenMemory:
    """The stores of one network and one way to prepare images.

    Args:
        start: The network; its weights must not have changed in the stages that are asked for.
        recipe: Names the network, the views, and the engine, or leaves it open.
        machine: Processes.
        prepared: The images.
        transform: What makes inputs of them.
        context: Is told how it goes, and where to remember.
        reads: The stages that engines are timed with, if the engine is left open.
    """

    def __init__(
        self,
        start: Start,
        recipe: Recipe,
        machine: Machine,
        prepared: Prepared,
        transform: Preprocess,
        context: Context,
        reads: Sequence[str],
    ) -> None:
        self.start, self.trunk, self.recipe, self.machine = start, start.net.trunk, recipe, machine
        self.prepared, self.transform, self.context, self._timed = prepared, transform, context, reads
        self.digests = self.trunk.digests()
        self.shapes = self.trunk.shapes(transform.height, transform.width)
        self._engines: dict[tuple[Kind, ...], Bulk] = {}
        self._stores: dict[tuple[str, Kind], Store] = {}

    @cached_property
    def engine(self) -> BulkName:
        """The engine of the recipe, or the fastest here to compute the means of these stages."""
        kinds = [*map(Kind, self._timed)]
        runs = [self.transform.to_json()]
        return engine_of(self.recipe, self.machine, runs, lambda: self._start_engine(kinds, None))

    @cached_property
    def _looked_at(self) -> Pictures:
        # What is taken whole differs in size, and is run in pieces that do not.
        images = self.prepared.images
        return images if images.shapes is None else Pieces(images, self.transform)

    def _positions(self, part: str) -> NDArray[np.int64]:
        positions, looked_at = self.prepared.parts[part].positions, self._looked_at
        return looked_at.of(positions) if isinstance(looked_at, Pieces) else positions

    def counts(self) -> dict[str, int]:
        """How many images, or pieces of images, there are to be run, by part."""
        return {part: len(self._positions(part)) for part in self.prepared.parts}

    def bytes_to_write(self, kinds: Sequence[Kind]) -> int:
        """How much would be written to the stores for these."""
        return sum(
            len(self._absent(view, kinds)) * sum(self._store(view, kind).bytes_a_row for kind in kinds)
            for view in self.recipe.views
        )

    def lacking(self, kinds: Sequence[Kind], writing: int) -> str:
        """Why so much cannot be written for these; empty where it can."""
        room = room_bytes(self.context.memory)
        if not any(kind.maps for kind in kinds) or writing <= room:
            return ""
        return f"what they give takes {writing / 1e9:,.1f} GB, of which {room / 1e9:,.1f} GB may be kept"

    @cached_property
    def seconds_a_byte(self) -> float:
        """How long it takes to write a byte to the stores."""
        return seconds_a_byte(self.context.memory)

    def remember(self, kinds: Sequence[Kind], look: Callable[[int, int], None] | None = None) -> None:
        """See that what is to be remembered of stages is in the stores.

        Args:
            kinds: What of which.
            look: Is told how many images of how many are done; what it raises ends it.
        """
        if not kinds:
            return
        display, memory = self.context.display, self.context.memory
        last = max((kind.stage for kind in kinds), key=self.trunk.depth)
        what = ("piece of an image", "pieces of images") if isinstance(self._looked_at, Pieces) else ("image",)
        writing = self.bytes_to_write(kinds)
        if writing >= _WORTH_SAYING:
            place = memory or cache_folder() / "memory"
            display.say(f"frozen stages up to {last}: {writing / 1e6:,.0f} MB will be written to {place}")
        absent = [len(self._absent(view, kinds)) for view in self.recipe.views]

        for number, view in enumerate(self.recipe.views):
            before = sum(absent[:number])

            def advance(done: int, total: int, before: int = before) -> None:
                display.remembering(done, total)
                if look:
                    look(before + done, sum(absent))

            positions = self._seen(view)
            with self.context.clock.stage("running frozen stages"), self.machine.first_goes_first():
                count = remember(
                    self._looked_at,
                    positions,
                    view,
                    [self._store(view, kind) for kind in kinds],
                    lambda: self._engine(kinds),
                    advance=advance,
                )
            how = f" by {self.engine}" if count else ""
            kept = "" if memory else f"; {memory_bytes() / 1e6:,.0f} MB are kept in all"
            display.say(
                f"frozen stages up to {last} ({view}): {count:,} of {counted(len(positions), *what)} run{how}, "
                f"the others remembered{kept}"
            )

    def _seen(self, view: str) -> NDArray[np.int64]:
        # What is judged is judged by the first view alone.
        parts = list(self.prepared.parts) if view == self.recipe.views[0] else ["train"]
        return np.concatenate([self._positions(part) for part in parts])

    def _absent(self, view: str, kinds: Sequence[Kind]) -> set[str]:
        stores = [self._store(view, kind) for kind in kinds]
        digests = {self._looked_at.digests[position] for position in self._seen(view).tolist()}
        return {digest for digest in digests if any(digest not in store for store in stores)}

    def inputs(self, kinds: Sequence[Kind]) -> dict[str, Inputs]:
        """What is remembered, by part; training sees every view, the others the first."""
        digests, views = self._looked_at.digests, self.recipe.views
        found: dict[str, Inputs] = {}
        size = self.transform.height, self.transform.width
        for part in self.prepared.parts:
            seen, chosen = views if part == "train" else views[:1], self._positions(part)
            remembered = Remembered(
                [[self._store(view, kind) for kind in kinds] for view in seen],
                [digests[position] for position in chosen],
                seed=self.recipe.seed,
            )
            cut = (self._looked_at, chosen) if isinstance(self._looked_at, Pieces) else None
            found[part] = remembered_inputs(self.prepared, part, Kept(remembered, seen, size, cut))
        return found

    def seconds_an_image(self, taps: Sequence[str]) -> float:
        """How long the stages up to these take for one image."""
        engine, batch = self._engine([*map(Kind, taps)]), self._examples()
        started = time.perf_counter()
        outputs = list(engine.stream([batch[: engine.batch], batch[-engine.batch :]]))
        return (time.perf_counter() - started) / (len(outputs) * engine.batch)

    def _store(self, view: str, kind: Kind) -> Store:
        if (view, kind) not in self._stores:
            heads = ("classes", "head", "dropout")
            arguments = {name: value for name, value in self.start.arguments.items() if name not in heads}
            shape = self.shapes[kind.stage] if kind.maps else self.shapes[kind.stage][:1]
            what = [1, self.recipe.net, arguments, self.digests[kind.stage], kind.stage, shape]
            text = json.dumps([what, self.transform.to_json(), view, self.engine], sort_keys=True)
            self._stores[view, kind] = Store(hashlib.sha256(text.encode()).hexdigest()[:32], shape, self.context.memory)
        return self._stores[view, kind]

    def _engine(self, kinds: Sequence[Kind]) -> Bulk:
        running = self._engines.get(tuple(kinds))
        return running or self._start_engine(kinds, self.engine)

    def _start_engine(self, kinds: Sequence[Kind], wanted: BulkName | None) -> Bulk:
        means = [kind.stage for kind in kinds if not kind.maps]
        stages = FrozenStages(self.trunk, means, [kind.stage for kind in kinds if kind.maps]).eval()
        engine = self._engines[tuple(kinds)] = fastest(stages, self._examples(), wanted=wanted)
        return engine

    def _examples(self) -> NDArray[np.float32]:
        return self.transform.normalise(self._looked_at.take(np.resize(self._positions("train"), _EXAMPLES)))
