"""What a device's memory does while something runs on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dubarr_watch.gpu.devices import memory

POLL_S = 0.05


@dataclass
class MemoryWatch:
    """Memory of one device around a run.

    Attributes:
        before_mib: In use before it.
        peak_mib: Most that was in use beyond that.
        left_mib: In use after it beyond that: what somebody has left behind.
    """

    before_mib: int = 0
    peak_mib: int = 0
    left_mib: int = 0


@contextmanager
def watched(uuid: str) -> Iterator[MemoryWatch]:
    """Watch a device's memory for the length of a `with` block, 20 times a second."""
    seen = MemoryWatch(before_mib=memory(uuid).used_mib)
    done = threading.Event()

    def look() -> None:
        while not done.wait(POLL_S):
            seen.peak_mib = max(seen.peak_mib, memory(uuid).used_mib - seen.before_mib)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()
        seen.left_mib = max(0, memory(uuid).used_mib - seen.before_mib)


def seconds_until_free(uuid: str, used_mib: int, longest_s: float = 30.0) -> float:
    """Return how long it takes until no more than so much memory of a device is in use."""
    started = time.monotonic()
    while memory(uuid).used_mib > used_mib and time.monotonic() - started < longest_s:
        time.sleep(POLL_S)
    return time.monotonic() - started
