"""How a file ends that went through the library's look at it and through a job."""

from __future__ import annotations

import contextlib
import gc
import os
import tempfile
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
        track: What it made, if anything.
    """

    look: str
    state: JobState
    reason: str
    seconds: float
    track: Path | None = None


def end_of(shop: Shop, path: Path) -> Ending:
    """Look at a file as the library does, run a job on it, and return how it ended."""
    begun = time.monotonic()
    look = ""
    try:
        examine(path, probe, patient=True)
    except DubarrError as error:
        look = str(error)
    ended = shop.dub(path)
    seconds = time.monotonic() - begun
    made = [track.path for track in shop.store.jobs.tracks(ended.job.id)]
    return Ending(look, ended.job.state, ended.job.reason, seconds, made[0] if made else None)


@dataclass(frozen=True, slots=True)
class Held:
    """What this process holds: nothing of it may grow with the files that it looks at."""

    files: tuple[str, ...]
    threads: int
    children: int
    temporary: tuple[str, ...]

    @staticmethod
    def now() -> Held:
        """Count, without what only waits for the garbage collector."""
        gc.collect()
        children = living_below(psutil.Process())
        left = sorted(os.listdir(tempfile.gettempdir()))
        return Held(_open_files(), threading.active_count(), len(children), tuple(left))


def _open_files() -> tuple[str, ...]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # the listing's own
            found.append(str(Path("/proc/self/fd", number).readlink()).split(":")[0])
    # Each thread that asks the store has a connection for as long as it lives.
    return tuple(sorted(name for name in found if "dubarr.db" not in name))
