"""One SQLite file: connections, transactions, and its errors in plain words."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import peewee

from dubarr_watch.errors import (
    DiskFull,
    JobCancelled,
    NotInStore,
    NotWritable,
    StoreCorrupt,
    StoreError,
    StoreTooNew,
)
from dubarr_watch.storage import lack_of_space
from dubarr_watch.store.changes import ChangeCounter
from dubarr_watch.store.connections import ConnectionOfEachThread
from dubarr_watch.store.database import BUSY_TIMEOUT_S, Database, told_too_new
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.single_writer import WriterLock, needs_single_writer

HALF = ".part"
"""Ending of a copy that is being made."""

_PAGES_AT_ONCE = 1000


class SqliteFile(Database):
    """The database file.

    Args:
        path: The file; created, with its folder, when it is not there.

    Raises:
        StoreCorrupt: It is no database.
        NotWritable: It or its folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.file = self.path = path
        self._changes = ChangeCounter(path, lambda: plain_errors(path))
        self._writing = WriterLock(
            path.with_name(path.name + ".writing"),
            needed=needs_single_writer(),
            timeout_s=BUSY_TIMEOUT_S,
        )
        with plain_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with plain_errors(path), self._writing.held():
            self._file = Sqlite(path)
            try:
                # Refused without an error where it cannot work (some network mounts): SQLite
                # then keeps a rollback journal, slower and just as safe.
                self._file.pragma("journal_mode", "wal")
            except BaseException:
                self._file.close_all()
                raise
            self._identity = identity(path)

    def close(self) -> None:
        """Close every thread's connection."""
        self._changes.close()
        with plain_errors(self.path), self._writing.held():  # the last one folds the log in
            self._file.close_all()

    @contextmanager
    def transaction(self, *, synced: bool = True, alone: bool = True) -> Iterator[None]:
        """See `Database`; the write lock is taken at its start, so each is alone."""
        # Only SQLite's own steps are translated: what the block raises is the block's.
        block = self._file.atomic()
        with ExitStack() as stack:
            with plain_errors(self.path):
                self._assert_still_there()
                stack.enter_context(self._writing.held())
                if not synced:
                    stack.enter_context(self._unsynced())
                block.__enter__()
            try:
                yield
            except BaseException:
                with plain_errors(self.path):
                    block.__exit__(*sys.exc_info())
                raise
            with plain_errors(self.path):
                block.__exit__(None, None, None)

    def run(self, query: Any) -> int:
        """See `Database`."""
        with plain_errors(self.path), self._writing.held():
            self._assert_still_there()
            return int(query.execute(self._file) or 0)

    def run_unsynced(self, query: Any) -> int:
        """See `Database`."""
        with plain_errors(self.path), self._writing.held():
            self._assert_still_there()
            with self._unsynced():
                return int(query.execute(self._file) or 0)

    @contextmanager
    def _unsynced(self) -> Iterator[None]:
        if self._file.in_transaction():  # the pragma would change nothing here
            yield
            return
        self._file.pragma("synchronous", "NORMAL")
        try:
            yield
        finally:
            self._file.pragma("synchronous", "FULL")

    def locking(self, query: Any, *, skip: bool = False) -> Any:
        """See `Database`; the write lock keeps all rows."""
        return query

    def now(self) -> datetime:
        """See `Database`: all of them run on this machine."""
        return utc_now()

    def changes(self) -> int:
        """See `Database`."""
        return self._changes.read()

    def all(self, query: Any) -> list[Any]:
        """See `Database`."""
        with plain_errors(self.path):
            return list(query.execute(self._file))

    def rows(self, sql: str, *values: object) -> list[Any]:
        """See `Database`."""
        with plain_errors(self.path):
            return self._file.rows(sql, values)

    def execute(self, sql: str, *values: object) -> list[Any]:
        """See `Database`."""
        with plain_errors(self.path), self._writing.held():
            return self._file.rows(sql, values)

    def version(self, *, newest: int) -> int:
        """See `Database`."""
        # In this order: it may be made between the two, tables and version at once.
        holds_tables = bool(self.rows("SELECT 1 FROM sqlite_master LIMIT 1"))
        version = int(self.rows("PRAGMA user_version")[0][0])
        if version > newest:
            raise StoreTooNew(
                told_too_new(version, newest),
                hint="Run the newer dubarr-watch again, or restore the copy that it made beside "
                "the database before it changed it (its name ends in .bak).", path=self.path,
            )  # fmt: skip
        if version == 0 and holds_tables:
            raise StoreCorrupt(
                "The file is a database, but not one of dubarr-watch.",
                hint="Move it away; a new one is made at the next start.", path=self.path,
            )  # fmt: skip
        return version

    def set_version(self, version: int) -> None:
        """See `Database`."""
        self.execute(f"PRAGMA user_version = {version}")

    def copy_aside(self, version: int) -> None:
        """Copy it to `<name>.v<version>.bak`."""
        self.copy_to(self.path.with_name(f"{self.path.name}.v{version}.bak"))

    def size_bytes(self) -> int:
        """See `Database`."""
        return self.path.stat().st_size

    def contains(self, text: str, part: str) -> str:
        """See `Database`."""
        return f"instr({text}, {part}) > 0"

    def json_number(self, column: str, name: str) -> str:
        """See `Database`."""
        return f"json_extract({column}, '$.{name}')"

    def json_pairs(self, column: str, name: str) -> str:
        """See `Database`."""
        return f"json_each({column}, '$.{name}')"

    def copy_to(self, target: Path, should_stop: Callable[[], bool] = lambda: False) -> Path:
        """Copy the database, as it is at this moment, to a file; returns its path.

        Raises:
            JobCancelled: `should_stop`, which is asked often, said so; there is no copy.
        """
        half = target.with_name(target.name + HALF)
        with plain_errors(target), self._writing.held():
            try:
                half.unlink(missing_ok=True)
                with closing(sqlite3.connect(half)) as copy:
                    self._file.copy_to(copy, should_stop)
                with half.open("rb+") as written:
                    os.fsync(written.fileno())
                half.replace(target)
            finally:
                half.unlink(missing_ok=True)
        return target

    def touch(self, key: str, value: str, *, timeout_s: float) -> None:
        """See `Database`."""
        writing = WriterLock(self._writing.path, needed=needs_single_writer(), timeout_s=timeout_s)
        with plain_errors(self.path), writing.held():
            self._assert_still_there()
            with closing(sqlite3.connect(self.path, timeout_s, isolation_level=None)) as own:
                own.execute("PRAGMA synchronous = NORMAL")
                own.execute("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))

    def damage(self) -> list[str]:
        """See `Database`."""
        found = [str(row[0]) for row in self.rows("PRAGMA quick_check")]
        return [] if found == ["ok"] else found

    def _assert_still_there(self) -> None:
        # SQLite goes on writing into a file that was deleted, and nobody would ever read it.
        if identity(self.path) != self._identity:
            raise StoreCorrupt(
                "The database was deleted or replaced while it was in use.",
                hint="Restart dubarr-watch.",
                path=self.path,
            )


@contextmanager
def opening_lock(path: Path) -> Iterator[None]:
    """Hold the lock under which a database is created and migrated, one process at a time."""
    with plain_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


class Sqlite(ConnectionOfEachThread, peewee.SqliteDatabase):
    """peewee's SQLite with a connection for each thread."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            os.fspath(path),
            pragmas={"synchronous": "FULL", "foreign_keys": 1},
            # The write lock is taken at the start of a transaction: a read lock that becomes one
            # midway fails without waiting when another process wrote in between.
            lock_type="IMMEDIATE",
            timeout=BUSY_TIMEOUT_S,
            check_same_thread=False,  # so that close_all may close what other threads opened
        )

    def rows(self, sql: str, values: tuple[object, ...]) -> list[Any]:
        """Return the rows of a question in SQL."""
        return list(self.execute_sql(sql, values).fetchall())  # type: ignore[no-untyped-call]

    def copy_to(self, copy: sqlite3.Connection, should_stop: Callable[[], bool]) -> None:
        """Copy it through another connection; see `SqliteFile.copy_to`."""
        own: sqlite3.Connection = self.connection()  # type: ignore[no-untyped-call]

        def on_pages(status: int, remaining: int, total: int) -> None:
            if should_stop():
                raise JobCancelled("Stopped.")

        own.execute("BEGIN")
        try:
            own.execute("SELECT 1 FROM sqlite_master").fetchone()  # this moment for all pages
            own.backup(copy, pages=_PAGES_AT_ONCE, progress=on_pages)
        finally:
            own.execute("ROLLBACK")


@contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn what SQLite and the file system say into errors that a user can act on."""
    try:
        yield
    except (peewee.PeeweeException, sqlite3.Error, OSError) as error:
        raise _plain_error(error, path) from error


def _plain_error(error: Exception, path: Path) -> StoreError | NotWritable | DiskFull:
    # A full disk ends a transaction by itself; taking it back once more is the second error.
    while "no transaction is active" in str(error) and isinstance(error.__context__, Exception):
        error = error.__context__
    if isinstance(error, StoreError | NotWritable | DiskFull):
        return error
    said = str(error).lower()
    if "not a database" in said or "malformed" in said or "encrypted" in said:
        return StoreCorrupt(
            "The database is damaged.",
            hint="Put a copy back: dubarr-watch restore. Without one, move it away and restart: "
            "videos and finished tracks are not touched, only the history is lost.",
            path=path,
        )
    out_of_quota = "disk i/o error" in said and lack_of_space(error, path.parent)
    if "disk is full" in said or "no space left" in said or out_of_quota:
        return DiskFull("The disk that holds the database is full.", hint="Free some.", path=path)
    if isinstance(error, OSError) or "readonly" in said or "unable to open" in said:
        return NotWritable(
            "The database cannot be opened for writing.",
            hint="CONFIG_DIR must be a folder that dubarr-watch may write to.",
            path=path,
        )
    if "foreign key" in said:
        return NotInStore("What this belongs to is not known, or was forgotten meanwhile.")
    if "locked" in said or "busy" in said:
        return StoreError(
            f"The database was kept locked by another process for {BUSY_TIMEOUT_S:.0f} seconds.",
            hint="End whatever else has it open.",
            path=path,
        )
    return StoreError(f"The database failed: {error}.", path=path)


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of its name; nothing when it is not there."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
