"""Turns on the CPU: how many engines compute at a time, and who is next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from dubarr_watch.errors import JobCancelled
from dubarr_watch.gpu.entries import AGEING_S

POLL_S = 0.25
"""How often whoever waits looks whether the job was cancelled."""


class CpuSlots:
    """A number of turns, handed out by priority and age.

    Args:
        slots: How many there are.
    """

    def __init__(self, slots: int) -> None:
        self._free = slots
        self._waiting: list[tuple[float, int]] = []
        self._numbers = count()
        self._changed = threading.Condition()

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for a turn."""
        return bool(self._waiting)

    @contextmanager
    def turn(
        self, *, priority: int = 0, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        """Hold a turn for the length of a `with` block; see `acquire`."""
        self.acquire(priority=priority, cancelled=cancelled)
        try:
            yield
        finally:
            self.release()

    def acquire(self, *, priority: int = 0, cancelled: Callable[[], bool] = lambda: False) -> None:
        """Wait for a turn.

        Args:
            priority: Higher sooner; 5 minutes of waiting weigh as much as one step.
            cancelled: Asked every 0.25 s.

        Raises:
            JobCancelled: As `cancelled` says.
        """
        place = (time.monotonic() - priority * AGEING_S, next(self._numbers))
        with self._changed:
            self._waiting.append(place)
        try:
            while not self._take(place):
                if cancelled():
                    raise JobCancelled("The job was cancelled.")
        finally:
            with self._changed:
                self._waiting.remove(place)
                self._changed.notify_all()

    def release(self) -> None:
        """Give a turn back."""
        with self._changed:
            self._free += 1
            self._changed.notify_all()

    def _take(self, place: tuple[float, int]) -> bool:
        with self._changed:
            mine = self._changed.wait_for(
                lambda: self._free > 0 and min(self._waiting) == place, timeout=POLL_S
            )
            self._free -= mine
            return mine
