"""An engine's place at the devices: its turns on the CPU, its lease of a GPU."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from dubarr_watch.engines.base import Need, Place
from dubarr_watch.engines.cuda_libraries import library_folders
from dubarr_watch.errors import JobCancelled
from dubarr_watch.gpu.devices import child_environment
from dubarr_watch.gpu.entries import LeaseState
from dubarr_watch.gpu.leases import Lease, LeaseBroker
from dubarr_watch.gpu.queue import TURN_S
from dubarr_watch.gpu.wishes import Wish

POLL_S = 0.25
"""How often whoever waits looks whether the job was cancelled."""


def never() -> bool:
    """Say that nobody cancelled."""
    return False


@dataclass(slots=True)
class User:
    """Who uses an engine at the moment; a warm one changes hands.

    Attributes:
        cancelled: Whether to stop.
        job: Who it is for.
        priority: Who goes first when several wait.
    """

    cancelled: Callable[[], bool] = never
    job: int | None = None
    priority: int = 0


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

    def __init__(
        self,
        place: Place,
        environment: Mapping[str, str],
        lease: Lease | None = None,
        released: Callable[[], None] = lambda: None,
    ) -> None:
        self.place = place
        self.environment = environment
        self._lease = lease
        self._released = released

    def started(self, pid: int) -> None:
        """Tell which process it is: when that dies, its lease is taken back."""
        if self._lease is not None:
            self._lease.held_by(pid)

    def loaded(self) -> None:
        """Tell that the model is loaded, so that the next one may load.

        The end of the first call tells so too.
        """
        if self._lease is not None:
            self._lease.loaded()

    def on_leave(self, callback: Callable[[], None]) -> None:
        """Say how to end the process when it is idle and somebody waits for its memory.

        Args:
            callback: Called in a thread of its own, while no call is under way; must end the
                process and then call `release`.
        """
        if self._lease is not None:
            self._lease.on_leave(callback)

    def release(self) -> MemoryLeft:
        """Give the lease back, after the process has ended; waits until its memory is free."""
        if self._lease is None:
            self._released()
            return MemoryLeft()
        left = self._lease.release()
        self._released()
        return MemoryLeft(self._lease.peak_mib, left)

    def figures(self) -> str:
        """Return asked, leased, held and free memory, as part of a sentence."""
        return "on the CPU" if self._lease is None else self._lease.figures()


class Seat:
    """Where one engine computes, and whether it does at this moment.

    Args:
        kind: Which seam it serves.
        need: What it needs of a device; None on the CPU.
        broker: Hands out leases and turns; without one everybody computes at will.
        user: Who uses it.
    """

    def __init__(
        self,
        kind: str = "",
        need: Need | None = None,
        broker: LeaseBroker | None = None,
        user: User | None = None,
    ) -> None:
        self._kind = kind
        self._need = need
        self._broker = broker
        self._user = user or User()
        self._changed = threading.Condition()
        self._mine = threading.local()
        self._active = 0
        self._lease: Lease | None = None
        self._turn_s: float | None = None
        self._place: tuple[float, int] = (0.0, 0)
        self._taking_turn = False

    @contextmanager
    def computing(self) -> Iterator[None]:
        """See `EngineContext.computing`."""
        depth = getattr(self._mine, "depth", 0)
        if depth == 0:  # a call inside a call is part of it, and must not wait for its end
            while not self._enter():
                if self._user.cancelled():
                    raise JobCancelled("The job was cancelled.")
        self._mine.depth = depth + 1
        try:
            yield
        finally:
            self._mine.depth = depth
            if depth == 0:
                self._exit()

    def admit(self, environment: Mapping[str, str], *, alone: bool = False) -> Admission:
        """See `EngineContext.admit`."""
        need, user = self._need, self._user
        if need is None or self._broker is None:
            return Admission(Place(frugal=alone), environment)
        lease = self._broker.acquire(self._wish(need, alone=alone), cancelled=user.cancelled)
        with self._changed:
            self._lease = lease
        gpu = lease.gpu
        if gpu is None:
            return Admission(Place(frugal=alone), environment, released=self._forget)
        place = Place(gpu.kind, gpu.uuid if gpu.kind == "cuda" else "", lease.mib, alone)
        return Admission(place, _on_gpu(environment, gpu.uuid), lease, self._forget)

    def _wish(self, need: Need, *, alone: bool = False) -> Wish:
        return Wish(
            stage=self._kind,
            mib=need.mib,
            model=need.name,
            job=self._user.job,
            priority=self._user.priority,
            gpu=need.gpu,
            cpu=need.cpu,
            alone=alone,
        )

    def _forget(self) -> None:
        with self._changed:
            self._lease = None
            self._changed.notify_all()

    def _enter(self) -> bool:
        """Begin a call, or wait a little; tells whether it has begun."""
        if self._broker is None:
            return True
        with self._changed:
            lease = self._lease
            if lease is not None and lease.gpu is not None:
                # One whose process has died is found out, and replaced, by the call itself.
                if lease.busy() or lease.state in (LeaseState.RECLAIMING, LeaseState.ENDED):
                    self._active += 1
                    return True
                self._changed.wait(POLL_S)
                return False
            if not self._on_cpu(lease):
                self._active += 1
                return True
            if self._turn_s is not None and self._may_join(self._turn_s):
                self._active += 1
                return True
            if self._taking_turn or self._turn_s is not None:
                self._changed.wait(POLL_S)
                return False
            self._taking_turn = True
        self._take_turn(self._broker)
        return True

    def _take_turn(self, broker: LeaseBroker) -> None:
        taken = False
        try:
            self._place = broker.slots.acquire(
                priority=self._user.priority,
                cancelled=self._user.cancelled,
                stage=self._kind,
                job=self._user.job,
            )
            taken = True
        finally:
            with self._changed:
                self._taking_turn = False
                if taken:
                    self._turn_s = time.monotonic()
                    self._active += 1
                self._changed.notify_all()

    def _may_join(self, since_s: float) -> bool:
        """Tell whether a call may share the turn of another one of the same engine."""
        wanted = self._broker is not None and self._broker.slots.wanted
        return not wanted or time.monotonic() - since_s < TURN_S

    def _on_cpu(self, lease: Lease | None) -> bool:
        if self._need is None or lease is not None:
            return True
        return self._broker is None or not self._broker.has_gpu_for(self._wish(self._need))

    def _exit(self) -> None:
        if self._broker is None:
            return
        with self._changed:
            self._active -= 1
            if self._active:
                return
            if self._lease is not None:
                self._lease.idle()
            if self._turn_s is not None:
                self._turn_s = None
                self._broker.slots.release(self._place)
            self._changed.notify_all()


def _on_gpu(environment: Mapping[str, str], uuid: str) -> dict[str, str]:
    """Return the environment of a process that sees one GPU."""
    found = {**environment, **child_environment(uuid)}
    folders = [str(folder) for folder in library_folders()]
    if known := environment.get("LD_LIBRARY_PATH"):
        folders.append(known)
    if folders:
        found["LD_LIBRARY_PATH"] = ":".join(folders)
    return found
