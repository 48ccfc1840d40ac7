"""What an engine's owner gets from the host: who asks, for how long, and where it may run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dubarr_watch.engines.process import EngineUsage
from dubarr_watch.settings import child_environment

POLL_S = 0.25
"""How often whoever waits looks whether the job was cancelled."""


def never() -> bool:
    """Say that nobody cancelled."""
    return False


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine that runs its own process (`EngineSpec.owns_process`) gets from the host.

    Attributes:
        kind: Which seam it serves.
        cancelled: Asked several times a second while a call lasts.
        stall_s: Seconds without progress after which a call is given up.
        environment: The whole environment of the process.
        record: Told what a process cost when it has ended.
    """

    kind: str = "synthesizer"
    cancelled: Callable[[], bool] = never
    stall_s: float = 600.0
    environment: Mapping[str, str] = field(default_factory=child_environment)
    record: Callable[[EngineUsage], None] = lambda usage: None
