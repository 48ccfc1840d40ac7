from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, JobRecord, VideoRecord, VideoState


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "config" / "dubarr.db"


@pytest.fixture
def store(database: Path) -> Iterator[Store]:
    with Store.open(database) as opened:
        yield opened


def a_video(store: Store, name: str = "Film.mkv", folder: str = "/videos") -> VideoRecord:
    """Record a video that is a file of its own."""
    return store.videos.record(
        Path(folder) / name, 1000, 1, f"content of {name}", VideoState.ARRIVED
    )


def a_job(store: Store, *languages: str, name: str = "Film.mkv") -> JobRecord:
    """Queue a job for a video of that name."""
    return store.jobs.enqueue(a_video(store, name).id, languages or ("es",), JobOptions())
