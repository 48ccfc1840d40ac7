"""Waiting for what is to come true: on conditions, and patient with a slow machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

DEADLINE_S = 60.0
_MOST_S = 0.1
_LOOK_S = 0.01


def eventually(condition: Callable[[], Any], what: str = "", deadline_s: float = DEADLINE_S) -> Any:
    """Return what a condition returns once it is true; fail when it never is.

    A machine that stands still (a virtual one, moved or copied) or is busy with something else
    makes nothing come true either: of the time between two looks at most a tenth of a second
    counts. So a deadline that is a promise can be short: what keeps it does so on any machine, and
    what sleeps past it is noticed.
    """
    waited_s, looked_s = 0.0, time.monotonic()
    while waited_s < deadline_s:
        found = condition()
        if found:
            return found
        time.sleep(_LOOK_S)
        before_s, looked_s = looked_s, time.monotonic()
        waited_s += min(_MOST_S, looked_s - before_s)
    pytest.fail(f"never came true: {what or condition}")
