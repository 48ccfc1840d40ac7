"""What neighbours told us: kept before it is answered, worked off later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.models import Inbox


class InboxState(StrEnum):
    """What became of a message: `pending` is still to be worked off."""

    PENDING = "pending"
    DONE = "done"
    IGNORED = "ignored"
    REFUSED = "refused"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class InboxRecord:
    """A message from a neighbour.

    Attributes:
        id: Row id, in the order of arrival.
        sender: e.g. `Radarr`; empty when nobody says who it is.
        event: As the sender calls it.
        payload: Its JSON; empty once it is worked off.
        state: See `InboxState`.
        outcome: What was done, or why nothing, in plain words.
        attempts: Times that working it off was begun.
        received_at: UTC.
        handled_at: UTC.
    """

    id: int
    sender: str
    event: str
    payload: str
    state: InboxState
    outcome: str
    attempts: int
    received_at: datetime
    handled_at: datetime | None


class InboxRows:
    """Messages from neighbours; one that is pending outlives the process that took it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, messages: Sequence[tuple[str, str, str]]) -> list[int]:
        """Keep messages, all in one transaction, and return their ids.

        Args:
            messages: (sender, event, payload).
        """
        with self._database.transaction():
            return [
                self._database.run(
                    Inbox.insert(
                        sender=sender, event=event, payload=payload, state=InboxState.PENDING,
                        outcome="", attempts=0, received_at=utc_now(),
                    )
                )
                for sender, event, payload in messages
            ]  # fmt: skip

    def next_pending(self) -> InboxRecord | None:
        """Return the oldest message that is to be worked off."""
        pending = Inbox.select().where(Inbox.state == InboxState.PENDING)
        row = self._database.first(pending.order_by(Inbox.id))
        return None if row is None else _record(row)

    def count_pending(self) -> int:
        """Return how many messages are to be worked off."""
        rows = self._database.rows("SELECT COUNT(*) FROM inbox WHERE state = 'pending'")
        return int(rows[0][0])

    def begin(self, message: int) -> None:
        """Count one more attempt to work a message off."""
        self._database.run(Inbox.update(attempts=Inbox.attempts + 1).where(Inbox.id == message))

    def settle(self, message: int, state: InboxState, outcome: str) -> None:
        """Keep what became of a message; its payload is dropped."""
        self._database.run(
            Inbox.update(state=state, outcome=outcome, payload="", handled_at=utc_now()).where(
                Inbox.id == message
            )
        )

    def recent(self, limit: int = 20) -> list[InboxRecord]:
        """Return the newest messages, pending ones included, newest first."""
        query = Inbox.select().order_by(Inbox.id.desc()).limit(limit)
        return [_record(row) for row in self._database.all(query)]

    def prune(self, keep: int) -> None:
        """Forget all but the newest messages that are worked off."""
        self._database.execute(
            "DELETE FROM inbox WHERE state != 'pending' AND id <= "
            "(SELECT id FROM inbox WHERE state != 'pending' ORDER BY id DESC LIMIT 1 OFFSET ?)",
            keep,
        )


def _record(row: Any) -> InboxRecord:
    return InboxRecord(
        id=row.id,
        sender=row.sender,
        event=row.event,
        payload=row.payload,
        state=InboxState(row.state),
        outcome=row.outcome,
        attempts=row.attempts,
        received_at=row.received_at,
        handled_at=row.handled_at,
    )
