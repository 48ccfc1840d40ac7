"""Turns on the CPU: how many engines compute at a time, and who is next."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from dubarr_watch.errors import JobCancelled
from dubarr_watch.gpu.entries import AGEING_S

POLL_S = 0.25
"""How often whoever waits looks whether the job was cancelled."""


_Place = tuple[float, int]


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn, or a request for one.

    Attributes:
        stage: Which kind of engine it is for.
        job: Who it is for.
        since_s: When it was asked for, or given.
        computes: It was given.
    """

    stage: str
    job: int | None
    since_s: float
    computes: bool


class CpuSlots:
    """A number of turns, handed out by priority and age.

    Args:
        slots: How many there are.
        asked: Called when somebody asks for a turn.
    """

    def __init__(self, slots: int, asked: Callable[[], None] = lambda: None) -> None:
        self._free = slots
        self._asked = asked
        self._waiting: list[_Place] = []
        self._turns: dict[_Place, Turn] = {}
        self._numbers = count()
        self._changed = threading.Condition()

    @property
    def wanted(self) -> bool:
        """Whether anybody waits for a turn."""
        return bool(self._waiting)

    def turns(self) -> list[Turn]:
        """Return who computes and who waits."""
        with self._changed:
            return list(self._turns.values())

    @contextmanager
    def turn(
        self, *, priority: int = 0, cancelled: Callable[[], bool] = lambda: False
    ) -> Iterator[None]:
        """Hold a turn for the length of a `with` block; see `acquire`."""
        place = self.acquire(priority=priority, cancelled=cancelled)
        try:
            yield
        finally:
            self.release(place)

    def acquire(
        self,
        *,
        priority: int = 0,
        cancelled: Callable[[], bool] = lambda: False,
        stage: str = "",
        job: int | None = None,
    ) -> _Place:
        """Wait for a turn, and return what it is given back by.

        Args:
            priority: Higher sooner; 5 minutes of waiting weigh as much as one step.
            cancelled: Asked every 0.25 s.
            stage: What it is for, for onlookers.
            job: Who it is for.

        Raises:
            JobCancelled: As `cancelled` says.
        """
        place = (time.monotonic() - priority * AGEING_S, next(self._numbers))
        with self._changed:
            self._waiting.append(place)
            self._turns[place] = Turn(stage, job, time.monotonic(), computes=False)
        self._asked()
        taken = False
        try:
            while not self._take(place):
                if cancelled():
                    raise JobCancelled("The job was cancelled.")
            taken = True
        finally:
            with self._changed:
                self._waiting.remove(place)
                if taken:
                    self._turns[place] = Turn(stage, job, time.monotonic(), computes=True)
                else:
                    del self._turns[place]
                self._changed.notify_all()
        return place

    def release(self, place: _Place) -> None:
        """Give a turn back."""
        with self._changed:
            self._free += 1
            self._turns.pop(place, None)
            self._changed.notify_all()

    def _take(self, place: _Place) -> bool:
        with self._changed:
            mine = self._changed.wait_for(
                lambda: self._free > 0 and min(self._waiting) == place, timeout=POLL_S
            )
            self._free -= mine
            return mine
