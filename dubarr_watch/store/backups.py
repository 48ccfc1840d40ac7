"""Copies of the database: made each night, and put back when it is damaged or lost."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from dubarr_watch.errors import NotInStore, StoreCorrupt, StoreError, StoreTooNew
from dubarr_watch.storage import plain_os_errors, sync
from dubarr_watch.store.database import Database
from dubarr_watch.store.migrations import MIGRATIONS
from dubarr_watch.store.sqlite import HALF, SqliteFile

KEPT = 3
"""How many copies there are."""

_PREFIX, _SUFFIX = "dubarr-", ".db"


class Backups:
    """Copies of an open database, in a folder beside it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def possible(self) -> bool:
        """Whether the database is a file of ours to copy; a server has its own ways."""
        return isinstance(self._database, SqliteFile)

    def make(self, day: str, should_stop: Callable[[], bool] = lambda: False) -> Path | None:
        """Copy the database and remove copies beyond the newest three.

        A damaged one is not copied, and nothing is removed: the sound copies are what is left.

        Args:
            day: Which copy it is, e.g. `2026-01-31`; a copy of the same day is replaced.
            should_stop: Asked often; true ends it, and there is no new copy.

        Raises:
            JobCancelled: As `should_stop` says.
            DiskFull, NotWritable: As they say.
            StoreError: It is on a server.
        """
        database = self._database
        if not isinstance(database, SqliteFile):
            raise StoreError("A database server is not copied.", hint="Let pg_dump do it.")
        try:
            if database.damage():
                return None
        except StoreCorrupt:
            return None
        folder = backup_folder(database.path)
        with plain_os_errors(folder):
            folder.mkdir(exist_ok=True)
            for half in folder.glob(f"{_PREFIX}*{_SUFFIX}{HALF}"):  # its maker was killed
                half.unlink(missing_ok=True)
        made = database.copy_to(folder / f"{_PREFIX}{day}{_SUFFIX}", should_stop)
        kept = copies(database.path)
        # A clock that ran ahead left copies of days to come: they go first, and never the new one.
        kept.sort(key=lambda copy: copy.name > made.name)
        for old in kept[KEPT:]:
            with plain_os_errors(old):
                old.unlink(missing_ok=True)
        return made


def backup_folder(database: Path) -> Path:
    """Return where the copies of a database are."""
    return database.with_name("backups")


def copies(database: Path) -> list[Path]:
    """Return the copies of a database, newest first."""
    found = backup_folder(database).glob(f"{_PREFIX}*{_SUFFIX}")
    return sorted(found, key=lambda path: path.name, reverse=True)


def restore(database: Path, copy: Path) -> Path | None:
    """Put a copy in place of the database; nobody may have it open.

    Args:
        database: The file; CONFIG_DIR/dubarr.db.
        copy: One of `copies`, or any other file that was one.

    Returns:
        Where the database that was there is now, or nothing when there was none.

    Raises:
        NotInStore: There is no such copy.
        StoreCorrupt: The copy is damaged, or no database of ours.
        StoreTooNew: A newer program made it.
        DiskFull, NotWritable: As they say.
    """
    _check(copy)
    aside = database.with_name(f"{database.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S}")
    half = database.with_name(f".{database.name}.restoring.tmp")
    with plain_os_errors(database):
        try:
            shutil.copyfile(copy, half)
            sync(half)
            replaced = _set_aside(database, aside)
            half.replace(database)
            sync(database.parent)
        finally:
            half.unlink(missing_ok=True)
    return replaced


def _set_aside(database: Path, aside: Path) -> Path | None:
    # The log belongs to the file: beside another one it would be taken for that one's.
    for ending in ("-wal", "-shm", ""):
        there = database.with_name(database.name + ending)
        if there.exists():
            there.rename(aside.with_name(aside.name + ending))
    return aside if aside.exists() else None


def _check(copy: Path) -> None:
    if not copy.is_file():
        raise NotInStore("There is no such copy.", path=copy)
    with _plain(copy), closing(_opened(copy)) as raw:
        version = int(raw.execute("PRAGMA user_version").fetchone()[0])
        tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master")}
        damage = [row[0] for row in raw.execute("PRAGMA quick_check(1)")]
    if damage != ["ok"] or version == 0 or not {"videos", "jobs"} <= tables:
        raise _unusable(copy)
    if version > len(MIGRATIONS):
        raise StoreTooNew(
            f"The copy has version {version}, this program knows versions up to {len(MIGRATIONS)}.",
            hint="Take another copy, or run the newer dubarr-watch.",
            path=copy,
        )


def _opened(copy: Path) -> sqlite3.Connection:
    # Immutable: no log beside it is read, and none is made.
    return sqlite3.connect(f"{copy.absolute().as_uri()}?mode=ro&immutable=1", uri=True)


@contextmanager
def _plain(copy: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise _unusable(copy) from error


def _unusable(copy: Path) -> StoreCorrupt:
    return StoreCorrupt(
        "This copy is damaged, or no database of dubarr-watch.",
        hint="Take another one: dubarr-watch restore lists them.",
        path=copy,
    )
