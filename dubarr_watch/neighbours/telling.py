"""Telling servers what was published, from the outbox that push messages use as well.

A row is in the outbox in the same transaction as the job's end. A server that is away never delays
or fails a job; it is tried again for two hours, and what goes wrong is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog

from dubarr_watch.errors import DubarrError, NotInStore
from dubarr_watch.neighbours.servers import NotTheirs, Server, configured
from dubarr_watch.notify.outbox import (
    FAILED,
    IDLE_POLL_S,
    POLL_S,
    RETRY_DELAYS_S,
    SENT,
    UNWANTED,
    Outbox,
    due_in_s,
)
from dubarr_watch.settings import Settings
from dubarr_watch.store.notifications import LOOK
from dubarr_watch.store.records import PENDING, JobState, NotificationRecord
from dubarr_watch.store.store import Store

_LOG = structlog.get_logger(__name__)
_WITH_TRACKS = (JobState.DONE, JobState.DONE_WITH_WARNINGS, JobState.FAILED)


def looks_for(settings: Settings, state: JobState) -> list[str]:
    """Return what to put into the outbox when a job ends so: a row for each server.

    A job that failed may have published some of its languages.
    """
    return [f"{LOOK}{name}" for name in configured(settings)] if state in _WITH_TRACKS else []


class Teller:
    """Tells servers, in a thread of its own.

    Args:
        settings: Where they are, and what lets us in.
        store: Holds the outbox.
        retry_delays_s: Waits between tries; one try more than there are waits.
        on_duty: See `Outbox`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        self._settings = settings
        self._store = store
        self._delays_s = tuple(retry_delays_s)
        self._servers = configured(settings)
        self._outbox = Outbox("servers", self._work, on_duty)

    def start(self) -> None:
        """Start telling, first of all what an earlier run left in the outbox."""
        self._outbox.start()

    def wake(self) -> None:
        """Look into the outbox now: a job has ended."""
        self._outbox.wake()

    def stop(self, timeout_s: float = 1.0) -> None:
        """End the thread; what was not told stays in the outbox."""
        self._outbox.stop(timeout_s)

    def _work(self, at_once: bool) -> float:
        """Tell what is due; returns the seconds until something may be due again."""
        if at_once:
            return 0.0
        pending = self._store.notifications.pending(looks=True)
        waits: list[float] = []
        away: dict[str, str] = {}
        for record in pending:
            wait_s = due_in_s(record, self._delays_s) if record.attempts else 0.0
            if wait_s > 0:
                waits.append(wait_s)
            elif record.event in away:
                self._failed(record, away[record.event])  # not asked again so soon
            else:
                self._tell(record, away)
        return max(0.0, min([POLL_S, *waits])) if pending else IDLE_POLL_S

    def _tell(self, record: NotificationRecord, away: dict[str, str]) -> None:
        server = self._servers.get(record.event.removeprefix(LOOK))
        try:
            job = self._store.jobs.get(record.job_id or 0)
        except NotInStore:
            job = None
        if server is None or job is None or not self._store.jobs.tracks(job.id):
            self._settle(record, UNWANTED, "There is nobody to tell, or nothing.")
            return
        try:
            server.look(job.video.path)
        except NotTheirs as error:
            self._settle(record, UNWANTED, str(error), server)
        except DubarrError as error:
            away[record.event] = str(error)
            self._failed(record, str(error), server)
        else:
            self._settle(record, SENT, server.line.label, server)

    def _failed(
        self, record: NotificationRecord, detail: str, server: Server | None = None
    ) -> None:
        outcome = FAILED if record.attempts >= len(self._delays_s) else PENDING
        self._settle(record, outcome, detail, server)

    def _settle(
        self,
        record: NotificationRecord,
        outcome: str,
        detail: str,
        server: Server | None = None,
    ) -> None:
        detail = self._settings.without_secrets(detail)
        attempts = record.attempts + 1
        self._store.notifications.settle([record.id], outcome, detail, attempts)
        if server is None:
            return
        # Told once when it begins to fail, and once when it is given up; not at every try.
        loud = outcome == FAILED or (outcome == PENDING and not record.attempts)
        say = _LOG.warning if loud else _LOG.info if outcome == SENT else _LOG.debug
        say("server", server=server.line.label, job=record.job_id, outcome=outcome, detail=detail)
