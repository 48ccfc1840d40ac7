"""What the store needs of a database: one SQLite file (`sqlite`), or a server (`postgres`)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any

BUSY_TIMEOUT_S = 30.0
"""How long a write waits for another process's write; a write of ours takes milliseconds."""


class Database(ABC):
    """A database, safe to use from any thread: each gets a connection of its own.

    Attributes:
        file: The SQLite file; nothing on a server.
    """

    file: Path | None

    @abstractmethod
    def transaction(
        self, *, synced: bool = True, alone: bool = True
    ) -> AbstractContextManager[None]:
        """Run a block as one transaction; may be nested.

        Args:
            synced: On disk at its end; else it may be lost with the power.
            alone: No other block that is alone runs meanwhile, of any process: what the block
                read stays true until its end. Without it only locked rows do (see `locking`).
        """

    @abstractmethod
    def locking(self, query: Any, *, skip: bool = False) -> Any:
        """Return a query that keeps its rows from being changed until the transaction ends.

        Args:
            query: Of a single table.
            skip: Pass over rows that another transaction keeps, instead of waiting for it.
        """

    @abstractmethod
    def run(self, query: Any) -> int:
        """Run a write; returns the new row's id for an insert, else the number of rows changed."""

    @abstractmethod
    def run_unsynced(self, query: Any) -> int:
        """Run a write that may be lost with the power, such as a progress figure; see `run`."""

    @abstractmethod
    def all(self, query: Any) -> list[Any]:
        """Return every row of a query."""

    def first(self, query: Any) -> Any:
        """Return the first row of a query, or nothing."""
        return next(iter(self.all(query.limit(1))), None)

    @abstractmethod
    def rows(self, sql: str, *values: object) -> list[Any]:
        """Return the rows of a question in SQL with `?` for values; it waits for no writer."""

    @abstractmethod
    def execute(self, sql: str, *values: object) -> list[Any]:
        """Run a statement in SQL that writes; returns its rows."""

    @abstractmethod
    def now(self) -> datetime:
        """Return the time by the one clock that everybody who uses this database goes by."""

    @abstractmethod
    def changes(self) -> int:
        """Return a number that is another one after each write, of any process."""

    @abstractmethod
    def version(self, *, newest: int) -> int:
        """Return the schema's version, 0 for a database that is new.

        Raises:
            StoreTooNew: It is above `newest`.
            StoreCorrupt: It is somebody else's.
        """

    @abstractmethod
    def set_version(self, version: int) -> None:
        """Keep the schema's version."""

    @abstractmethod
    def copy_aside(self, version: int) -> None:
        """Copy the database before its schema is changed, where that is ours to do."""

    @abstractmethod
    def touch(self, key: str, value: str, *, timeout_s: float) -> None:
        """Write a small value of `meta` through a connection of its own, which waits less long.

        Raises:
            StoreError: It cannot be written.
        """

    @abstractmethod
    def damage(self) -> list[str]:
        """Look for damage in the whole database; returns what was found."""

    @abstractmethod
    def size_bytes(self) -> int:
        """Return how much disk it takes."""

    @abstractmethod
    def close(self) -> None:
        """Close every thread's connection."""

    @abstractmethod
    def contains(self, text: str, part: str) -> str:
        """Return a condition in SQL: whether one text holds another."""

    @abstractmethod
    def json_number(self, column: str, name: str) -> str:
        """Return SQL for a number in the object that a column holds as JSON, or NULL."""

    @abstractmethod
    def json_pairs(self, column: str, name: str) -> str:
        """Return SQL for a table of `key` and `value`: an object in that a column holds."""


def told_too_new(version: int, newest: int) -> str:
    """Return in words why a database is refused."""
    return f"The database has version {version}, this program knows versions up to {newest}."
