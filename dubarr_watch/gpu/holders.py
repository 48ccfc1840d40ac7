"""The process behind a lease: what it holds, whether it lives, whether its memory came back."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

import psutil

from dubarr_watch.gpu.entries import Entry
from dubarr_watch.gpu.inventory import GpuProcess, Memory

RECLAIM_S = 5.0
"""How long memory may take to come back; 0.5 to 1.5 s is usual."""

_MOST_SHARE = 0.75
_NOISE_MIB = 32


@dataclass(frozen=True, slots=True)
class Reading:
    """What the driver said of a device at one moment.

    Attributes:
        memory: Its memory.
        processes: Who holds some, as far as the driver tells.
    """

    memory: Memory
    processes: Sequence[GpuProcess] = ()


@dataclass(slots=True)
class Holder:
    """Follows one lease from its grant until its memory is free.

    Attributes:
        entry: The lease.
        before_mib: What was used of the device when it was granted.
        alone: Nobody else had a lease of the device since then, so that every change is its own.
        exact: The driver tells what its process holds.
        left_mib: What did not come back.
        loaded_seen: What loading took was noted.
    """

    entry: Entry
    before_mib: int
    alone: bool = True
    exact: bool = False
    left_mib: int = 0
    loaded_seen: bool = False
    _used_mib: int = 0
    _others_mib: int = 0
    _last_mib: int | None = None
    _process: psutil.Process | None = field(default=None)

    @property
    def peak_known(self) -> bool:
        """Whether the peak was measured all along."""
        return self.exact or self.alone

    def held_by(self, pid: int) -> None:
        """Keep whose lease it is; the start time tells it from a later one with the same id."""
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(pid)
        self.entry.pid = pid

    def lives(self) -> bool:
        """Tell whether its process lives; true as long as nobody said which it is."""
        if self.entry.pid is None:
            return True
        try:
            return (
                self._process is not None
                and self._process.is_running()
                and self._process.status() != psutil.STATUS_ZOMBIE
            )
        except psutil.NoSuchProcess:
            return False

    def observe(self, reading: Reading, others_mib: int) -> None:
        """Note what it holds; call it while the process lives.

        Args:
            reading: Of its device.
            others_mib: What other leases of the device hold, as far as known.
        """
        used = reading.memory.used_mib
        told = self._told(reading.processes)
        self._used_mib, self._others_mib = used, others_mib
        if told is not None:
            self.exact = True
            self.entry.held_mib = told
        elif self.alone and not self.exact:
            self.entry.held_mib = max(0, used - self.before_mib)
        self.entry.peak_mib = max(self.entry.peak_mib, self.entry.held_mib or 0)

    def loaded(self, reading: Reading) -> None:
        """Note what loading took: nothing else was loaded meanwhile."""
        self.loaded_seen = True
        if not self.exact:
            self.entry.held_mib = max(0, reading.memory.used_mib - self.before_mib)
            self.entry.peak_mib = max(self.entry.peak_mib, self.entry.held_mib)

    def came_back(self, reading: Reading, others_mib: int) -> bool:
        """Tell whether its memory is free again; call it after the process has ended."""
        used, held = reading.memory.used_mib, self.entry.held_mib or 0
        recovered = self._used_mib - used + (others_mib - self._others_mib)
        if self.alone:
            recovered = max(recovered, held - max(0, used - self.before_mib))
        self.left_mib = max(0, held - recovered)
        settled = self._last_mib == used
        self._last_mib = used
        if self._told(reading.processes) is not None:
            return False
        return self.left_mib <= _NOISE_MIB or (settled and recovered >= _MOST_SHARE * held)

    def _told(self, processes: Sequence[GpuProcess]) -> int | None:
        """Return what the driver says its process and its children hold, if it says so."""
        if self.entry.pid is None:
            return None
        known = [one.mib for one in processes if _is_of(one.pid, self.entry.pid)]
        known = [mib for mib in known if mib is not None]
        return sum(known) if known else None  # type: ignore[arg-type]


def told(processes: Sequence[GpuProcess]) -> str:
    """Return who holds memory of a device, in words; empty when the driver names nobody."""
    return ", ".join(
        f"{_name(one.pid)} (process {one.pid}{'' if one.mib is None else f', {one.mib} MiB'})"
        for one in processes
    )


def _is_of(pid: int, leader: int) -> bool:
    """Tell whether a process leads a group or is in it; each engine leads one of its own."""
    if pid == leader:
        return True
    try:
        return os.getpgid(pid) == leader
    except (ProcessLookupError, PermissionError):
        return False


def _name(pid: int) -> str:
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return "somebody"
