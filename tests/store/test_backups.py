"""Copies of the database: made, limited in number, refused when damaged, and put back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dubarr_watch.errors import NotInStore, StoreCorrupt, StoreTooNew
from dubarr_watch.store import Store
from dubarr_watch.store.backups import backup_folder, copies, restore
from tests.store.conftest import a_job, a_video


def test_the_newest_three_are_kept(in_file: Store, database: Path) -> None:
    for day in ("2026-01-30", "2026-01-31", "2026-02-01", "2026-02-02"):
        a_video(in_file, f"{day}.mkv")
        in_file.backups.make(day)
    names = [f"dubarr-{day}.db" for day in ("2026-02-02", "2026-02-01", "2026-01-31")]
    assert [path.name for path in copies(database)] == names
    assert sorted(path.name for path in backup_folder(database).iterdir()) == sorted(names)


def test_a_clock_that_ran_ahead_costs_no_copy(in_file: Store, database: Path) -> None:
    """Copies of days that are yet to come are the first to go, and the new one stays."""
    ahead = ["2099-01-01", "2099-01-02", "2099-01-03"]
    behind = ["1970-01-01"]
    for day in [*ahead, *behind, "2026-01-30", "2026-01-31", "2026-02-01"]:
        made = in_file.backups.make(day)
        assert made is not None
        assert made.exists(), day
        assert len(copies(database)) <= 3
    names = [f"dubarr-{day}.db" for day in ("2026-02-01", "2026-01-31", "2026-01-30")]
    assert [path.name for path in copies(database)] == names


def test_a_second_copy_of_a_day_replaces_the_first(in_file: Store, database: Path) -> None:
    in_file.backups.make("2026-01-30")
    a_video(in_file)
    in_file.backups.make("2026-01-30")
    (copy,) = copies(database)
    with Store.open(copy) as copied:
        assert copied.videos.by_path(Path("/videos/Film.mkv")) is not None


def test_a_damaged_database_replaces_no_copy(database: Path) -> None:
    """What is sound outlives what is not."""
    with Store.open(database) as store:
        for number in range(300):
            a_video(store, f"{number}.mkv")
        store.backups.make("2026-01-30")
    with database.open("r+b") as file:
        file.seek(40960)
        file.write(b"\xaa" * 16384)
    with Store.open(database) as store:
        assert store.backups.make("2026-01-31") is None
    assert [path.name for path in copies(database)] == ["dubarr-2026-01-30.db"]


def test_a_copy_is_put_back_and_what_was_there_is_kept(database: Path) -> None:
    with Store.open(database) as store:
        job = a_job(store)
        copy = store.backups.make("2026-01-30")
        a_video(store, "Later.mkv")
    assert copy is not None
    replaced = restore(database, copy)
    with Store.open(database) as store:
        assert store.jobs.get(job.id) == job
        assert store.videos.by_path(Path("/videos/Later.mkv")) is None
    assert replaced is not None
    with Store.open(replaced) as kept:
        assert kept.videos.by_path(Path("/videos/Later.mkv")) is not None


def test_a_log_of_the_replaced_database_is_not_taken_for_the_copy_s(database: Path) -> None:
    """After kill -9 a log is left beside it, with pages of the old file."""
    with Store.open(database) as store:
        copy = store.backups.make("2026-01-30")
        with closing(sqlite3.connect(database)) as reader:  # keeps the log from being folded in
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM videos").fetchall()
            a_video(store, "Later.mkv")
            log = database.with_name(database.name + "-wal").read_bytes()
    database.with_name(database.name + "-wal").write_bytes(log)
    assert copy is not None
    replaced = restore(database, copy)
    assert not database.with_name(database.name + "-wal").exists()
    assert replaced is not None
    assert replaced.with_name(replaced.name + "-wal").read_bytes() == log
    with Store.open(database) as store:
        assert store.videos.by_path(Path("/videos/Later.mkv")) is None
        assert store.damage() == []


def test_a_lost_database_is_restored_where_there_is_none(database: Path) -> None:
    with Store.open(database) as store:
        job = a_job(store)
        copy = store.backups.make("2026-01-30")
    database.unlink()
    assert copy is not None
    assert restore(database, copy) is None
    with Store.open(database) as store:
        assert store.jobs.get(job.id) == job


@pytest.mark.parametrize("content", [b"", b"no database at all" * 500])
def test_what_is_no_copy_is_refused_and_nothing_changes(database: Path, content: bytes) -> None:
    with Store.open(database) as store:
        a_job(store)
    before = database.read_bytes()
    copy = database.with_name("copy.db")
    copy.write_bytes(content)
    with pytest.raises(StoreCorrupt, match="restore lists them"):
        restore(database, copy)
    with pytest.raises(NotInStore):
        restore(database, database.with_name("none.db"))
    assert database.read_bytes() == before


def test_somebody_else_s_database_is_no_copy(database: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE notes (text TEXT)")
        other.execute("PRAGMA user_version = 1")
    with pytest.raises(StoreCorrupt):
        restore(database, tmp_path / "other.db")


def test_a_copy_of_a_newer_program_is_refused(database: Path) -> None:
    with Store.open(database) as store:
        copy = store.backups.make("2026-01-30")
    assert copy is not None
    with closing(sqlite3.connect(copy)) as newer:
        newer.execute("PRAGMA user_version = 999")
    with pytest.raises(StoreTooNew, match="version 999"):
        restore(database, copy)
