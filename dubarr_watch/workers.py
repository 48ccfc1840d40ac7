"""Workers of the daemon: each claims a job, runs it, and claims the next.

While the models of one job hold a GPU, another job decodes, mixes or publishes.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from contextlib import suppress

import structlog

from dubarr_watch.errors import ClaimLost, DiskFull, StoreUnreachable
from dubarr_watch.runner import AFTER_AWAY, Ended, JobRunner
from dubarr_watch.space import SpaceGate
from dubarr_watch.store.records import JobRecord
from dubarr_watch.store.store import Store

log = structlog.get_logger(__name__)

_M_ARENA_MAX, _ARENAS = -8, 2  # mallopt(3)
_SIGNAL_S = 0.5
"""How soon the main thread heeds a signal that the system gave to another thread."""


class Bell:
    """Wakes everybody who waits; whoever is busy when it rings hears it afterwards."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._rung = 0

    @property
    def rung(self) -> int:
        """How often it was rung."""
        return self._rung

    def ring(self) -> None:
        """Wake all; safe in a signal handler, too."""
        with self._changed:
            self._rung += 1
            self._changed.notify_all()

    def wait(self, heard: int, timeout_s: float) -> None:
        """Wait until it was rung more often than `heard`, or until the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._rung > heard, timeout_s)


class Workers:
    """Threads that work the queue off.

    Args:
        store: The queue.
        runner: Runs what they claim.
        owner: Id of this process.
        count: How many jobs run at a time.
        bell: Rings when there may be a job.
        on_end: Called in a worker's thread when a job has ended or was queued again.
        poll_s: How soon they see what another process queued, or that there is space again.
        gate: Keeps them from claiming while a disk is full.
        on_full: Called with a job that the first lack of space stopped.
    """

    def __init__(
        self,
        store: Store,
        runner: JobRunner,
        owner: str,
        *,
        count: int,
        bell: Bell,
        on_end: Callable[[Ended], None],
        poll_s: float,
        gate: SpaceGate | None = None,
        on_full: Callable[[JobRecord], None] = lambda job: None,
    ) -> None:
        self._store = store
        self._runner = runner
        self._owner = owner
        self._count = count
        self._bell = bell
        self._on_end = on_end
        self._poll_s = poll_s
        self._gate = gate or SpaceGate()
        self._on_full = on_full
        self._stopping = threading.Event()
        self._away = False
        self._trouble: BaseException | None = None
        self._threads: list[threading.Thread] = []

    @property
    def alive(self) -> bool:
        """Whether every worker lives."""
        return bool(self._threads) and all(thread.is_alive() for thread in self._threads)

    def stop(self) -> None:
        """Ask every worker to stop at its job's next checkpoint; safe in a signal handler."""
        self._stopping.set()
        self._bell.ring()

    def run(self) -> None:
        """Work until told to stop.

        Raises:
            StoreError: The queue cannot be read or written; every worker has stopped then.
        """
        self._threads = [
            threading.Thread(target=self._guarded, name=f"worker-{number + 1}")
            for number in range(self._count)
        ]
        for thread in self._threads:
            thread.start()
        for thread in self._threads:
            while thread.is_alive():
                thread.join(_SIGNAL_S)
        if self._trouble is not None:
            raise self._trouble

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - raised again by `run`
            if self._trouble is None:
                self._trouble = error
            self.stop()

    def _work(self) -> None:
        while not self._stopping.is_set():
            heard = self._bell.rung
            job = self._next()
            if job is None:
                self._bell.wait(heard, self._poll_s)
            else:
                self._run_job(job)

    def _next(self) -> JobRecord | None:
        if not self._gate.is_open():
            return None
        try:
            job = self._store.jobs.claim(self._owner)
        except DiskFull as error:  # the database's own disk
            self._gate.close(error)
            return None
        except StoreUnreachable as error:  # the next look at the queue tries again
            self._is_away(error)
            return None
        self._is_back()
        return job

    def _is_away(self, error: StoreUnreachable) -> None:
        if not self._away:
            self._away = True
            log.warning("database_away", reason=error.message, hint=error.hint)

    def _is_back(self) -> None:
        if self._away:
            self._away = False
            log.info("database_back")

    def _run_job(self, job: JobRecord) -> None:
        try:
            ended = self._runner.run(job, should_stop=self._stopping.is_set)
        except DiskFull as error:
            self._gate.close(error)
            self._put_back(job, "Went on after a full disk.")
            return
        except StoreUnreachable as error:
            self._is_away(error)
            self._put_back(job, AFTER_AWAY)
            return
        if isinstance(ended.error, DiskFull):
            if self._gate.close(ended.error):
                self._on_full(ended.job)
        else:
            self._gate.had_room(job.video.path.parent)
        self._on_end(ended)
        give_memory_back()

    def _put_back(self, job: JobRecord, reason: str) -> None:
        """Queue a job again of which nothing can be written down now, once that can be."""
        while not self._stopping.is_set():
            heard = self._bell.rung
            if self._gate.is_open():
                try:
                    mine = self._store.under(job.id, job.token)
                    mine.jobs.requeue(job.id, reason, counted=False)
                except DiskFull as error:
                    self._gate.close(error)
                except StoreUnreachable as error:
                    self._is_away(error)
                except ClaimLost:
                    return
                else:
                    self._is_back()
                    return
            self._bell.wait(heard, self._poll_s)


def share_memory() -> None:
    """Let all threads take memory from two places; call it before there are any.

    glibc gives each thread a place of its own, up to eight for a core, and what one of them had at
    its largest stays with it: 60 MiB after 200 jobs of two seconds, 5 MiB with two places.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)


def give_memory_back() -> None:
    """Let the system have what a job's sound, or a scan, took: glibc keeps it for the next."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
