"""Long work in short turns, so that nobody waits long for what is held during it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

TURN_S = 0.5
"""How long one turn lasts."""


def in_turns(items: Iterable[T], stopping: Callable[[], bool]) -> Iterator[Iterator[T]]:
    """Yield items in groups, each of which ends after half a second of work on it.

    Args:
        items: All of them; each is taken when it is its turn.
        stopping: Asked before each group: true ends it all.
    """
    rest = iter(items)
    for first in rest:
        if stopping():
            return
        yield _turn(first, rest)


def _turn(first: T, rest: Iterator[T]) -> Iterator[T]:
    until_s = time.monotonic() + TURN_S
    yield first
    while time.monotonic() < until_s:
        try:
            yield next(rest)
        except StopIteration:
            return
