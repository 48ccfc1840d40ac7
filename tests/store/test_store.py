"""Opening, migrating, refusing: what happens to the database file itself."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dubarr_watch.errors import (
    DiskFull,
    DubarrError,
    NotWritable,
    StoreCorrupt,
    StoreError,
    StoreTooNew,
)
from dubarr_watch.store import Store, models, series_models
from dubarr_watch.store.database import Database
from dubarr_watch.store.migrations import MIGRATIONS
from tests.disks import tmpfs
from tests.store.conftest import Where, a_job, a_video, told


def _pragma(store: Store, name: str) -> object:
    return store._database.execute(f"PRAGMA {name}")[0][0]


def test_what_is_kept_is_there_after_opening_again(where: Where) -> None:
    """What one process wrote the next one reads."""
    with Store.open(where) as store:
        job = a_job(store, "es", "fr")
        store.meta.set("baseline", "yes")
    with Store.open(where) as store:
        assert store.jobs.get(job.id) == job
        assert store.meta.get("baseline") == "yes"


def test_a_small_value_is_replaced_and_a_missing_one_is_the_default(store: Store) -> None:
    """The last value set is the one that is read."""
    assert store.meta.get("a") is None
    assert store.meta.get("a", "none yet") == "none yet"
    store.meta.set("a", "1")
    store.meta.set("a", "2")
    assert store.meta.get("a") == "2"


def test_every_thread_writes_ahead_synced_and_with_foreign_keys(in_file: Store) -> None:
    """A connection of another thread is set up as the first one is."""
    found: list[tuple[object, ...]] = []
    names = ("journal_mode", "synchronous", "foreign_keys")
    store = in_file
    thread = threading.Thread(target=lambda: found.append(tuple(_pragma(store, n) for n in names)))
    thread.start()
    thread.join()
    assert found == [("wal", 2, 1)]
    assert tuple(_pragma(store, name) for name in names) == ("wal", 2, 1)
    assert int(str(_pragma(store, "busy_timeout"))) >= 5000


def test_progress_leaves_state_changes_synced(in_file: Store) -> None:
    """Only the progress figure itself may be lost with the power."""
    store = in_file
    a_job(store)
    job = store.jobs.claim("me")
    assert job is not None
    store.jobs.progress(job.id, "transcribe", 0.5, None)
    assert _pragma(store, "synchronous") == 2


def test_connections_of_ended_threads_are_closed(store: Store, where: Where) -> None:
    """A daemon whose threads come and go does not collect open files."""
    for _ in range(20):
        thread = threading.Thread(target=store.jobs.counts)
        thread.start()
        thread.join()
    server: Any = store._database
    kept = server._server if isinstance(where, SecretStr) else server._file
    assert len(kept._open) <= 3


def test_closing_closes_every_thread_s_connection(database: Path) -> None:
    """After close the write-ahead log is folded into the database, from whatever thread."""
    store = Store.open(database)
    seen, ended = threading.Event(), threading.Event()

    def other() -> None:
        store.meta.set("a", "b")
        seen.set()
        ended.wait(30)

    thread = threading.Thread(target=other)
    thread.start()
    assert seen.wait(30)
    store.close()
    assert not database.with_name("dubarr.db-wal").exists()
    ended.set()
    thread.join()


def test_a_block_that_fails_leaves_nothing(store: Store) -> None:
    """Several calls in one transaction happen all or not at all; the block's error comes out."""

    def block() -> None:
        with store.transaction():
            a_job(store)
            raise FileNotFoundError("of the block's own")

    with pytest.raises(FileNotFoundError):
        block()
    assert store.jobs.queue() == []
    assert list(store.videos.known()) == []
    with store.transaction():
        a_job(store)
    assert len(store.jobs.queue()) == 1


_COLUMNS = {
    True: "SELECT tables.name, columns.name FROM sqlite_master AS tables,"
    " pragma_table_info(tables.name) AS columns"
    " WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite_%'",
    False: "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = 'public'",
}


