"""One writer at a time, where a commit beside a checkpoint can corrupt the database."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dubarr_watch.errors import StoreError
from dubarr_watch.store import Store, sqlite
from dubarr_watch.store.records import JobState
from dubarr_watch.store.single_writer import WriterLock, needs_single_writer

_HOLD = """
import sys
from pathlib import Path
from dubarr_watch.store.single_writer import WriterLock
with WriterLock(Path(sys.argv[1]), needed=True, timeout_s=10).held():
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("version", "needed"),
    [
        ((3, 40, 1), True),
        ((3, 44, 5), True),
        ((3, 44, 6), False),
        ((3, 45, 0), True),
        ((3, 50, 6), True),
        ((3, 50, 7), False),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 53, 0), False),
    ],
)
def test_which_versions_have_the_fault(version: tuple[int, int, int], needed: bool) -> None:
    assert needs_single_writer(version) is needed


def test_a_write_waits_for_the_process_that_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written while another process holds the lock; then it is."""
    monkeypatch.setattr(sqlite, "needs_single_writer", lambda: True)
    with Store.open(tmp_path / "dubarr.db") as store:
        other = subprocess.Popen(
            [sys.executable, "-c", _HOLD, str(tmp_path / "dubarr.db.writing")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with other:
            assert other.stdout is not None
            assert other.stdin is not None
            assert other.stdout.readline() == b"held\n"
            writing = threading.Thread(target=lambda: store.meta.set("a", "1"))
            writing.start()
            writing.join(0.3)
            assert writing.is_alive()
            other.stdin.close()
            writing.join(30)
            assert not writing.is_alive()
        assert store.meta.get("a") == "1"


def test_reading_waits_for_no_process_that_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even for the copy that is made each night."""
    monkeypatch.setattr(sqlite, "needs_single_writer", lambda: True)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.1)
    with Store.open(tmp_path / "dubarr.db") as store:
        held = WriterLock(tmp_path / "dubarr.db.writing", needed=True, timeout_s=1).held()
        with held:
            assert store.browsing.page().total == 0
            assert store.jobs.counts()[JobState.QUEUED] == 0
            assert list(store.videos.known()) == []
            assert store.inbox.count_pending() == 0
            assert store.figures.jobs() == []
            assert store.figures.lines() == {}
            assert store.figures.stage_seconds() == {}
            assert store.figures.real_time_factor() == (0, 0.0)
            assert store.figures.queued_since() is None
            assert store.figures.notifications() == {}
            assert store._database.damage() == []


def test_a_process_that_never_lets_go_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "needs_single_writer", lambda: True)
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_S", 0.1)
    with Store.open(tmp_path / "dubarr.db") as store:
        held = WriterLock(tmp_path / "dubarr.db.writing", needed=True, timeout_s=1).held()
        with held, pytest.raises(StoreError, match="kept locked by another process"):
            store.meta.set("a", "1")
        store.meta.set("a", "2")
        assert store.meta.get("a") == "2"


def test_threads_write_one_after_another_and_each_within_itself(tmp_path: Path) -> None:
    """Two threads never hold it together, and one that holds it may take it again."""
    lock = WriterLock(tmp_path / "lock", needed=True, timeout_s=10)
    inside: list[int] = []
    most: list[int] = []

    def write() -> None:
        for _ in range(200):
            with lock.held(), lock.held():
                inside.append(1)
                time.sleep(0)  # lets another thread in, were there nothing to keep it out
                most.append(len(inside))
                inside.pop()

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(most) == 800
    assert max(most) == 1


def test_where_it_is_not_needed_nothing_is_locked(tmp_path: Path) -> None:
    with WriterLock(tmp_path / "lock", needed=False, timeout_s=0).held():
        assert not (tmp_path / "lock").exists()
