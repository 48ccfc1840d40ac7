"""Push messages about jobs that ended: what they say, and how they surely get out."""

from __future__ import annotations

from dubarr_watch.notify.messages import JobEnded
from dubarr_watch.notify.notifier import Notifier, event_for, paused_event, test_services
from dubarr_watch.notify.outbox import FAILED, SENT
from dubarr_watch.notify.push import ServiceOutcome

__all__ = [
    "FAILED",
    "SENT",
    "JobEnded",
    "Notifier",
    "ServiceOutcome",
    "event_for",
    "paused_event",
    "test_services",
]