def test_the_models_are_what_the_migrations_make(store: Store, where: Where) -> None:
    """Every table and column that the code reads exists, and no other."""
    made: dict[str, set[str]] = {}
    for table, column in store._database.rows(_COLUMNS[isinstance(where, Path)]):
        made.setdefault(table, set()).add(column)
    meant = {
        str(table._meta.table_name): {field.column_name for field in table._meta.sorted_fields}
        for table in (*models.TABLES, *series_models.TABLES)
    }
    assert made == meant


# The schema of the first release, by hand: never edited, so that a database of that release can
# always be opened. Only what a test below reads is filled in.
_ROWS_OF_THE_FIRST_RELEASE = (
    "INSERT INTO videos VALUES (1, ?, 5, 6, 'fp', 'arrived', 0, '',"
    " '2026-11-22T10:00:00.000000+00:00')",
    "INSERT INTO jobs VALUES (7, 1, NULL, 'es,fr', '', '', 0, 'normal', 1, 'queued', '', 0, '',"
    " 0.0, NULL, 0, '', '2026-11-22T10:00:00.000000+00:00', NULL, NULL)",
)


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS) + 1))
def test_rows_of_every_earlier_release_are_read(fresh: Where, version: int) -> None:
    """A database as the first release wrote it opens after any of the later ones had it."""
    with Store.open(fresh, migrations=MIGRATIONS[:1]) as first:
        a_row_of_videos, a_row_of_jobs = _ROWS_OF_THE_FIRST_RELEASE
        first._database.execute(a_row_of_videos, b"/v/\xff")
        first._database.execute(a_row_of_jobs)
    with Store.open(fresh, migrations=MIGRATIONS[:version]):
        pass
    with Store.open(fresh) as store:
        job = store.jobs.get(7)
        assert (job.languages, bytes(job.video.path)) == (("es", "fr"), b"/v/\xff")
        assert job.video.audio is None
        assert store.browsing.page(search="V").total == 1


def _add_rating(database: Database) -> None:
    database.execute("ALTER TABLE videos ADD COLUMN rating INTEGER NOT NULL DEFAULT 3")


def _add_then_fail(database: Database) -> None:
    database.execute("ALTER TABLE videos ADD COLUMN rating INTEGER NOT NULL DEFAULT 3")
    raise StoreError("the migration failed midway")


def test_a_migration_keeps_the_rows_and_a_copy_of_what_was(database: Path) -> None:
    """An existing database is copied aside before its schema changes."""
    with Store.open(database) as store:
        a_video(store)
    two = (*MIGRATIONS, _add_rating)
    with Store.open(database, migrations=two) as store:
        assert store._database.execute("SELECT rating FROM videos") == [(3,)]
        assert _pragma(store, "user_version") == len(two)
    with Store.open(database.with_name(f"dubarr.db.v{len(MIGRATIONS)}.bak")) as copy:
        assert [v.path.name for v in copy.videos.under(Path("/videos"))] == ["Film.mkv"]


def test_a_new_database_is_not_copied_aside(database: Path) -> None:
    """There is nothing to copy when nothing was there; opening again copies nothing either."""
    two = (*MIGRATIONS, _add_rating)
    for _ in range(2):
        with Store.open(database, migrations=two):
            pass
    assert list(database.parent.glob("*.bak")) == []


def test_a_migration_that_fails_changes_nothing(fresh: Where) -> None:
    """The database stays at its version, usable by the program that it fits."""
    with Store.open(fresh) as store:
        a_video(store)
    with pytest.raises(StoreError, match="midway"):
        Store.open(fresh, migrations=(*MIGRATIONS, _add_then_fail))
    with Store.open(fresh) as store:
        assert len(store.videos.under(Path("/videos"))) == 1
        assert store._database.version(newest=99) == len(MIGRATIONS)
    # Half of it left behind would make the mended migration fail on a column that is there.
    with Store.open(fresh, migrations=(*MIGRATIONS, _add_rating)) as store:
        assert store._database.execute("SELECT rating FROM videos") == [(3,)]


def test_a_database_of_a_newer_program_is_refused(fresh: Where) -> None:
    """It is left as it is, and the error says what to do."""
    newest = len(MIGRATIONS)
    with Store.open(fresh, migrations=(*MIGRATIONS, _add_rating)):
        pass
    with pytest.raises(StoreTooNew, match=rf"version {newest + 1}.*up to {newest}.*newer"):
        Store.open(fresh, migrations=MIGRATIONS)


