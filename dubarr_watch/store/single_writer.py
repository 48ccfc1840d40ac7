"""One writer at a time, also across processes, where SQLite needs it.

SQLite 3.7.0 to 3.51.2 can corrupt a database in write-ahead mode when one connection commits in the
moment in which another begins a checkpoint (https://sqlite.org/wal.html#walresetbug; mended in
3.51.3 and in 3.50.7 and 3.44.6). A checkpoint runs inside the commit that makes the log long
enough, or when a connection is closed: with one lock around each of these the two never meet.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_MENDED = ((3, 44, 6), (3, 50, 7))
_MENDED_FOR_GOOD = (3, 51, 3)


def needs_single_writer(version: tuple[int, int, int] = sqlite3.sqlite_version_info) -> bool:
    """Tell whether this version of SQLite has the fault."""
    if version >= _MENDED_FOR_GOOD:
        return False
    return not any(version[:2] == mended[:2] and version >= mended for mended in _MENDED)


class WriterLock:
    """Held around every write and every closing of connections; a thread may take it again.

    Args:
        path: File that all processes lock; made when it is first needed.
        needed: False where SQLite does not need it: then holding it does nothing.
        timeout_s: How long to wait for another process.

    Attributes:
        path: The file.
    """

    def __init__(self, path: Path, *, needed: bool, timeout_s: float) -> None:
        self.path = path
        self._needed = needed
        self._timeout_s = timeout_s
        self._threads = threading.RLock()
        self._depth = 0
        self._file = -1

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock for the length of a `with` block.

        Raises:
            OSError: The file cannot be made.
            sqlite3.OperationalError: Another process kept it for too long.
        """
        if not self._needed:
            yield
            return
        with self._threads:
            if self._depth == 0:
                self._file = os.open(self.path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._depth += 1
            try:
                if self._depth == 1:
                    self._wait_for_others()
                yield
            finally:
                self._depth -= 1
                if self._depth == 0:
                    os.close(self._file)

    def _wait_for_others(self) -> None:
        deadline = time.monotonic() + self._timeout_s
        pause_s = 0.001
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise sqlite3.OperationalError("database is locked") from None
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, 0.02)
            else:
                return
