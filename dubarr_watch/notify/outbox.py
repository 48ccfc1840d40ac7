"""A thread that works an outbox of the store off: later, again when it failed, never in the way."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import structlog

from dubarr_watch.store.records import NotificationRecord

RETRY_DELAYS_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)
"""Waits before the second to the last try: a router's restart and a night's maintenance fit."""

POLL_S = 2.0
IDLE_POLL_S = 30.0

SENT = "sent"
FAILED = "failed"
UNWANTED = "unwanted"

_log = structlog.get_logger(__name__)


class Outbox:
    """Calls somebody who sends what is due.

    Args:
        name: Of the thread.
        work: Sends what is due, all that can be sent at once when it is told so; returns the
            seconds until something may be due again.
        on_duty: Whether this process is the one that sends.
    """

    def __init__(
        self, name: str, work: Callable[[bool], float], on_duty: Callable[[], bool]
    ) -> None:
        self._name = name
        self._work = work
        self._on_duty = on_duty
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start sending, first of all what an earlier run has left."""
        self._thread.start()

    def wake(self) -> None:
        """Look into the outbox now."""
        self._news.set()

    def stop(self, timeout_s: float) -> None:
        """Send what can be sent within a moment; the rest stays in the outbox."""
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        while True:
            last_time = self._stopping.is_set()
            wait_s = POLL_S
            try:
                wait_s = self._work(last_time) if self._on_duty() else POLL_S
            except Exception:  # noqa: BLE001 - logged; nothing is lost, the next round may go well
                if not self._stopping.is_set():
                    _log.exception("outbox not sent", of=self._name)
            if last_time:
                return
            self._news.wait(wait_s)
            self._news.clear()


def due_in_s(record: NotificationRecord, delays_s: Sequence[float]) -> float:
    """Return the seconds until a message that failed before is tried again; 0 or less: now."""
    return delays_s[min(record.attempts, len(delays_s)) - 1] - age_s(record)


def age_s(record: NotificationRecord) -> float:
    """Return how long ago a message was added or changed last."""
    # The clock may have been set back; nobody waits longer for that.
    passed_s = (datetime.now(UTC) - record.at).total_seconds()
    return passed_s if passed_s >= 0 else float("inf")
