"""What an engine's owner gets from the host: who asks, for how long, and where it may run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from dubarr_watch.engines.process import EngineUsage
from dubarr_watch.engines.seat import POLL_S, Admission, MemoryLeft, Seat, never
from dubarr_watch.settings import child_environment

__all__ = ["POLL_S", "Admission", "EngineContext", "MemoryLeft", "never"]


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine that runs its own process (`EngineSpec.owns_process`) gets from the host.

    Attributes:
        kind: Which seam it serves.
        cancelled: Asked several times a second while a call lasts.
        stall_s: Seconds without progress after which a call is given up.
        environment: The environment of a process on the CPU; on a GPU the one of its admission.
        record: Told what a process cost when it has ended.
        seat: Its place at the devices.
    """

    kind: str = "synthesizer"
    cancelled: Callable[[], bool] = never
    stall_s: float = 600.0
    environment: Mapping[str, str] = field(default_factory=child_environment)
    record: Callable[[EngineUsage], None] = lambda usage: None
    seat: Seat = field(default_factory=Seat)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Be busy for the length of a `with` block; put one around each call, load included.

        On the CPU the engine waits here for its turn. On a GPU it is not asked to leave
        meanwhile; if it was asked before, this waits until that process is gone, and the call
        finds none and starts another. So enter it without holding a lock that ending the process
        needs, and look only inside for the process. Calls may overlap.

        Raises:
            JobCancelled: As `cancelled` says.
        """
        with self.seat.computing():
            yield

    def admit(self, *, alone: bool = False) -> Admission:
        """Wait for the right to start the process; call it inside `computing`.

        Args:
            alone: The process ran out of memory: wait until it can have a device for itself. Its
                place is then `frugal`.

        Raises:
            JobCancelled: As `cancelled` says.
            LeaseError: No device can hold it, and it may not run on the CPU.
        """
        return self.seat.admit(self.environment, alone=alone)
