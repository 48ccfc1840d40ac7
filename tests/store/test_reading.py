"""Looking at the database without changing anything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.errors import NotWritable, StoreCorrupt, StoreError
from dubarr_watch.store import Store
from dubarr_watch.store.postgres import PostgresServer
from dubarr_watch.store.reading import open_for_reading
from dubarr_watch.store.sqlite import SqliteFile
from tests.store.conftest import Where, a_job

NOBODY = 65534
LOOKS = ("user_version", "sqlite_master", "to_regclass", "pg_tables")

CRASHING = """
import os, signal, sys
from pathlib import Path
from dubarr_watch.store import Store
from tests.store.conftest import a_job
store = Store.open(Path(sys.argv[1]))
a_job(store, "es")
os.kill(os.getpid(), signal.SIGKILL)  # nothing is closed
"""


@pytest.fixture
def shared(database: Path) -> Iterator[Path]:
    """A folder that everybody may enter and only we may write to."""
    folder = Path(tempfile.mkdtemp(prefix="dubarr-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Be a user without any rights from the middle of the test on; root alone can."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    yield
    os.seteuid(0)


def test_where_there_is_no_database_there_is_nothing(database: Path) -> None:
    """An onlooker makes none, nor its folder."""
    assert open_for_reading(database) is None
    assert not database.parent.exists()


def test_one_that_is_made_between_two_looks_is_ours(
    fresh: Where, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An onlooker finds it empty and then filled; at no time is it somebody else's."""
    kind = SqliteFile if isinstance(fresh, Path) else PostgresServer
    rows, made = kind.rows, list[Store]()
    if isinstance(fresh, Path):
        fresh.parent.mkdir()
        fresh.touch()

    def and_then_it_is_made(self: Any, sql: str, *values: object) -> list[Any]:
        found = rows(self, sql, *values)
        if not made and any(name in sql for name in LOOKS):
            monkeypatch.undo()
            made.append(Store.open(fresh))
            monkeypatch.setattr(kind, "rows", and_then_it_is_made)
        return found

    monkeypatch.setattr(kind, "rows", and_then_it_is_made)
    with open_for_reading(fresh) or pytest.fail("nothing there") as onlooker:
        assert onlooker.jobs.for_video(1) == []
    made[0].close()


def test_an_onlooker_sees_what_the_daemon_writes(store: Store, where: Where) -> None:
    """While it is open for writing elsewhere, and after every change."""
    with open_for_reading(where) or pytest.fail("nothing there") as onlooker:
        assert onlooker.jobs.queue() == []
        job = a_job(store, "es")
        assert [seen.id for seen in onlooker.jobs.queue()] == [job.id]


def test_an_onlooker_cannot_write(store: Store, where: Where) -> None:
    """Whatever it calls by mistake, SQLite refuses."""
    job = a_job(store, "es")
    with open_for_reading(where) or pytest.fail("nothing there") as onlooker:
        with pytest.raises(NotWritable):
            onlooker.jobs.cancel(job.id)
        assert onlooker.jobs.get(job.id).state == "queued"


def test_what_another_user_closed_can_be_read(shared: Path, as_nobody: None) -> None:
    """Even in a folder in which the onlooker can make no file."""
    database = shared / "odd ?#% name" / "dubarr.db"
    with Store.open(database) as store:
        job = a_job(store, "es")
    there = sorted(database.parent.iterdir())
    os.seteuid(NOBODY)
    with open_for_reading(database) or pytest.fail("nothing there") as onlooker:
        assert onlooker.jobs.get(job.id).languages == ("es",)
    assert sorted(database.parent.iterdir()) == there


def test_a_log_that_cannot_be_read_is_not_passed_over(shared: Path, as_nobody: None) -> None:
    """After a crash the newest changes stand in the log alone; old ones would be a lie."""
    database = shared / "dubarr.db"
    crashed = subprocess.run([sys.executable, "-c", CRASHING, database], check=False)
    assert crashed.returncode == -signal.SIGKILL
    (shared / "dubarr.db-shm").unlink()
    os.seteuid(NOBODY)
    with pytest.raises(StoreError, match="cannot be read by this user"):
        open_for_reading(database)
    os.seteuid(0)
    with open_for_reading(database) or pytest.fail("nothing there") as onlooker:
        assert len(onlooker.jobs.queue()) == 1


def test_a_file_that_is_no_database_is_named(database: Path) -> None:
    """As when it is opened for writing."""
    database.parent.mkdir()
    database.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    with pytest.raises(StoreCorrupt):
        open_for_reading(database)


def test_a_database_that_is_just_being_made_counts_as_none(database: Path) -> None:
    """An onlooker makes no tables either."""
    with Store.open(database, migrations=[]):
        pass
    assert open_for_reading(database) is None
