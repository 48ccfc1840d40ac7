from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, JobRecord, VideoRecord, VideoState
from dubarr_watch.store.sqlite import SqliteFile
from tests.store.server import Emptied, Server

Where = Path | SecretStr


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "config" / "dubarr.db"


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, database: Path) -> Where:
    """Return where a database is that nobody has used: every test runs on both kinds."""
    if request.param == "sqlite":
        return database
    emptied: Emptied = request.getfixturevalue("emptied")
    emptied.empty()
    return emptied.url


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, database: Path) -> Where:
    """Return where a database is that has no tables yet."""
    if request.param == "sqlite":
        return database
    server: Server = request.getfixturevalue("server")
    return server.new()


@pytest.fixture
def store(where: Where) -> Iterator[Store]:
    with Store.open(where) as opened:
        yield opened


@pytest.fixture
def in_file(database: Path) -> Iterator[Store]:
    """Open a store in a file, for what only files have."""
    with Store.open(database) as opened:
        yield opened


def sqlite_file(store: Store) -> Any:
    """Return what a store in a file goes through."""
    assert isinstance(store._database, SqliteFile)
    return store._database._file


def told(where: Where) -> str:
    """Return where a database is, as an argument of a process; see `found`."""
    return str(where) if isinstance(where, Path) else where.get_secret_value()


def found(argument: str) -> Where:
    """Return what `told` was given."""
    return SecretStr(argument) if "://" in argument else Path(argument)


def a_video(store: Store, name: str = "Film.mkv", folder: str = "/videos") -> VideoRecord:
    """Record a video that is a file of its own."""
    return store.videos.record(
        Path(folder) / name, 1000, 1, f"content of {name}", VideoState.ARRIVED
    )


def a_job(store: Store, *languages: str, name: str = "Film.mkv") -> JobRecord:
    """Queue a job for a video of that name."""
    return store.jobs.enqueue(a_video(store, name).id, languages or ("es",), JobOptions())
