"""What is known of all leases of this daemon: the queue, the processes behind it, the devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import structlog

from dubarr_watch.gpu.entries import Decision, Entry, Figures, LeaseState, Peer
from dubarr_watch.gpu.holders import RECLAIM_S, Holder, Reading, told
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.gpu.queue import LeaseQueue

log = structlog.get_logger(__name__)

_COARSE_MIB = 64


@dataclass(frozen=True, slots=True)
class Situation:
    """What a request sees of the devices that would do for it; equal as long as nothing moves.

    Attributes:
        somebody_works: A holder of ours or of another daemon will give memory back some time.
        free: Coarse free memory of each device.
    """

    somebody_works: bool
    free: tuple[int | None, ...]


@dataclass(slots=True)
class Books:
    """Keeps the queue and follows its holders; to be used by one thread at a time.

    Attributes:
        queue: The rules.
        learn: Told what a lease's process held at most, when that was measured.
        holders: Of the leases that have memory, by number.
        figures: What was read last, by device.
    """

    queue: LeaseQueue
    learn: Callable[[Entry, Gpu], None]
    holders: dict[int, Holder] = field(default_factory=dict)
    figures: dict[str, Figures] = field(default_factory=dict)
    _told: set[int] = field(default_factory=set)

    def concerned(self) -> set[str]:
        """Return the devices that matter at this moment."""
        waiting = {device for entry in self.queue.waiting() for device in entry.request.mib}
        return waiting | {holder.entry.device for holder in self.holders.values()}

    def follow(self, readings: Mapping[str, tuple[float, Reading | None]], now_s: float) -> None:
        """Note what holders hold, who has died, and whose memory is free again."""
        for holder in list(self.holders.values()):
            entry = holder.entry
            if not holder.lives() and entry.state is not LeaseState.RECLAIMING:
                log.info("lease of a process that ended", **self._about(entry))
                self.queue.gone(entry, now_s)
            read_s, reading = readings.get(entry.device, (0.0, None))
            others = self._others_mib(holder)
            if reading is not None and entry.state is not LeaseState.RECLAIMING:
                holder.alone = holder.alone and self._is_alone(entry)
                if entry.loaded_s and not holder.loaded_seen and read_s > entry.loaded_s:
                    holder.loaded(reading)
                holder.observe(reading, others)
            elif entry.state is LeaseState.RECLAIMING and read_s > entry.since_s:
                self._reclaim(holder, reading, others, now_s)

    def decide(
        self,
        readings: Mapping[str, tuple[float, Reading | None]],
        peers: Mapping[str, tuple[Peer, ...]],
        now_s: float,
    ) -> Decision:
        """Hand out what can be handed out."""
        self.figures = {
            device: Figures(
                at_s, None if found is None else found.memory.free_mib, peers.get(device, ())
            )
            for device, (at_s, found) in readings.items()
        }
        decision = self.queue.decide(self.figures, now_s)
        for entry in decision.granted:
            _, reading = readings[entry.device]
            before = 0 if reading is None else reading.memory.used_mib
            self.holders[entry.number] = Holder(entry, before, alone=self._is_alone(entry))
            log.info("lease", **self._about(entry), waited_s=round(now_s - entry.request.asked_s))
        for entry in self.queue.waiting():
            self._say_once_why(entry)
        return decision

    def told_to_peers(self, device: str) -> Peer:
        """Return what other daemons have to know."""
        first = self.queue.first_in_line(device)
        return Peer(
            leased_mib=self.queue.leased_mib(device),
            unclaimed_mib=self.queue.unclaimed_mib(device),
            loading=self.queue.loading(device),
            waiting_rank=None if first is None else first.request.rank,
            waiting_mib=0 if first is None else self.queue.needed_mib(first, device),
        )

    def situation(self, entry: Entry) -> Situation:
        """Return what a waiting entry sees."""
        devices = [device for device in entry.request.mib if device in self.figures]
        peers = [peer for device in devices for peer in self.figures[device].peers]
        works = any(
            one.state is not LeaseState.IDLE or one.may_leave
            for device in devices
            for one in self.queue.holding(device)
        ) or any(peer.leased_mib or peer.loading for peer in peers)
        free = (self.figures[device].free_mib for device in devices)
        return Situation(works, tuple(None if mib is None else mib // _COARSE_MIB for mib in free))

    def forget(self, entry: Entry) -> None:
        """Drop what is known of an entry that has ended."""
        self.holders.pop(entry.number, None)
        self._told.discard(entry.number)

    def _reclaim(
        self, holder: Holder, reading: Reading | None, others_mib: int, now_s: float
    ) -> None:
        entry = holder.entry
        waited_s = now_s - entry.since_s
        if reading is None or not holder.came_back(reading, others_mib):
            if waited_s < RECLAIM_S:
                return
            log.warning(
                "memory did not come back",
                **self._about(entry),
                left_mib=holder.left_mib,
                held_by=told(reading.processes) if reading else "the device does not answer",
            )
        if holder.peak_known:
            self.learn(entry, self.queue.gpus[entry.device])
        log.debug("lease ended", **self._about(entry), after_s=round(waited_s, 2),
                  peak_mib=entry.peak_mib, left_mib=holder.left_mib)  # fmt: skip
        self.queue.end(entry, now_s)
        self.forget(entry)

    def _is_alone(self, entry: Entry) -> bool:
        known = self.figures.get(entry.device)
        peers = () if known is None else known.peers
        others = [one for one in self.queue.holding(entry.device) if one is not entry]
        return not others and not any(peer.leased_mib for peer in peers)

    def _others_mib(self, holder: Holder) -> int:
        return sum(
            other.entry.held_mib or 0
            for other in self.holders.values()
            if other is not holder and other.entry.device == holder.entry.device
        )

    def _say_once_why(self, entry: Entry) -> None:
        device = entry.device or next(iter(entry.request.mib))
        known = self.figures.get(device)
        gpu = self.queue.gpus[device]
        free = "unknown" if known is None else "the device does not answer"
        if known is not None and known.free_mib is not None:
            free = f"{known.free_mib} MiB"
        held = [
            f"{one.request.stage} {one.mib} MiB{_of(one.request.job)}"
            for one in self.queue.holding(device)
        ]
        others = sum(peer.leased_mib for peer in known.peers) if known else 0
        held += [f"other daemons {others} MiB"] if others else []
        entry.why = (
            f"waits for {entry.request.mib[device]} MiB of {gpu.name}; free: {free}; "
            f"leased: {', '.join(held) or 'nothing'}"
        )
        if entry.number not in self._told:
            self._told.add(entry.number)
            log.info("waiting for memory", stage=entry.request.stage, why=entry.why)

    def _about(self, entry: Entry) -> dict[str, object]:
        return {
            "stage": entry.request.stage,
            "mib": entry.mib,
            "device": self.queue.gpus[entry.device].name,
            "for_job": entry.request.job,
            "pid": entry.pid,
        }


def _of(job: int | None) -> str:
    return "" if job is None else f" (job {job})"
