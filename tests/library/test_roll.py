"""What is kept in memory of the videos of a library."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from dubarr_watch.library.roll import Roll
from dubarr_watch.library.scanner import SeenFile
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


def test_a_moved_video_is_known_by_its_time_among_many_of_the_same(tmp_path: Path) -> None:
    """A library that was copied at once has one time for all."""
    with Store.open(tmp_path / "dubarr.db") as store:
        made = [
            store.videos.record(ROOT / f"{n}.mkv", n, 10**18, f"{n:064x}", VideoState.ARRIVED)
            for n in range(3)
        ]
        roll = Roll(ROOT, store)
        roll.load()
        moved = SeenFile(ROOT / "moved.mkv", 1, 10**18, 7)
        assert roll.was_elsewhere(moved)
        store.videos.touch(made[1].id, moved.path, 10**18)
        assert roll.remember(store.videos.get(made[1].id)) == made[1].path
        assert moved.path in roll
        assert made[1].path not in roll
        assert not roll.was_elsewhere(moved)
        assert roll.was_elsewhere(SeenFile(ROOT / "again.mkv", 2, 10**18, 8))
        assert not roll.was_elsewhere(SeenFile(ROOT / "other.mkv", 3, 10**18, 8))