@pytest.mark.parametrize(
    "content", [b"no database at all" * 500, b"SQLite format 3\0" + b"x" * 9000]
)
def test_a_corrupt_file_is_named_and_left_alone(database: Path, content: bytes) -> None:
    """The error names the file and the way out; the file is not touched."""
    database.parent.mkdir()
    database.write_bytes(content)
    with pytest.raises(StoreCorrupt, match=r"damaged.*dubarr\.db.*dubarr-watch restore"):
        Store.open(database)
    assert database.read_bytes() == content


def test_somebody_else_s_database_is_left_alone(database: Path) -> None:
    """Another program's tables are not ours to add to."""
    database.parent.mkdir()
    with closing(sqlite3.connect(database)) as other:
        other.execute("CREATE TABLE theirs (a)")
    with pytest.raises(StoreCorrupt, match="not one of dubarr-watch"):
        Store.open(database)


def test_damage_inside_the_file_is_found(database: Path) -> None:
    """A sound database has no damage; one with pages overwritten has."""
    with Store.open(database) as store:
        for number in range(300):
            a_video(store, f"{number}.mkv")
        assert store.damage() == []
    content = bytearray(database.read_bytes())
    content[40960:57344] = b"\xaa" * 16384
    database.write_bytes(content)
    with Store.open(database) as store:
        try:
            found = store.damage()
        except StoreCorrupt as error:
            found = [str(error)]
        assert found != []


def test_a_database_deleted_while_in_use_is_an_error(in_file: Store, database: Path) -> None:
    """What is written into a deleted file is lost, so nothing pretends to have written it."""
    store = in_file
    for file in database.parent.glob("dubarr.db*"):
        file.unlink()
    with pytest.raises(StoreCorrupt, match="deleted or replaced while it was in use"):
        store.meta.set("a", "b")
    with pytest.raises(StoreCorrupt, match="Restart"):
        a_job(store)


def test_a_folder_that_cannot_be_made_is_the_user_s_to_provide(tmp_path: Path) -> None:
    """CONFIG_DIR on a file, or read-only, is named plainly."""
    (tmp_path / "config").write_text("a file, not a folder")
    with pytest.raises(NotWritable, match="CONFIG_DIR must be a folder"):
        Store.open(tmp_path / "config" / "dubarr.db")


def test_an_error_of_the_store_is_one_of_ours(store: Store) -> None:
    """No error of SQLite's own comes out."""
    with pytest.raises(DubarrError, match="not known"):
        store.checkpoints.save_line(99, "es", 0, "k", "{}")


_OPEN_AND_WRITE = """
import sys
from dubarr_watch.store import Store
from tests.store.conftest import found
with Store.open(found(sys.argv[1])) as store:
    for number in range(20):
        store.meta.set(f"{sys.argv[2]} {number}", "written")
"""


def test_processes_that_open_a_fresh_database_at_once_all_write(fresh: Where) -> None:
    """Neither creation nor writing fails because another process does the same."""
    processes = [
        subprocess.Popen([sys.executable, "-c", _OPEN_AND_WRITE, told(fresh), str(n)])
        for n in range(4)
    ]
    assert [process.wait(60) for process in processes] == [0] * 4
    with Store.open(fresh) as store:
        rows = store._database.rows("SELECT COUNT(*) FROM meta WHERE value = 'written'")
        assert rows == [(80,)]


def fill_in_one_transaction(store: Store) -> None:
    with store.transaction():
        for number in range(2000):
            store.meta.set(str(number), "x" * 4000)


def test_a_full_disk_is_called_so_also_from_within_a_transaction(tmp_path: Path) -> None:
    """SQLite ends the transaction itself then, and taking it back would be another error."""
    with tmpfs(tmp_path / "small", "2m") as mounted, Store.open(mounted / "dubarr.db") as store:
        with pytest.raises(DiskFull):
            fill_in_one_transaction(store)
        store.meta.set("a", "1")
        assert store.meta.get("0") is None
        assert store.damage() == []
