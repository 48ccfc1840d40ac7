"""What some work took."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spent:
    """What some work took, in seconds: by the clock, and of all processors together."""

    wall_s: float
    cpu_s: float

    def over(self, before: Spent, after: Spent) -> Spent:
        """Return how many times the mean of two others this is."""
        return Spent(
            2 * self.wall_s / (before.wall_s + after.wall_s),
            2 * self.cpu_s / (before.cpu_s + after.cpu_s),
        )


def spent(work: Callable[[], object]) -> Spent:
    """Return what some work takes, its children's included."""
    started, processors = time.monotonic(), _processors_s()
    work()
    return Spent(time.monotonic() - started, _processors_s() - processors)


def _processors_s() -> float:
    """Return the processor time of this process and of all children that have ended."""
    return sum(os.times()[:4])
