"""A connection for each thread, all of which can be closed at once."""

from __future__ import annotations

import threading
from typing import Any

import peewee


class ConnectionOfEachThread(peewee.Database):
    """Keeps the connections of a peewee database; goes before it among the bases."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._open: list[tuple[threading.Thread, Any]] = []
        self._open_lock = threading.Lock()
        super().__init__(*arguments, **options)

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc]  # not in stubs
        with self._open_lock:
            # A thread that ended cannot close its own.
            for thread, left in self._open:
                if not thread.is_alive():
                    left.close()
            self._open = [kept for kept in self._open if kept[0].is_alive()]
            self._open.append((threading.current_thread(), connection))
        return connection

    def close_all(self) -> None:
        """Close every thread's connection; the database cannot be used afterwards."""
        with self._open_lock:
            for _, connection in self._open:
                connection.close()
            self._open = []
        self.dispose()
