"""Failures to log in: slowed down by address, in bounded memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

FREE_FAILURES = 3
"""So many mistakes cost nothing: a typing error, or an old password in a browser."""

LONGEST_WAIT_S = 8.0
FORGOTTEN_AFTER_S = 900.0
MOST_ADDRESSES = 4096
MOST_WAITING = 4
"""Wrong answers of one address that are held back at a time; the next one is not even looked at."""


@dataclass(slots=True)
class _Record:
    failures: int = 0
    last_s: float = 0.0
    waiting: int = 0


class Throttle:
    """Counts failures; whoever goes on failing waits longer and longer for each answer.

    Only the answer to a wrong password waits: somebody with the right one, behind the same router
    or proxy as one with a wrong one, is let in at once, unless several guesses are under way.
    Used from one thread.

    Args:
        clock: Seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def is_busy(self, address: str) -> bool:
        """Tell whether so many wrong answers are held back that none more is looked at."""
        record = self._records.get(address)
        return record is not None and record.waiting >= MOST_WAITING

    def failed(self, address: str) -> float:
        """Count a failure; returns the seconds that its answer is to wait."""
        now_s = self._clock()
        record = self._records.setdefault(address, _Record())
        if now_s - record.last_s > FORGOTTEN_AFTER_S:
            record.failures = 0
        record.failures += 1
        record.last_s = now_s
        self._records.move_to_end(address)
        while len(self._records) > MOST_ADDRESSES:
            self._records.popitem(last=False)
        beyond = record.failures - FREE_FAILURES
        return min(0.25 * 2.0 ** min(beyond, 10), LONGEST_WAIT_S) if beyond > 0 else 0.0

    def began_to_wait(self, address: str) -> None:
        """Keep that an answer is held back."""
        self._records.setdefault(address, _Record()).waiting += 1

    def waited(self, address: str) -> None:
        """Keep that an answer went out."""
        record = self._records.get(address)
        if record is not None and record.waiting:
            record.waiting -= 1

    def __len__(self) -> int:
        return len(self._records)
