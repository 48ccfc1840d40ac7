"""Has anybody written? Asked many times a second, it costs next to nothing."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path


class ChangeCounter:
    """Sees every write to a database, of any process.

    Args:
        path: The database.
        plain_errors: Turns errors into ours.
    """

    def __init__(
        self, path: Path, plain_errors: Callable[[], AbstractContextManager[None]]
    ) -> None:
        self._path = path
        self._plain_errors = plain_errors
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def read(self) -> int:
        """Return a number that is another one after each write.

        It is what SQLite tells a connection about the others; this one never writes.
        """
        with self._lock, self._plain_errors():
            if self._connection is None:
                self._connection = sqlite3.connect(self._path, check_same_thread=False)
            return int(self._connection.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close its connection."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
            self._connection = None
