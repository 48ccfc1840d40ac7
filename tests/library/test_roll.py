"""What is kept in memory of the videos of a library."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from dubarr_watch.library.roll import Roll
from dubarr_watch.store import videos
from dubarr_watch.store.records import VideoState
from dubarr_watch.store.store import Store

ROOT = Path("/srv/videos")


def test_a_known_video_takes_less_than_800_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100,000 of them are to leave the daemon within 150 MB, also while they are read."""
    monkeypatch.setattr(videos, "_CHUNK", 100)
    with Store.open(tmp_path / "dubarr.db") as store:
        with store.transaction():
            for number in range(1000):
                path = ROOT / f"Film {number:05} (1999)" / f"Film {number:05}.mkv"
                store.videos.record(
                    path, number, 10**18 + number, f"{number:064x}", VideoState.ARRIVED
                )
        roll = Roll(ROOT, store)
        tracemalloc.start()
        roll.load()
        kept, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert len(roll) == 1000
        assert kept / 1000 < 800
        assert most / 1000 < 1200
