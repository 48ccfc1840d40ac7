"""How many requests a service gets at a time: no more than it allows, as it turns out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dubarr_watch.engines.context import POLL_S
from dubarr_watch.engines.llm.refusals import NotNow


class TooManyAtOnce(NotNow):
    """The account allows fewer requests at a time."""


class Lanes:
    """Lets a number of requests through at a time: fewer after a refusal, then more again.

    Args:
        most: Requests at a time while nothing is refused.
    """

    WIDEN_AFTER_S = 60.0
    """Without such a refusal for so long, one more is tried."""

    def __init__(self, most: int) -> None:
        self._most = self._now = most
        self._used = 0
        self._changed = threading.Condition()
        self._narrowed_at = 0.0

    @contextmanager
    def one(self, stop_if_cancelled: Callable[[], None]) -> Iterator[None]:
        """Be one of them for the length of a `with` block; `TooManyAtOnce` in it narrows.

        Args:
            stop_if_cancelled: Called several times a second while there is no room; may raise.
        """
        with self._changed:
            while self._used >= self._width():
                self._changed.wait(POLL_S)
                stop_if_cancelled()
            self._used += 1
        try:
            yield
        except TooManyAtOnce:
            with self._changed:  # before anybody else takes this lane
                self._now = max(1, self._now - 1)
                self._narrowed_at = time.monotonic()
            raise
        finally:
            with self._changed:
                self._used -= 1
                self._changed.notify_all()

    def _width(self) -> int:
        if self._now < self._most and time.monotonic() - self._narrowed_at > self.WIDEN_AFTER_S:
            self._now += 1
            self._narrowed_at = time.monotonic()
        return self._now
