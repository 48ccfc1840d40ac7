"""Jobs side by side: claimed by threads, each once, all of them stopped together."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from dubarr_watch.errors import StoreError, StoreUnreachable
from dubarr_watch.runner import Ended, JobRunner
from dubarr_watch.store.records import JobRecord, JobState
from dubarr_watch.workers import Bell, Workers
from tests.composing import Shop, make_talk, open_shop
from tests.waiting import eventually


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


class Runner:
    """Runs jobs that last until they are told to end; remembers who ran at a time."""

    def __init__(self, shop: Shop) -> None:
        self._store = shop.store
        self._changed = threading.Condition()
        self.running: set[int] = set()
        self.most = 0
        self.begun: list[int] = []
        self.may_end = threading.Event()

    def run(self, job: JobRecord, *, should_stop: Any, **_: Any) -> Ended:
        with self._changed:
            self.running.add(job.id)
            self.begun.append(job.id)
            self.most = max(self.most, len(self.running))
        eventually(lambda: self.may_end.is_set() or should_stop())
        with self._changed:
            self.running.discard(job.id)
        if should_stop():
            return Ended(self._store.jobs.requeue(job.id), None, 0.0)
        return Ended(self._store.jobs.finish(job.id, JobState.DONE), None, 0.0)


class AtWork:
    """Workers in a thread, as the daemon has them in its main one."""

    def __init__(self, shop: Shop, runner: Runner, count: int, poll_s: float = 0.05) -> None:
        self.ended: list[Ended] = []
        self.bell = Bell()
        self.error: BaseException | None = None
        self.workers = Workers(
            shop.store, cast(JobRunner, runner), shop.owner.id,
            count=count, bell=self.bell, on_end=self.ended.append, poll_s=poll_s,
        )  # fmt: skip
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.workers.run()
        except StoreError as error:
            self.error = error

    def stop(self) -> None:
        self.workers.stop()
        self.thread.join(30)
        assert not self.thread.is_alive()


def test_workers_outlive_a_database_server_that_does_not_answer_a_claim(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They ask again until it is back, say so once, and then work as before."""
    claims, refused = type(shop.store.jobs), threading.Semaphore(0)
    claim, back = claims.claim, threading.Event()

    def refuse(self: Any, *told: Any, **more: Any) -> JobRecord | None:
        if back.is_set():
            return claim(self, *told, **more)
        refused.release()
        raise StoreUnreachable("The database server does not answer.")

    monkeypatch.setattr(claims, "claim", refuse)
    queue_jobs(shop, 1)
    runner = Runner(shop)
    runner.may_end.set()
    with capture_logs() as said:
        at_work = AtWork(shop, runner, 1)
        assert all(refused.acquire(timeout=60) for _ in range(3))
        assert at_work.workers.alive
        back.set()
        eventually(lambda: at_work.ended, "the job has ended")
        at_work.stop()
    assert at_work.error is None
    events = [line["event"] for line in said if line["event"].startswith("database_")]
    assert events == ["database_away", "database_back"]


def queue_jobs(shop: Shop, count: int) -> list[int]:
    jobs = []
    for number in range(count):
        # Content tells videos apart, so each is a little longer.
        film = make_talk(shop.videos / f"{number}.mkv", 1.0 + number / 4)
        jobs.append(shop.enqueue(film).id)
    return jobs


@pytest.mark.parametrize("count", [1, 2, 3])
def test_as_many_jobs_run_at_a_time_as_there_are_workers(shop: Shop, count: int) -> None:
    """The others wait, and each job is run once, the oldest first."""
    jobs, runner = queue_jobs(shop, 5), Runner(shop)
    work = AtWork(shop, runner, count)
    eventually(lambda: len(runner.running) == count, "all workers are busy")
    assert shop.store.jobs.counts()[JobState.RUNNING] == count
    runner.may_end.set()
    eventually(lambda: len(work.ended) == 5, "all jobs have ended")
    work.stop()
    assert runner.most == count
    assert sorted(runner.begun) == jobs
    assert set(runner.begun[:count]) == set(jobs[:count])


def test_told_to_stop_every_job_stops_and_is_queued_again(shop: Shop) -> None:
    """None is lost, none is left running."""
    queue_jobs(shop, 2)
    runner = Runner(shop)
    work = AtWork(shop, runner, 2)
    eventually(lambda: len(runner.running) == 2)
    work.stop()
    assert shop.store.jobs.counts()[JobState.QUEUED] == 2


def test_a_bell_wakes_whoever_waits_for_work(shop: Shop) -> None:
    """Nobody waits for the next look at the queue."""
    runner = Runner(shop)
    runner.may_end.set()
    work = AtWork(shop, runner, 2, poll_s=3600)
    queue_jobs(shop, 1)
    work.bell.ring()
    eventually(lambda: work.ended)
    work.stop()


def test_a_store_that_fails_stops_all_workers_and_is_told(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that cannot read its queue must not look alive."""
    queue_jobs(shop, 1)
    runner = Runner(shop)
    work = AtWork(shop, runner, 2)
    eventually(lambda: runner.running)

    def broken(owner: str) -> None:
        raise StoreError("The database failed.")

    monkeypatch.setattr(shop.store.jobs, "claim", broken)
    work.thread.join(30)
    assert isinstance(work.error, StoreError)
    assert runner.running == set()
