"""Several threads and processes at once, and processes that die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from dubarr_watch.errors import NotWritable
from dubarr_watch.store import Store
from dubarr_watch.store.owners import Owner, owner_is_alive, remove_dead_locks
from dubarr_watch.store.records import JobOptions, JobRecord, JobState
from tests.store.conftest import Where, a_job, a_video, told

_CLAIM_ALL = """
import sys
from dubarr_watch.store import Store
from tests.store.conftest import found
with Store.open(found(sys.argv[1])) as store:
    print("ready", flush=True)
    sys.stdin.readline()
    while (job := store.jobs.claim("somebody")) is not None:
        print(job.id, flush=True)
"""

_CLAIM_ONE_AND_HANG = """
import sys, time
from pathlib import Path
from dubarr_watch.store import Store
from dubarr_watch.store.owners import Owner
from tests.store.conftest import found
owner = Owner.acquire(Path(sys.argv[1]))
store = Store.open(found(sys.argv[2]))
job = store.jobs.claim(owner.id)
store.checkpoints.save_line(job.id, "es", 0, "k", "{}")
print(owner.id, job.id, flush=True)
time.sleep(600)
"""


@contextmanager
def _process(code: str, *arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_each_job_is_claimed_once_by_many_threads(store: Store) -> None:
    """However many threads ask at once, no job is started twice and none is left."""
    ids = {a_job(store, name=str(number)).id for number in range(60)}
    claimed: list[int] = []
    start = threading.Barrier(6)

    def claim_all() -> None:
        start.wait()
        while (job := store.jobs.claim(threading.current_thread().name)) is not None:
            claimed.append(job.id)

    threads = [threading.Thread(target=claim_all) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(claimed) == sorted(ids)
    assert {job.attempts for job in store.jobs.running()} == {1}


def test_each_job_is_claimed_once_by_many_processes(store: Store, where: Where) -> None:
    """The queue is safe across processes, the daemon's and the command line's."""
    ids = {a_job(store, name=str(number)).id for number in range(60)}
    with (
        _process(_CLAIM_ALL, told(where)) as one,
        _process(_CLAIM_ALL, told(where)) as two,
        _process(_CLAIM_ALL, told(where)) as three,
    ):
        processes = (one, two, three)
        assert [_line(process) for process in processes] == ["ready"] * 3
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        claimed = [process.communicate(timeout=60)[0].split() for process in processes]
    assert sorted(int(i) for found in claimed for i in found) == sorted(ids)


def test_the_same_video_asked_for_at_once_is_one_job(store: Store) -> None:
    """A watcher's event and a scan that see a video together queue it once."""
    video, start, ids = a_video(store), threading.Barrier(8), set[int]()

    def ask(language: str) -> None:
        start.wait()
        ids.add(store.jobs.enqueue(video.id, ["es", language], JobOptions()).id)

    threads = [threading.Thread(target=ask, args=(code,)) for code in ("fr", "de", "it", "pt") * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 1
    (job,) = store.jobs.queue()
    assert sorted(job.languages) == ["de", "es", "fr", "it", "pt"]


def test_a_job_whose_process_was_killed_goes_back_to_the_queue(
    store: Store, where: Where, database: Path
) -> None:
    """After kill -9 it is queued again with its lines; while its process lives it is not."""
    config = database.parent
    job = a_job(store)
    alive = partial(owner_is_alive, config)
    with _process(_CLAIM_ONE_AND_HANG, config, told(where)) as process:
        owner, job_id = _line(process).split()
        assert int(job_id) == job.id
        assert alive(owner)
        assert store.recovery.recover(alive, max_attempts=3) == []
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
    assert not alive(owner)
    (back,) = store.recovery.recover(alive, max_attempts=3)
    assert (back.id, back.state, back.attempts) == (job.id, JobState.QUEUED, 1)
    assert "ended unexpectedly" in back.reason
    assert list(store.checkpoints.lines(job.id, "es")) == [0]
    assert store.recovery.recover(alive, max_attempts=3) == []
    again = store.jobs.claim("next")
    assert again is not None
    assert (again.id, again.attempts, again.reason) == (job.id, 2, "")
    assert remove_dead_locks(config) == 1
    assert list((config / "run").iterdir()) == []


def test_a_job_that_somebody_else_took_over_is_left_to_them(store: Store) -> None:
    """Two processes that recover at once start a job once."""
    job = store.jobs.claim_job(a_job(store).id, "dead")

    def take_over_meanwhile(owner: str) -> bool:
        if owner == "dead":
            store.jobs.requeue(job.id)
            store.jobs.claim_job(job.id, "living")
        return False

    assert store.recovery.recover(take_over_meanwhile, max_attempts=3) == []
    assert store.jobs.get(job.id).state is JobState.RUNNING


def died(store: Store, job_id: int) -> JobRecord:
    """Start a job in a process that dies with it."""
    store.jobs.claim_job(job_id, "dead")
    (back,) = store.recovery.recover(lambda owner: False, max_attempts=3, event="failed")
    return back


def test_a_job_that_ends_the_process_three_times_has_failed(store: Store) -> None:
    """A poison video is told once, with its message, and the queue goes on without it."""
    job, other = a_job(store, "es", "fr"), a_job(store, name="Other.mkv")
    assert [died(store, job.id).state for _ in range(3)] == [
        JobState.QUEUED,
        JobState.QUEUED,
        JobState.FAILED,
    ]
    failed = store.jobs.get(job.id)
    assert "3 times with Film.mkv" in failed.reason
    assert "dubarr-watch retry" in failed.reason
    assert [result.state for result in store.jobs.results(job.id)] == 2 * [JobState.FAILED]
    assert [message.job_id for message in store.notifications.pending()] == [job.id]
    claimed = store.jobs.claim("next")
    assert claimed is not None
    assert claimed.id == other.id


def test_a_job_that_comes_further_each_time_is_not_given_up(store: Store) -> None:
    """Power cuts do not fail a long film: each run finished another line."""
    job = a_job(store)
    for index in range(6):
        store.jobs.claim_job(job.id, "dead")
        store.checkpoints.save_line(job.id, "es", index, "key", "{}")
        (back,) = store.recovery.recover(lambda owner: False, max_attempts=3)
        assert (back.state, back.attempts) == (JobState.QUEUED, 1)
    assert [died(store, job.id).state for _ in range(2)] == [JobState.QUEUED, JobState.FAILED]


def test_a_job_to_be_cancelled_is_cancelled_by_the_death_of_its_process(store: Store) -> None:
    job = a_job(store)
    for _ in range(2):
        died(store, job.id)
    store.jobs.claim_job(job.id, "dead")
    store.jobs.cancel(job.id)
    (back,) = store.recovery.recover(lambda owner: False, max_attempts=3, event="failed")
    assert back.state is JobState.CANCELLED
    assert store.notifications.pending() == []


def test_an_ordinary_stop_is_no_attempt(store: Store) -> None:
    job = a_job(store)
    for _ in range(5):
        store.jobs.claim_job(job.id, "me")
        assert store.jobs.requeue(job.id, "Stopped with the program.", counted=False).attempts == 0


def test_an_owner_lives_until_it_lets_go(tmp_path: Path) -> None:
    """Also seen from its own process; each has an id of its own."""
    with Owner.acquire(tmp_path) as one, Owner.acquire(tmp_path) as two:
        assert one.id != two.id
        assert owner_is_alive(tmp_path, one.id)
        assert owner_is_alive(tmp_path, two.id)
        assert remove_dead_locks(tmp_path) == 0
        one.release()
        one.release()
        assert not owner_is_alive(tmp_path, one.id)
        assert owner_is_alive(tmp_path, two.id)
    assert list((tmp_path / "run").iterdir()) == []


def test_nobody_and_the_unknown_are_dead(tmp_path: Path) -> None:
    """An empty id, and one whose file is gone, belong to no living process."""
    assert not owner_is_alive(tmp_path, "")
    assert not owner_is_alive(tmp_path, "123-abc")
    assert remove_dead_locks(tmp_path) == 0


def test_an_owner_in_its_birth_survives_a_clean_up(tmp_path: Path) -> None:
    """Processes that start while others clean up all end with a lock that counts."""
    stop = threading.Event()

    def clean() -> None:
        while not stop.is_set():
            remove_dead_locks(tmp_path)

    cleaner = threading.Thread(target=clean)
    cleaner.start()
    try:
        for _ in range(300):
            with Owner.acquire(tmp_path) as owner:
                assert owner_is_alive(tmp_path, owner.id)
    finally:
        stop.set()
        cleaner.join()


def test_a_config_dir_that_cannot_be_written_is_the_user_s_to_provide(tmp_path: Path) -> None:
    """The error names the folder."""
    (tmp_path / "config").write_text("a file")
    with pytest.raises(NotWritable, match="CONFIG_DIR"):
        Owner.acquire(tmp_path / "config")
