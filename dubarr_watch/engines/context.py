"""What an engine's owner gets from the host: who asks, for how long, and where it may run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from dubarr_watch.engines.base import Need, Place
from dubarr_watch.engines.process import EngineUsage
from dubarr_watch.settings import child_environment

POLL_S = 0.25
"""How often whoever waits looks whether the job was cancelled."""


def never() -> bool:
    """Say that nobody cancelled."""
    return False


@dataclass(frozen=True, slots=True)
class MemoryLeft:
    """What is known of a device's memory when a process has ended.

    Attributes:
        peak_mib: Most GPU memory that the process held; 0 on the CPU, and where nobody can tell.
        left_mib: What did not come back; 0 when all is well.
    """

    peak_mib: int = 0
    left_mib: int = 0


class Admission:
    """The right of one process to run on a device; got from `EngineContext.admit`.

    Attributes:
        place: Where it runs.
        environment: The whole environment of the process: it sees this device and no other.
    """

    def __init__(self, place: Place, environment: Mapping[str, str]) -> None:
        self.place = place
        self.environment = environment

    def started(self, pid: int) -> None:
        """Tell which process it is: when that dies, its lease is taken back."""

    def loaded(self) -> None:
        """Tell that the model is loaded, so that the next one may load.

        The end of the first call tells so too.
        """

    def on_leave(self, callback: Callable[[], None]) -> None:
        """Say how to end the process when it is idle and somebody waits for its memory.

        Args:
            callback: Called in a thread of its own, while no call is under way; must end the
                process and then call `release`.
        """

    def release(self) -> MemoryLeft:
        """Give the lease back, after the process has ended; waits until its memory is free."""
        return MemoryLeft()


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine that runs its own process (`EngineSpec.owns_process`) gets from the host.

    Attributes:
        kind: Which seam it serves.
        cancelled: Asked several times a second while a call lasts.
        stall_s: Seconds without progress after which a call is given up.
        environment: The environment of a process on the CPU; on a GPU the one of its admission.
        record: Told what a process cost when it has ended.
        need: What it needs of a device; None when it only takes its turn on the CPU.
    """

    kind: str = "synthesizer"
    cancelled: Callable[[], bool] = never
    stall_s: float = 600.0
    environment: Mapping[str, str] = field(default_factory=child_environment)
    record: Callable[[EngineUsage], None] = lambda usage: None
    need: Need | None = None

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
        return Admission(Place(frugal=alone), self.environment)
