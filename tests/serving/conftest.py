"""A server that many tests ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest


@pytest.fixture(scope="session")
def colours() -> Iterator[Any]:
    """A server with a classifier of colours, and nothing else."""
    from sites import Engine, proven, site, source

    with site({"colours": source(proven(Engine()))}) as found:
        yield found
