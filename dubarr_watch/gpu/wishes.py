"""What is asked of the broker, and by which rules it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.settings import Device, Settings

LEARNED_SHARE = 1.1
LEARNED_MIB = 256
"""What is added to a peak that was measured: another film may take a little more."""

Prefer = Callable[[str, Sequence[Gpu]], Sequence[Gpu]]
"""Called with the stage and the devices that would do; returns them, the preferred one first."""


class Needs(Protocol):
    """What engines were seen to need."""

    def peak_mib(self, model: str, device: str) -> int | None:
        """Return the most that an engine and model held on devices of a name, if it is known."""
        ...

    def keep(self, model: str, device: str, mib: int) -> None:
        """Keep what was measured."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """How leases are handed out.

    Attributes:
        margin_mib: MiB of each device that are never handed out.
        cpu_slots: Engines that compute on the CPU at a time.
        cpu_fallback: An engine that can runs on the CPU when no device is large enough.
        engine_mib: MiB by stage that the user knows better.
        stall_s: Seconds that a request waits while nothing moves and nobody of ours is in its way.
    """

    margin_mib: int = 512
    cpu_slots: int = 1
    cpu_fallback: bool = True
    engine_mib: Mapping[str, int] = field(default_factory=dict)
    stall_s: float = 600.0

    @classmethod
    def of(cls, settings: Settings) -> Rules:
        """Return the rules that settings ask for."""
        return cls(
            margin_mib=settings.gpu_margin_mib,
            cpu_slots=settings.cpu_slots,
            cpu_fallback=settings.cpu_fallback or settings.device is Device.CPU,
            engine_mib=settings.engine_mib,
            stall_s=settings.stall_seconds,
        )


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants a lease for.

    Attributes:
        stage: Which seam it is for, or any other word.
        mib: Estimate of its peak in MiB; what was measured or told by the user goes before it.
        model: Engine and model; what it was seen to need is kept under this name.
        job: Who it is for.
        priority: Higher sooner; 5 minutes of waiting weigh as much as one step.
        gpu: Index (NVML's) of the only GPU that will do, or None.
        cpu: Whether it can run on the CPU.
        alone: Only on a device that nobody else has a lease of; then all that is free there.
    """

    stage: str
    mib: int
    model: str = ""
    job: int | None = None
    priority: int = 0
    gpu: int | None = None
    cpu: bool = False
    alone: bool = False
