"""OpenVINO as a process has it: imported without reports of its use, and one core for all that is compiled."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
from collections.abc import Iterator
from typing import Any

from svertka.errors import UserError

_REPORTER = "openvino_telemetry"
_ABSENT = object()
_LOCK = threading.Lock()
"""A server opens models in threads: none may make a second core, or let in what another still keeps out."""


def openvino_core() -> Any:
    """The one ``openvino.Core`` of this process.

    Raises:
        UserError: OpenVINO is not installed.
    """
    if not openvino_is_installed():
        raise UserError("OpenVINO is not installed", mend="pip install openvino")
    with _LOCK:
        return _core()


@functools.cache
def _core() -> Any:
    # Each core gives the thread it is made in a stack for signals, and unmaps it at its own end. Of two that end in
    # the order in which they began, the second puts the first's stack back, which is no more: the next signal, say
    # Ctrl-C, would be a segmentation fault. So there is one, and it stays.
    import openvino

    return openvino.Core()


def openvino_is_installed() -> bool:
    """Whether OpenVINO can be imported."""
    try:
        with without_reports():
            import openvino  # noqa: F401
    except ImportError:
        return False
    return True


def openvino_has_bf16() -> bool:
    """Whether OpenVINO, which must be installed, calculates in bf16 on this processor."""
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@contextlib.contextmanager
def without_reports() -> Iterator[None]:
    """Within, OpenVINO and NNCF are imported without the package that tells their makers of it over the network.

    Both do without it where it cannot be imported.
    """
    with _LOCK:
        before: Any = sys.modules.get(_REPORTER, _ABSENT)  # None where the program itself keeps it out
        sys.modules[_REPORTER] = None  # type: ignore[assignment]
        try:
            yield
        finally:
            if before is _ABSENT:
                del sys.modules[_REPORTER]
            else:
                sys.modules[_REPORTER] = before
