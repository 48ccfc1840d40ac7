"""What the daemon does at its start and each night: copies of the database, and clearing up."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from dubarr_watch.dubbing.keeping import is_kept
from dubarr_watch.dubbing.leftovers import remove_work
from dubarr_watch.errors import DubarrError, JobCancelled
from dubarr_watch.runner import keeping_of
from dubarr_watch.settings import Settings
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.records import JobState
from dubarr_watch.store.store import Store

log = structlog.get_logger(__name__)

_LOOK_EVERY_S = 900.0

_LAST_COPY = "backup day"
_JUMP_S = 43_200.0


class Upkeep:
    """A thread that copies the database once a day and clears what is kept too long.

    Args:
        settings: CONFIG_DIR, DEBUG_MODE, KEEP_WORK_DAYS, KEEP_WORK_GIB and HISTORY_DAYS.
        store: What is looked after.
        today: The local date, as in `2026-01-31`.
        look_every_s: How soon a new day is noticed.
        should_stop: True ends a copy that is being made, for which everybody who writes waits.
        clock: The time, in seconds since 1970; it may jump.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        today: Callable[[], str] = lambda: f"{datetime.now():%Y-%m-%d}",  # noqa: DTZ005 - nights are local
        look_every_s: float = _LOOK_EVERY_S,
        should_stop: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._store = store
        self._today = today
        self._look_every_s = look_every_s
        self._should_stop = should_stop
        self._clock = clock
        self._ahead_s = clock() - time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="upkeep", daemon=True)

    def start(self) -> None:
        """Clear up after processes that died, then begin to look after everything."""
        self._clear_leftovers()
        self._thread.start()

    def stop(self) -> None:
        """Stop soon; a copy that is being made is made another time."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            try:
                self._once_a_day()
            except JobCancelled:
                return
            except DubarrError as error:
                log.error("upkeep", error=error)
            except Exception:
                log.exception("upkeep")
            if self._stopping.wait(self._look_every_s):
                return

    def _once_a_day(self) -> None:
        today = self._today()
        if self._store.meta.get(_LAST_COPY) == today:
            return
        if not self._has_jumped():
            if not self._settings.debug_mode:
                keeping_of(self._settings, self._store).prune()
            self._forget_history()
        if self._store.backups.possible:
            self._copy(today)
        self._store.meta.set(_LAST_COPY, today)

    def _has_jumped(self) -> bool:
        """Tell whether the clock was set ahead since the last day: then nothing has become old.

        If it stays so, what is old by it goes the day after.
        """
        before, self._ahead_s = self._ahead_s, self._clock() - time.monotonic()
        jumped = self._ahead_s - before > _JUMP_S
        if jumped:
            log.warning("clock jumped", days=round((self._ahead_s - before) / 86_400, 1),
                        note="Nothing is forgotten today for being old.")  # fmt: skip
        return jumped

    def _copy(self, today: str) -> None:
        copy = self._store.backups.make(
            today, lambda: self._stopping.is_set() or self._should_stop()
        )
        if copy is None:
            log.error(
                "database damaged",
                note="The database is damaged, so it was not copied.",
                advice="Stop dubarr-watch, then: dubarr-watch restore",
            )
        else:
            log.info("database copied", copy=copy)

    def _forget_history(self) -> None:
        days = self._settings.history_days
        if not days:
            return
        jobs = self._store.history.prune(utc_now() - timedelta(days=days))
        for job in jobs:
            remove_work(self._settings, job, reports=True)
        if jobs:
            log.info("history forgotten", jobs=len(jobs))

    def _clear_leftovers(self) -> None:
        """Remove work folders of jobs that are over or unknown, but for what `redo` needs."""
        if self._settings.debug_mode:
            return
        keeping_of(self._settings, self._store).prune()
        kept = {JobState.QUEUED, JobState.WAITING, JobState.RUNNING, JobState.FAILED}
        for folder in self._settings.work_dir.iterdir():
            job = self._store.jobs.find(folder.name) if folder.name.isdigit() else None
            if job is None or (job.state not in kept and not is_kept(folder)):
                shutil.rmtree(folder, ignore_errors=True)
