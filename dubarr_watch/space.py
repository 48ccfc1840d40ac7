"""The queue pauses while a disk is full, and goes on by itself when there is space again."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from dubarr_watch.errors import DiskFull

log = structlog.get_logger(__name__)

ENOUGH_BYTES = 64 * 2**20
"""By how much free space must have grown before a job is tried again; less on a small disk."""

_ENOUGH_SHARE = 0.05

TRY_AGAIN_S = 600.0
"""A quota that is lifted shows in no figure: a job is tried again after this long all the same."""

_UNKNOWN = Path("/")


class SpaceGate:
    """Open while jobs may begin; closed by a full disk until something was freed there.

    Args:
        shared: A folder that every job writes to, such as that of the intermediate files.
        try_again_s: See `TRY_AGAIN_S`.
        clock: Monotonic, in seconds.
    """

    def __init__(
        self,
        *,
        shared: Path | None = None,
        try_again_s: float = TRY_AGAIN_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._shared = shared
        self._try_again_s = try_again_s
        self._clock = clock
        self._lock = threading.Lock()
        self._full: Path | None = None
        self._free_then = 0
        self._closed_at_s = 0.0
        self._told: int | None = None  # number of the device that was told of

    def close(self, error: DiskFull) -> bool:
        """Close it; returns whether this is news, and not the same lack of space again."""
        folder = _existing(error.path or _UNKNOWN)
        with self._lock:
            self._full, self._free_then = folder, _free_bytes(folder)
            self._closed_at_s = self._clock()
            device = _device(folder)
            news, self._told = self._told != device, device
        if news:
            log.warning(
                "queue paused", reason=error.message, path=folder,
                advice="Free some space there; the queue goes on by itself.",
            )  # fmt: skip
        return news

    def is_open(self) -> bool:
        """Tell whether jobs may begin; looks at the disk when it was closed."""
        with self._lock:
            if self._full is None:
                return True
            try:
                usage = shutil.disk_usage(self._full)
            except OSError:
                return False  # a mount that went away: nothing can be written there either
            enough = min(ENOUGH_BYTES, _ENOUGH_SHARE * usage.total)
            waited_s = self._clock() - self._closed_at_s
            if usage.free < self._free_then + enough and waited_s < self._try_again_s:
                return False
            self._full = None
        log.info("queue goes on")
        return True

    def had_room(self, library: Path) -> None:
        """A job ended for another reason: another lack of space where it wrote is news again.

        Args:
            library: Where its tracks went.
        """
        written = {_device(_existing(one)) for one in (library, self._shared) if one is not None}
        with self._lock:
            if self._told in written:
                self._told = None


def _existing(path: Path) -> Path:
    return next(one for one in (path, *path.parents) if os.path.exists(one))  # noqa: PTH110 - raises nothing


def _device(folder: Path) -> int:
    try:
        return folder.stat().st_dev
    except OSError:
        return 0


def _free_bytes(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0  # it went away: whatever is there when it is back was freed since
