"""Push messages about jobs that ended: a thread of its own works off an outbox in the store.

A message is in the outbox before anything is sent and leaves it only when every service took it
or the tries are used up; so neither a crash nor a dead service loses one, and no job ever waits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import structlog

from dubarr_watch.errors import DubarrError, NotInStore
from dubarr_watch.notify import push
from dubarr_watch.notify.messages import JobEnded, Message, compose, from_records, worker_lost
from dubarr_watch.notify.outbox import (
    FAILED,
    IDLE_POLL_S,
    POLL_S,
    RETRY_DELAYS_S,
    SENT,
    UNWANTED,
    Outbox,
    age_s,
    due_in_s,
)
from dubarr_watch.notify.push import ServiceOutcome
from dubarr_watch.settings import NotifyEvent, Settings
from dubarr_watch.store.records import PENDING, JobState, NotificationRecord
from dubarr_watch.store.store import Store

__all__ = ["JobEnded", "Notifier", "ServiceOutcome", "event_for", "test_services"]

_EVENTS = {
    JobState.DONE: NotifyEvent.DONE,
    JobState.DONE_WITH_WARNINGS: NotifyEvent.DONE_WITH_WARNINGS,
    JobState.FAILED: NotifyEvent.FAILED,
}
PUSH_DELAYS_S = (*RETRY_DELAYS_S, *[3600.0] * 46)
"""Waits before the second to the last try: a service that is down for a day or two is told."""

_log = structlog.get_logger(__name__)


def event_for(settings: Settings, state: JobState) -> str:
    """Return the event to put into the outbox when a job ends so; empty when nobody wants it.

    Give it to `Jobs.finish`, which keeps it in the same transaction as the job's end.
    """
    event = _EVENTS.get(state)
    wanted = event in settings.notify_on and push.is_configured(settings)
    return event.value if event is not None and wanted else ""


def paused_event(settings: Settings) -> str:
    """Return the event to put into the outbox when the queue pauses; empty when nobody wants it."""
    wanted = NotifyEvent.PAUSED in settings.notify_on and push.is_configured(settings)
    return NotifyEvent.PAUSED.value if wanted else ""


def test_services(settings: Settings) -> list[ServiceOutcome]:
    """Send a test message to every service and return how each took it.

    Raises:
        SettingsInvalid: The settings cannot be used.
    """
    if not push.is_configured(settings):
        return []
    message = Message(
        NotifyEvent.DONE, "dubarr-watch can reach you", "This is a test. Nothing needs to be done."
    )
    return push.send(settings, message)


class Notifier:
    """Sends messages from a thread of its own.

    Args:
        settings: NOTIFY_*.
        store: Holds the outbox.
        retry_delays_s: Waits between tries; one try more than there are waits.
        on_duty: See `Outbox`.

    Raises:
        SettingsInvalid: NOTIFY_URLS, NOTIFY_CONFIG or NOTIFY_TAGS cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        *,
        retry_delays_s: Sequence[float] = PUSH_DELAYS_S,
        on_duty: Callable[[], bool] = lambda: True,
    ) -> None:
        push.check(settings)
        self._settings = settings
        self._store = store
        self._delays_s = tuple(retry_delays_s)
        self._lost: dict[int, list[str]] = {}
        self._open: dict[int, set[str]] = {}
        self._back: set[str] = set()
        self._outbox = Outbox("notify", self._work, on_duty)

    def start(self) -> None:
        """Start sending, first of all what an earlier run left in the outbox."""
        self._outbox.start()

    def worker_lost(self, machine: str) -> None:
        """Put a message about a lost worker into the outbox, if anybody wants it; never raises.

        Args:
            machine: Name of its host; several that are lost together make one message.
        """
        wanted = NotifyEvent.WORKER_LOST in self._settings.notify_on
        if not wanted or not push.is_configured(self._settings):
            return
        try:
            record = self._store.notifications.add_pending(None, NotifyEvent.WORKER_LOST.value)
            self._lost.setdefault(record.id, []).append(machine)
        except DubarrError as error:
            _log.error("notification lost", worker=machine, reason=error.message)
        self._outbox.wake()

    def wake(self) -> None:
        """Look into the outbox now: a job's end may have put a message there."""
        self._outbox.wake()

    def stop(self, timeout_s: float = 4.0) -> None:
        """Send what can be sent within a moment; the rest stays in the outbox."""
        self._outbox.stop(timeout_s)

    def test(self) -> list[ServiceOutcome]:
        """Send a test message to every service now; see `test_services`."""
        return test_services(self._settings)

    def _work(self, at_once: bool) -> float:
        """Send what is due; returns the seconds until something may be due again."""
        pending = self._store.notifications.pending()
        fresh = [record for record in pending if record.attempts == 0]
        again = [record for record in pending if record.attempts > 0]
        waits: list[float] = []
        unheard: dict[frozenset[str], list[NotificationRecord]] = {}
        for record in again:
            unheard.setdefault(frozenset(self._open.get(record.id, ())), []).append(record)
        back, self._back = self._back, set()
        for only, records in unheard.items():
            # What the same services did not hear is one digest, due when its oldest part is.
            tries = max(record.attempts for record in records)
            oldest = [record for record in records if record.attempts == tries]
            wait_s = min(due_in_s(record, self._delays_s) for record in oldest)
            if wait_s > 0 and not (back & only or (back and not only)):
                waits.append(wait_s)
            elif not at_once:
                self._send(records, only)
                waits.append(0.0)
        if fresh:
            held_s = 0.0 if at_once else self._held_s(fresh)
            if held_s > 0:
                waits.append(held_s)
            else:
                self._send(fresh)
                waits.append(0.0)
        # Somebody may have emptied the queue without a job ending here.
        return max(0.0, min([POLL_S, *waits])) if pending else IDLE_POLL_S

    def _held_s(self, fresh: Sequence[NotificationRecord]) -> float:
        """Return how long the next message waits for other jobs; nobody waits for an idle queue."""
        counts = self._store.jobs.counts()
        if not counts[JobState.RUNNING] and not counts[JobState.QUEUED]:
            return 0.0
        return self._settings.notify_digest_seconds - max(map(age_s, fresh))

    def _send(self, records: Sequence[NotificationRecord], only: Collection[str] = ()) -> None:
        """Send records as one message and keep what became of it."""
        told = [(record, self._ended(record)) for record in records]
        unwanted = [record.id for record, ended in told if ended is None]
        if unwanted:
            self._store.notifications.settle(unwanted, UNWANTED, "Nobody is to be told.", 0)
            for id_ in unwanted:
                self._open.pop(id_, None)
        news = [(record, ended) for record, ended in told if ended is not None]
        if not news:
            return
        try:
            outcomes = push.send(self._settings, compose([ended for _, ended in news]), only)
        except DubarrError as error:
            outcomes = [ServiceOutcome("settings", False, error.message, "")]
        self._back |= {one.key for one in outcomes if one.ok and one.key}
        for attempts in sorted({record.attempts for record, _ in news}):
            same = [record.id for record, _ in news if record.attempts == attempts]
            self._settle(same, outcomes, attempts + 1)

    def _settle(
        self, ids: Sequence[int], outcomes: Sequence[ServiceOutcome], attempts: int
    ) -> None:
        failed = [one for one in outcomes if not one.ok]
        detail = "; ".join(f"{one.service} {one.detail}" for one in failed)
        if not outcomes:
            detail = "no service took it"
        if outcomes and not failed:
            outcome = SENT
            detail = ", ".join(one.service for one in outcomes)
        elif attempts > len(self._delays_s):
            outcome = FAILED
        else:
            outcome = PENDING
        self._store.notifications.settle(ids, outcome, detail, attempts)
        for id_ in ids:
            # Those that took it are not told again; a new process no longer knows, and may.
            self._open.pop(id_, None)
            if outcome != PENDING:
                self._lost.pop(id_, None)
            if outcome == PENDING:
                self._open[id_] = {one.key for one in failed if one.key}
        say = _log.info if outcome == SENT else _log.warning
        say("notification", outcome=outcome, messages=len(ids), attempts=attempts, detail=detail)

    def _ended(self, record: NotificationRecord) -> JobEnded | None:
        """Return what a record is about; nothing when it is forgotten or not wanted any more."""
        wanted = record.event in self._settings.notify_on and push.is_configured(self._settings)
        if not wanted:
            return None
        event = NotifyEvent(record.event)
        if event is NotifyEvent.WORKER_LOST:
            return worker_lost(self._lost.get(record.id, ()))
        if record.job_id is None:
            return None
        try:
            job = self._store.jobs.get(record.job_id)
        except NotInStore:
            return None
        if event is NotifyEvent.PAUSED and job.state.ended:
            return None
        return from_records(job, self._store.jobs.results(job.id), event)
