"""Keeping models: opened while the server listens, and again when it is told to, or when a file has changed."""

from __future__ import annotations

import asyncio
from pathlib import Path

from svertka.serving.app import Application
from svertka.serving.threads import aside

_SECONDS = 1.0  # between two looks

_Sign = tuple[tuple[int, int, int] | None, ...]


class Keeper:
    """Opens the models of an application, the first time and again."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def load(self) -> None:
        """Open every model.

        Raises:
            UserError: One cannot be opened, or is not what its file says.
        """
        await aside(self._application.shelf.load)
        self._application.begin()

    async def reload_all(self) -> None:
        """Open every model again."""
        for model in self._application.shelf.models:
            await self._reload(model.name)

    async def watch(self) -> None:
        """Open a model again when one of its files is another than before, and is not being written any more."""
        shelf = self._application.shelf
        known = {model.name: _sign(model.opened.files) for model in shelf.models}
        seen = dict(known)
        while True:
            await asyncio.sleep(_SECONDS)
            for model in shelf.models:
                now = _sign(model.opened.files)
                if now not in (known[model.name], seen[model.name]):
                    seen[model.name] = now
                elif now != known[model.name]:
                    known[model.name] = now
                    await self._reload(model.name)

    async def _reload(self, name: str) -> None:
        application = self._application
        fresh = await aside(lambda: application.shelf.reload(name))
        application.metrics.reloads.labels(name, "replaced" if fresh else "refused").inc()
        application.count_models()


def _sign(files: tuple[Path, ...]) -> _Sign:
    # Which of them comes first can change with what they hold.
    return tuple(_of(file) for file in sorted(files))


def _of(file: Path) -> tuple[int, int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
