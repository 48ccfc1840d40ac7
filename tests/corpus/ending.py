"""How a file ends that went through the library's look at it and through a job."""

from __future__ import annotations

import gc
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from dubarr_watch.errors import DubarrError
from dubarr_watch.library.readiness import examine
from dubarr_watch.media import probe
from dubarr_watch.store.records import JobState
from tests.composing import Shop, living_below

UNEXPECTED = "Something unexpected"
"""How the reason begins when nobody foresaw what happened."""


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of a file.

    Attributes:
        look: What the library says of it before any job; empty when it would be queued.
        state: How its job ended, which is run all the same.
        reason: The job's.
        seconds: For both.
    """

    look: str
    state: JobState
    reason: str
    seconds: float


def end_of(shop: Shop, path: Path) -> Ending:
    """Look at a file as the library does, run a job on it, and return how it ended."""
    begun = time.monotonic()
    look = ""
    try:
        examine(path, probe, patient=True)
    except DubarrError as error:
        look = str(error)
    ended = shop.dub(path)
    return Ending(look, ended.job.state, ended.job.reason, time.monotonic() - begun)


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds: nothing of it may grow with the files that it looks at."""

    files: int
    threads: int
    children: int

    @staticmethod
    def now() -> Held:
        """Count, without what only waits for the garbage collector."""
        gc.collect()
        children = living_below(psutil.Process())
        return Held(len(os.listdir("/proc/self/fd")), threading.active_count(), len(children))
