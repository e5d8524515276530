"""What was measured once on this machine is remembered, so that a command given twice computes the same twice."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from svertka.errors import UserError
from svertka.runtime.checked import DamagedError, read_checked, report_damaged, write_checked
from svertka.runtime.files import cache_folder, make_folder, remove_stale

_FILE = "speed.json"

T = TypeVar("T")


def remembered_choice(circumstances: Any, choices: Sequence[T], choose: Callable[[], T]) -> T:
    """One of ``choices``: the one chosen before under the same circumstances, or what ``choose`` chooses now.

    Args:
        circumstances: All that the choice depends on, as JSON.
        choices: What there is to choose from, each as JSON would give it back; a tuple is the same as a list.
        choose: Measures, and gives one of them.
    """
    key = json.dumps([circumstances, choices])
    before = _read()
    for choice in choices:
        if key in before and json.loads(json.dumps(choice)) == before[key]:
            return choice
    chosen = choose()
    with suppress(UserError):  # a cache folder that cannot be written costs the measurement next time, no more
        remove_stale(make_folder(cache_folder()))
        write_checked(cache_folder() / _FILE, {**before, key: chosen})
    return chosen


def _read() -> dict[str, Any]:
    path = cache_folder() / _FILE
    try:
        return read_checked(path)
    except OSError:
        return {}
    except DamagedError:
        report_damaged(path, "what is fastest on this machine is measured again")
        return {}
