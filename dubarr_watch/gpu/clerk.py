"""The thread behind the broker: reads the driver, applies the rules, takes back what was left."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

import structlog

from dubarr_watch.errors import DeviceError, LeaseError
from dubarr_watch.gpu.books import Books, Situation
from dubarr_watch.gpu.entries import Entry, LeaseState, Peer, Request
from dubarr_watch.gpu.holders import Reading, told
from dubarr_watch.gpu.inventory import Gpu, GpuProcess, Memory
from dubarr_watch.gpu.journal import Journal, JournalKeeper
from dubarr_watch.gpu.queue import LeaseQueue
from dubarr_watch.gpu.shared import SharedLedger
from dubarr_watch.gpu.slots import POLL_S

log = structlog.get_logger(__name__)

T = TypeVar("T")

_RETRY_S = 0.02


class Driver(Protocol):
    """What tells about devices; the module `gpu.devices` is one."""

    def memory(self, uuid: str) -> Memory:
        """Return the memory of a device now; raises DeviceError when it does not answer."""
        ...

    def processes(self, uuid: str) -> Sequence[GpuProcess]:
        """Return who holds memory of a device; raises DeviceError when it does not answer."""
        ...


class Clerk:
    """Keeps the books of one daemon, in a thread that runs while there is anything to do.

    Args:
        gpus: The devices by UUID.
        margin_mib: MiB of each that are never handed out.
        driver: Tells what is free.
        ledger: Leases of other daemons.
        journal: Where leases are written down.
        owner: Unique for this daemon.
        learn: Told what a lease's process held at most, when that was measured.
    """

    def __init__(
        self,
        gpus: Mapping[str, Gpu],
        margin_mib: int,
        driver: Driver,
        *,
        ledger: SharedLedger | None,
        journal: Journal | None,
        owner: str,
        learn: Callable[[Entry, Gpu], None],
    ) -> None:
        self.gpus = gpus
        self.queue = LeaseQueue(gpus, margin_mib)
        self._books = Books(self.queue, learn)
        self._driver = driver
        self._ledger = ledger
        self._journal = JournalKeeper(journal, owner, gpus)
        self._lock = threading.Condition()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._callbacks: dict[int, Callable[[], None]] = {}
        self._told: set[str] = set()
        self._faults: dict[str, DeviceError] = {}
        self._closed = False

    def ask(self, request: Request) -> Entry:
        """Put a request in line."""
        with self._lock:
            entry = self.queue.ask(request)
            self._journal.follow(entry)
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="leases", daemon=True)
                self._thread.start()
        self._wake.set()
        return entry

    def granted(self, entry: Entry, timeout_s: float) -> bool:
        """Wait a little; tells whether an entry was granted."""
        with self._lock:
            return self._lock.wait_for(lambda: entry.state is not LeaseState.WAITING, timeout_s)

    def change(self, event: Callable[[Entry, float], T], entry: Entry) -> T:
        """Let something happen to an entry."""
        with self._lock:
            before = entry.state
            result = event(entry, time.monotonic())
            somebody_waits = bool(self.queue.waiting())
        if entry.state is not before and (somebody_waits or before is LeaseState.LOADING):
            self._wake.set()
        return result

    def gone(self, entry: Entry) -> None:
        """Keep that a process has ended, or that a request is taken back."""
        self.change(self.queue.gone, entry)
        self._wake.set()

    def release(self, entry: Entry, wait_s: float) -> int:
        """Keep that a process has ended, and wait until its memory is free; returns what is not."""
        holder = self._books.holders.get(entry.number)
        self.gone(entry)
        with self._lock:
            self._callbacks.pop(entry.number, None)
            self._lock.wait_for(lambda: entry.state is LeaseState.ENDED, wait_s)
        return 0 if holder is None else holder.left_mib

    def held_by(self, entry: Entry, pid: int) -> None:
        """Keep which process an entry is for."""
        with self._lock:
            if (holder := self._books.holders.get(entry.number)) is not None:
                holder.held_by(pid)

    def on_leave(self, entry: Entry, callback: Callable[[], None]) -> None:
        """Keep how a holder is asked to leave."""
        with self._lock:
            self._callbacks[entry.number] = callback
            entry.may_leave = True

    def entries(self) -> list[Entry]:
        """Return what has not ended."""
        with self._lock:
            return list(self.queue.entries.values())

    def situation(self, entry: Entry) -> Situation:
        """Return what a waiting entry sees."""
        with self._lock:
            return self._books.situation(entry)

    def why_stalled(self, entry: Entry) -> LeaseError:
        """Return why an entry cannot be granted though nobody of ours is in its way."""
        with self._lock:
            device = entry.device or next(iter(entry.request.mib))
            known = self._books.figures.get(device)
        free = None if known is None else known.free_mib
        if free is None and device in self._faults:
            return self._faults[device]
        try:
            holders = told(self._driver.processes(device))
        except DeviceError as error:
            return error
        return LeaseError(
            f"The {entry.request.stage} waited for {entry.request.mib[device]} MiB of "
            f"{self.gpus[device].name}, where {free} MiB are free and {self.queue.margin_mib} stay "
            "unused, and nobody of dubarr-watch holds the rest.",
            hint=f"End who does: {holders}." if holders else "`nvidia-smi` may tell who does.",
        )

    def figures(self, entry: Entry) -> str:
        """Return asked, leased, held and free MiB of an entry's device, as part of a sentence."""
        gpu = self.gpus[entry.device]
        with self._lock:
            known = self._books.figures.get(entry.device)
        free = "unknown" if known is None or known.free_mib is None else f"{known.free_mib} MiB"
        return (
            f"on {gpu.name} with {gpu.total_mib} MiB: asked for "
            f"{entry.request.mib[entry.device]} MiB, was given {entry.mib} MiB, was seen to hold "
            f"{entry.peak_mib} MiB; free now: {free}"
        )

    def close(self) -> None:
        """End the thread, and take this daemon off the ledger."""
        with self._lock:
            self._closed = True
            thread = self._thread
        self._wake.set()
        if thread is not None:
            thread.join()
        if self._ledger is not None:
            self._ledger.close()

    def _work(self) -> None:
        while True:
            self._wake.wait(POLL_S)
            self._wake.clear()
            try:
                self._round()
            except Exception:  # whoever waits would wait for ever without this thread
                log.exception("leases failed")
            with self._lock:
                # What was told to other daemons is taken back before nobody is there to do it.
                if self._closed or not (self.queue.entries or self._told):
                    self._thread = None
                    break
        self._journal.write()

    def _round(self) -> None:
        with self._lock:
            concerned = self._books.concerned() | self._told
        with self._deciding(concerned) as peers:
            readings = {device: (time.monotonic(), self._read(device)) for device in concerned}
            with self._lock:
                self._books.follow(readings, time.monotonic())
                if peers is not None:
                    self._books.decide(readings, peers, time.monotonic())
                    self._publish(concerned)
                leaving = self._leaving()
                self._lock.notify_all()
        for entry, callback in leaving:
            name = f"leave-{entry.number}"
            threading.Thread(
                target=self._leave, args=(entry, callback), name=name, daemon=True
            ).start()
        self._journal.write()

    @contextmanager
    def _deciding(self, concerned: set[str]) -> Iterator[Mapping[str, tuple[Peer, ...]] | None]:
        """Hold the locks of devices; yields nothing when another daemon decides just now."""
        if self._ledger is None:
            yield {}
            return
        with self._ledger.deciding(concerned) as peers:
            yield peers
        if peers is None:
            time.sleep(_RETRY_S)
            self._wake.set()

    def _read(self, device: str) -> Reading | None:
        try:
            found = Reading(self._driver.memory(device), self._driver.processes(device))
        except DeviceError as error:
            if device not in self._faults:
                log.warning("device does not answer", device=device, reason=error.message)
            self._faults[device] = error
            return None
        self._faults.pop(device, None)
        return found

    def _publish(self, concerned: set[str]) -> None:
        if self._ledger is not None:
            told = {device: self._books.told_to_peers(device) for device in concerned}
            for device, peer in told.items():
                self._ledger.publish(device, peer)
            self._told = {device for device, peer in told.items() if peer != Peer()}

    def _leaving(self) -> list[tuple[Entry, Callable[[], None]]]:
        """Return who has to be asked to leave now, each once."""
        return [
            (entry, self._callbacks.pop(entry.number))
            for entry in self.queue.entries.values()
            if entry.state is LeaseState.LEAVING and entry.number in self._callbacks
        ]

    def _leave(self, entry: Entry, callback: Callable[[], None]) -> None:
        log.info("asked to leave", stage=entry.request.stage, mib=entry.mib, pid=entry.pid)
        try:
            callback()
        except Exception:  # it is somebody else's code; the lease must not hang on it
            log.exception("an idle engine could not be ended", stage=entry.request.stage)
        if entry.state is LeaseState.LEAVING:
            self.change(self.queue.stay, entry)
