"""Push messages: an outbox of what has to be sent, and a record of what was."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.models import Notification
from dubarr_watch.store.records import PENDING, NotificationRecord

LOOK = "look:"
"""Begins the event of a message to a server, whose name follows: look at what was published."""


class Notifications:
    """Messages; one that is pending outlives the process that wrote it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add_pending(self, job_id: int | None, event: str) -> NotificationRecord:
        """Put a message into the outbox, unless the same one is there already."""
        with self._database.transaction():
            about = (
                Notification.job_id.is_null() if job_id is None else Notification.job_id == job_id
            )
            same = about & (Notification.event == event)
            waiting = Notification.outcome == PENDING
            row = self._database.first(Notification.select().where(waiting & same))
            if row is not None:
                return _record(row)
            return self._get(self._database.run(Notification.insert(**pending_row(job_id, event))))

    def pending(self, *, looks: bool = False) -> list[NotificationRecord]:
        """Return what has to be sent, oldest first: to people, or to servers (see `LOOK`)."""
        query = _select(looks=looks).where(Notification.outcome == PENDING)
        return [_record(row) for row in self._database.all(query.order_by(Notification.id))]

    def settle(self, ids: Iterable[int], outcome: str, detail: str, attempts: int) -> None:
        """Take messages out of the outbox, and keep what became of them.

        Args:
            ids: The messages; several when one digest told them all.
            outcome: e.g. `sent`, `failed`; `pending` keeps them there, with what went wrong.
            detail: Plain words, without any URL.
            attempts: Times that sending was tried.
        """
        changed = Notification.update(
            outcome=outcome, detail=detail, attempts=attempts, at=utc_now()
        )
        with self._database.transaction():
            for message in ids:
                self._database.run(changed.where(Notification.id == message))

    def record(
        self,
        job_id: int | None,
        event: str,
        outcome: str,
        detail: str,
        attempts: int,
        at: datetime | None = None,
    ) -> NotificationRecord:
        """Keep what became of a message that was never in the outbox; `at` is now unless told."""
        row = Notification.insert(
            job_id=job_id, event=event, outcome=outcome, detail=detail, attempts=attempts,
            at=at or utc_now(),
        )  # fmt: skip
        return self._get(self._database.run(row))

    def recent(self, limit: int = 20, *, looks: bool = False) -> list[NotificationRecord]:
        """Return the newest messages, pending ones included, newest first; see `pending`."""
        query = _select(looks=looks).order_by(Notification.id.desc()).limit(limit)
        return [_record(row) for row in self._database.all(query)]

    def _get(self, message: int) -> NotificationRecord:
        return _record(
            self._database.first(Notification.select().where(Notification.id == message))
        )


def pending_row(job_id: int | None, event: str) -> dict[str, Any]:
    """Return the values of a message that has to be sent."""
    return {
        "job_id": job_id, "event": event, "outcome": PENDING, "detail": "", "attempts": 0,
        "at": utc_now(),
    }  # fmt: skip


def _select(*, looks: bool) -> Any:
    to_servers = Notification.event.startswith(LOOK)
    return Notification.select().where(to_servers if looks else ~to_servers)


def _record(row: Any) -> NotificationRecord:
    return NotificationRecord(
        id=row.id,
        job_id=row.job_id,
        event=row.event,
        outcome=row.outcome,
        detail=row.detail,
        attempts=row.attempts,
        at=row.at,
    )
