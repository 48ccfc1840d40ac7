"""The lease broker: the right to so many MiB of one device, handed out, watched and taken back."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager

import structlog

from dubarr_watch.errors import DeviceError, JobCancelled, LeaseError
from dubarr_watch.gpu import devices
from dubarr_watch.gpu.clerk import Clerk, Driver
from dubarr_watch.gpu.entries import Entry, LeaseState, Request
from dubarr_watch.gpu.holders import RECLAIM_S
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.journal import Journal
from dubarr_watch.gpu.shared import SharedLedger
from dubarr_watch.gpu.slots import POLL_S, CpuSlots
from dubarr_watch.gpu.turns import TurnJournal, TurnKeeper
from dubarr_watch.gpu.wishes import LEARNED_MIB, LEARNED_SHARE, Needs, Prefer, Rules, Wish

log = structlog.get_logger(__name__)


class LeaseBroker:
    """Hands out memory of devices, and turns on the CPU.

    Safe to use from any thread. Without devices it only hands out turns.

    Args:
        gpus: The devices.
        rules: How leases are handed out.
        driver: Tells what is free; the real one when None.
        prefer: Orders devices for a stage; the one with the most room is taken when None.
        needs: What engines were seen to need, and where that is kept.
        journal: Where leases are written down for onlookers.
        turn_journal: Where turns on the CPU are.
        ledger: Leases of other daemons on this machine.
        owner: Unique for this daemon.
    """

    def __init__(
        self,
        gpus: Sequence[Gpu] = (),
        rules: Rules | None = None,
        *,
        driver: Driver = devices,
        prefer: Prefer | None = None,
        needs: Needs | None = None,
        journal: Journal | None = None,
        turn_journal: TurnJournal | None = None,
        ledger: SharedLedger | None = None,
        owner: str = "",
    ) -> None:
        self.rules = rules or Rules()
        self.gpus = tuple(gpus)
        owner = owner or f"{os.getpid()}-{secrets.token_hex(4)}"
        self.slots = CpuSlots(self.rules.cpu_slots, self._turn_asked)
        self._turns = None if turn_journal is None else TurnKeeper(self.slots, turn_journal, owner)
        self._driver = driver
        self._prefer = prefer
        self.needs = needs
        self._clerk = Clerk(
            {gpu.uuid: gpu for gpu in gpus},
            self.rules.margin_mib,
            driver,
            ledger=ledger,
            journal=journal,
            owner=owner,
            learn=self._learn,
        )

    @contextmanager
    def lease(
        self, stage: str, mib: int, *, priority: int = 0, job: int | None = None
    ) -> Iterator[Lease]:
        """Hold a lease of some GPU for the length of a `with` block; see `acquire`."""
        lease = self.acquire(Wish(stage, mib, priority=priority, job=job))
        try:
            yield lease
        finally:
            lease.release()

    def acquire(self, wish: Wish, *, cancelled: Callable[[], bool] = lambda: False) -> Lease:
        """Wait for a lease.

        Args:
            wish: What it is for.
            cancelled: Asked every 0.25 s.

        Returns:
            The lease, to be released; one without a device when it is to run on the CPU.

        Raises:
            JobCancelled: As `cancelled` says.
            LeaseError: No device is large enough, or what there is does not become free though
                nobody of ours holds it; and it may not run on the CPU.
        """
        fitting = self._fitting(wish)
        if not fitting:
            return self._without(wish, self._too_large(wish))
        entry = self._clerk.ask(
            Request(
                stage=wish.stage,
                asked_s=time.monotonic(),
                mib=fitting,
                priority=wish.priority,
                job=wish.job,
                model=wish.model,
                by_room=self._prefer is None,
                alone=wish.alone,
            )
        )
        try:
            stalled = self._wait(entry, cancelled)
        except BaseException:
            self._clerk.gone(entry)
            raise
        if stalled is not None:
            self._clerk.gone(entry)
            return self._without(wish, stalled)
        return Lease(self, entry, self._clerk, wish)

    def has_gpu_for(self, wish: Wish) -> bool:
        """Tell whether any device is large enough."""
        return bool(self._fitting(wish))

    def turn(
        self, *, priority: int = 0, cancelled: Callable[[], bool] = lambda: False
    ) -> AbstractContextManager[None]:
        """Hold a turn on the CPU for the length of a `with` block."""
        return self.slots.turn(priority=priority, cancelled=cancelled)

    def entries(self) -> list[Entry]:
        """Return the leases and requests that have not ended, in the order they were asked for."""
        return self._clerk.entries()

    def close(self) -> None:
        """Stop: what is leased stays with its processes, other daemons are told nothing more."""
        self._clerk.close()
        if self._turns is not None:
            self._turns.close()

    def _turn_asked(self) -> None:
        if self._turns is not None:
            self._turns.wake()

    def _wait(self, entry: Entry, cancelled: Callable[[], bool]) -> LeaseError | None:
        """Wait until an entry is granted; returns why it cannot be, when nothing moves."""
        moved, seen = time.monotonic(), self._clerk.situation(entry)
        while not self._clerk.granted(entry, POLL_S):
            if cancelled():
                raise JobCancelled("The job was cancelled.")
            now, found = time.monotonic(), self._clerk.situation(entry)
            if found.somebody_works or found != seen:
                moved, seen = now, found
            elif now - moved > self.rules.stall_s:
                return self._clerk.why_stalled(entry)
        return None

    def _without(self, wish: Wish, error: LeaseError) -> Lease:
        """Return the right to run on the CPU, where that is allowed."""
        if not (wish.cpu and self.rules.cpu_fallback):
            raise error
        if self.gpus:
            log.warning("on the CPU", stage=wish.stage, model=wish.model, because=error.message)
        return Lease(self, None, self._clerk, wish)

    def _fitting(self, wish: Wish) -> dict[str, int]:
        """Return the MiB that it needs of each device that is large enough, preferred first."""
        found = [
            gpu
            for gpu in self.gpus
            if wish.gpu in (None, gpu.index) and self.mib_on(wish, gpu) <= self._room(gpu)
        ]
        if self._prefer is not None:
            found = list(self._prefer(wish.stage, found))
        return {gpu.uuid: self.mib_on(wish, gpu) for gpu in found}

    def mib_on(self, wish: Wish, gpu: Gpu) -> int:
        """Return what it needs of a device: as the user says, as was measured, as estimated."""
        if (told := self.rules.engine_mib.get(wish.stage)) is not None:
            return told
        known = None
        if self.needs is not None and wish.model:
            known = self.needs.peak_mib(wish.model, gpu.name)
        if known is None:
            return wish.mib
        with_margin = max(known + LEARNED_MIB, int(known * LEARNED_SHARE))
        return min(with_margin, max(known, self._room(gpu)))

    def _room(self, gpu: Gpu) -> int:
        return gpu.total_mib - self.rules.margin_mib

    def _too_large(self, wish: Wish) -> LeaseError:
        name = f"{wish.stage} ({wish.model})" if wish.model else wish.stage
        usable = [gpu for gpu in self.gpus if wish.gpu in (None, gpu.index)]
        if not usable:
            which = "no GPU that may be used" if wish.gpu is None else f"no GPU {wish.gpu}"
            return DeviceError(
                f"The {name} needs a GPU, and there is {which}.",
                hint="`dubarr-watch doctor` tells what was found. CPU_FALLBACK=true lets it run "
                "on the CPU, where it can.",
            )
        largest = max(usable, key=self._room)
        return LeaseError(
            f"The {name} needs {self.mib_on(wish, largest)} MiB of GPU memory, and the largest "
            f"that may be used, {largest.name}, has {self._room(largest)} MiB to give "
            f"({largest.total_mib} less a margin of {self.rules.margin_mib}).",
            hint="Choose a smaller model, or tell with ENGINE_MIB what it really needs. "
            "CPU_FALLBACK=true lets it run on the CPU, where it can.",
        )

    def _learn(self, entry: Entry, gpu: Gpu) -> None:
        if self.needs is not None and entry.request.model and entry.peak_mib:
            self.needs.keep(entry.request.model, gpu.name, entry.peak_mib)


class Lease:
    """The right to some MiB of one device, or to run on the CPU; got from `LeaseBroker`.

    It lasts until `release`, or until the process that it was given to has died.
    """

    def __init__(self, broker: LeaseBroker, entry: Entry | None, clerk: Clerk, wish: Wish) -> None:
        self._broker = broker
        self._entry = entry
        self._clerk = clerk
        self.wish = wish

    @property
    def gpu(self) -> Gpu | None:
        """The device, or nothing on the CPU."""
        return None if self._entry is None else self._clerk.gpus[self._entry.device]

    @property
    def mib(self) -> int:
        """MiB of it; 0 on the CPU."""
        return 0 if self._entry is None else self._entry.mib

    @property
    def state(self) -> LeaseState:
        """Where it is in its life."""
        return LeaseState.BUSY if self._entry is None else self._entry.state

    @property
    def peak_mib(self) -> int:
        """The most that its process was seen to hold."""
        return 0 if self._entry is None else self._entry.peak_mib

    def held_by(self, pid: int) -> None:
        """Tell which process it is for: when that dies, the lease is taken back."""
        if self._entry is not None:
            self._clerk.held_by(self._entry, pid)

    def loaded(self) -> None:
        """Tell that the model is loaded, so that the next one may load."""
        if self._entry is not None:
            self._clerk.change(self._clerk.queue.loaded, self._entry)

    def busy(self) -> bool:
        """Tell that a call begins; false when it may not, since the lease is at its end."""
        return self._entry is None or self._clerk.change(self._clerk.queue.busy, self._entry)

    def idle(self) -> None:
        """Tell that no call is under way."""
        if self._entry is not None:
            self._clerk.change(self._clerk.queue.idle, self._entry)

    def on_leave(self, callback: Callable[[], None]) -> None:
        """Say how to end the process when it is idle and somebody waits for its memory.

        Args:
            callback: Called in a thread of its own; must end the process and call `release`.
        """
        if self._entry is not None:
            self._clerk.on_leave(self._entry, callback)

    def release(self, *, wait_s: float = RECLAIM_S + 1.0) -> int:
        """Give it back, after the process has ended, and wait until its memory is free.

        Returns:
            MiB that did not come back.
        """
        if self._entry is None:
            return 0
        return self._clerk.release(self._entry, wait_s)

    def figures(self) -> str:
        """Return what there is to say when memory did not suffice: asked, leased, free, device."""
        return "on the CPU" if self._entry is None else self._clerk.figures(self._entry)
