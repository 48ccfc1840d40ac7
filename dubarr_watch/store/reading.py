"""Looking at the database without changing anything: for `status` and other onlookers.

An onlooker takes no write lock, makes no file that was not there, migrates nothing, and works
where it may only read.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import peewee
from pydantic import SecretStr

from dubarr_watch.errors import StoreError
from dubarr_watch.store.changes import ChangeCounter
from dubarr_watch.store.database import BUSY_TIMEOUT_S
from dubarr_watch.store.migrations import MIGRATIONS
from dubarr_watch.store.opening import server
from dubarr_watch.store.single_writer import WriterLock
from dubarr_watch.store.sqlite import Sqlite, SqliteFile, identity, plain_errors
from dubarr_watch.store.store import Store


def open_for_reading(where: Path | SecretStr) -> Store | None:
    """Open a database to look at it; nothing when there is none yet.

    Every method of the returned store that writes raises NotWritable.

    Args:
        where: See `Store.open`.

    Raises:
        StoreUnreachable: The server does not answer.
        StoreCorrupt: It is damaged or no database of ours.
        StoreTooNew: A newer program wrote it.
        StoreError: An older program wrote it, and it was not brought up to date yet.
    """
    if isinstance(where, Path) and not where.exists():
        return None
    database = _ReadOnly(where) if isinstance(where, Path) else server(where, reading=True)
    try:
        newest = len(MIGRATIONS)
        version = database.version(newest=newest)
        if version == 0:  # made a moment ago by a program that has not filled it yet
            database.close()
            return None
        if version < newest:
            raise StoreError(
                f"The database is of version {version}; this program needs version {newest}.",
                hint="Start the daemon once: it brings the database up to date.",
                path=database.file,
            )
    except BaseException:
        database.close()
        raise
    return Store(database)


class _ReadOnly(SqliteFile):
    def __init__(self, path: Path) -> None:
        self.file = self.path = path
        self._changes = ChangeCounter(path, lambda: plain_errors(path))
        self._writing = WriterLock(path, needed=False, timeout_s=0)
        with plain_errors(path):
            self._file = _connected(path)
            self._identity = identity(path)


class _ReadOnlySqlite(Sqlite):
    """A connection that SQLite itself keeps from writing."""

    def __init__(self, path: Path, query: str) -> None:
        super().__init__(path)
        self.init(
            f"{path.absolute().as_uri()}?{query}",
            uri=True,
            pragmas={"query_only": 1},
            timeout=int(BUSY_TIMEOUT_S),
            check_same_thread=False,
        )


def _connected(path: Path) -> Sqlite:
    """Return a connection that reads.

    A write-ahead log needs a file of shared memory beside it, which nobody can make in a folder
    that is read-only. Without a log the database's own file holds everything.
    """
    try:
        return _tried(path, "mode=ro")
    except (peewee.PeeweeException, sqlite3.Error) as error:
        refused = any(words in str(error).lower() for words in ("unable to open", "readonly"))
        if not refused:
            raise
        if not os.access(path, os.R_OK) or _has_content(path.with_name(path.name + "-wal")):
            raise StoreError(
                "The database cannot be read by this user.",
                hint="Ask as the user that dubarr-watch runs as.",
                path=path,
            ) from error
    return _tried(path, "immutable=1")


def _tried(path: Path, query: str) -> Sqlite:
    file = _ReadOnlySqlite(path, query)
    try:
        file.rows("PRAGMA user_version", ())
    except BaseException:
        file.close_all()
        raise
    return file


def _has_content(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False
