"""Who gets memory of which device, and who is asked to leave: the rules, without clock or thread.

The order of waiting is fixed when a request comes: its time, made earlier by its priority. So a
request is overtaken only by those that come within `AGEING_S` after it for each step of priority
that they have more: nobody waits for ever. Where the first in line has no room yet, a device is
kept for it: nobody behind it gets memory there, however little that would be.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dubarr_watch.gpu.entries import HOLDING, Decision, Entry, Figures, LeaseState, Request
from dubarr_watch.gpu.inventory import Gpu

QUIET_S = 1.0
"""Idle for so long, a holder is between two pieces of work, not between two calls of one."""

TURN_S = 60.0
"""After so long a holder is asked to leave between two calls too: loading a model takes seconds,
and those who take turns should mostly do something else."""


_PARTING = {LeaseState.LEAVING, LeaseState.RECLAIMING}
_LOADED = {LeaseState.BUSY, LeaseState.IDLE, LeaseState.LEAVING}


@dataclass(slots=True)
class LeaseQueue:
    """The leases of one daemon: its holders, and those who wait.

    Attributes:
        gpus: The devices, by UUID.
        margin_mib: MiB of each device that are never handed out.
        entries: All that have not ended, by number.
    """

    gpus: Mapping[str, Gpu]
    margin_mib: int
    entries: dict[int, Entry] = field(default_factory=dict)
    _last_number: int = 0

    def ask(self, request: Request) -> Entry:
        """Put a request in line."""
        self._last_number += 1
        entry = Entry(self._last_number, request, LeaseState.WAITING, request.asked_s)
        self.entries[entry.number] = entry
        return entry

    def loaded(self, entry: Entry, now_s: float) -> None:
        """Keep that the model is loaded: the driver's figure counts it from now on."""
        if entry.state is LeaseState.LOADING:
            entry.loaded_s = now_s
            entry.enter(LeaseState.BUSY, now_s)

    def busy(self, entry: Entry, now_s: float) -> bool:
        """Keep that a call begins; false when it may not, since the lease is at its end."""
        if entry.state is LeaseState.IDLE:
            entry.enter(LeaseState.BUSY, now_s)
        return entry.state in (LeaseState.BUSY, LeaseState.LOADING) and not entry.draining

    def idle(self, entry: Entry, now_s: float) -> None:
        """Keep that no call is under way any more; one that is draining leaves at once."""
        self.loaded(entry, now_s)
        if entry.state is LeaseState.BUSY:
            entry.enter(LeaseState.LEAVING if entry.draining else LeaseState.IDLE, now_s)

    def stay(self, entry: Entry, now_s: float) -> None:
        """Keep that a holder could not leave; it is not asked again."""
        entry.may_leave = False
        if entry.state is LeaseState.LEAVING:
            entry.enter(LeaseState.IDLE, now_s)

    def gone(self, entry: Entry, now_s: float) -> None:
        """Keep that the process has ended, or that a request is taken back."""
        if entry.state is LeaseState.WAITING:
            self.end(entry, now_s)
        elif entry.state in HOLDING - {LeaseState.RECLAIMING}:
            entry.enter(LeaseState.RECLAIMING, now_s)

    def end(self, entry: Entry, now_s: float) -> None:
        """Keep that the memory is free again."""
        entry.enter(LeaseState.ENDED, now_s)
        self.entries.pop(entry.number, None)

    def holding(self, device: str) -> list[Entry]:
        """Return those who have memory of a device."""
        return [e for e in self.entries.values() if e.device == device and e.state in HOLDING]

    def waiting(self) -> list[Entry]:
        """Return those who wait, first in line first."""
        found = [e for e in self.entries.values() if e.state is LeaseState.WAITING]
        return sorted(found, key=lambda entry: entry.rank)

    def leased_mib(self, device: str) -> int:
        """Return what is handed out of a device."""
        return sum(entry.mib for entry in self.holding(device))

    def unclaimed_mib(self, device: str) -> int:
        """Return what holders that have loaded may still take of what they were granted."""
        return sum(
            max(0, entry.mib - entry.held_mib)
            for entry in self.holding(device)
            if entry.state in _LOADED and entry.held_mib is not None
        )

    def loading(self, device: str) -> bool:
        """Tell whether a model is being loaded on a device."""
        return any(entry.state is LeaseState.LOADING for entry in self.holding(device))

    def room_mib(self, device: str, figures: Figures) -> int:
        """Return what can be handed out of a device; negative when it is overdrawn."""
        if figures.free_mib is None:
            return -1
        unclaimed = self.unclaimed_mib(device) + sum(p.unclaimed_mib for p in figures.peers)
        leased = self.leased_mib(device) + sum(peer.leased_mib for peer in figures.peers)
        free = min(figures.free_mib - unclaimed, self.gpus[device].total_mib - leased)
        return free - self.margin_mib

    def decide(self, figures: Mapping[str, Figures], now_s: float) -> Decision:
        """Grant what can be granted, and ask idle holders to leave for those who wait.

        Args:
            figures: Of the devices, by UUID; nothing is handed out of one that is not in it.
            now_s: The time.
        """
        for entry in self.entries.values():
            entry.draining = False
        granted: list[Entry] = []
        leaving: list[Entry] = []
        wanted: dict[str, int] = {}
        for entry in self.waiting():
            open_to_it = [uuid for uuid in _answering(entry, figures) if uuid not in wanted]
            fitting = [uuid for uuid in open_to_it if self._fits(entry, uuid, figures[uuid])]
            if fitting:
                if entry.request.by_room:
                    fitting.sort(key=lambda uuid: -self.room_mib(uuid, figures[uuid]))
                self._grant(entry, fitting[0], figures[fitting[0]], now_s)
                granted.append(entry)
            elif open_to_it:
                if entry.device not in open_to_it:
                    entry.device = self._most_promising(entry, open_to_it, figures)
                wanted[entry.device] = self.needed_mib(entry, entry.device)
        for device, known in figures.items():
            if need := max(wanted.get(device, 0), _needed_by_peers(known)):
                leaving += self._ask_to_leave(device, need, known, now_s)
        return Decision(tuple(granted), tuple(leaving))

    def first_in_line(self, device: str) -> Entry | None:
        """Return the one that a device is kept for."""
        return next((entry for entry in self.waiting() if entry.device == device), None)

    def needed_mib(self, entry: Entry, device: str) -> int:
        """Return the room that there must be before an entry is granted."""
        if entry.request.alone:
            return self.gpus[device].total_mib  # everybody has to leave
        return entry.request.mib[device]

    def _fits(self, entry: Entry, device: str, figures: Figures) -> bool:
        if self._is_loading(device, figures) or _peer_comes_first(entry, figures):
            return False
        if entry.request.alone and (
            self.holding(device) or any(peer.leased_mib for peer in figures.peers)
        ):
            return False
        return self.room_mib(device, figures) >= entry.request.mib[device]

    def _is_loading(self, device: str, figures: Figures) -> bool:
        """Tell whether the driver's figure lags behind what a model is taking."""
        ours = any(
            entry.state is LeaseState.LOADING or entry.loaded_s >= figures.read_s
            for entry in self.holding(device)
        )
        return ours or any(peer.loading for peer in figures.peers)

    def _grant(self, entry: Entry, device: str, figures: Figures, now_s: float) -> None:
        room = self.room_mib(device, figures)
        entry.device = device
        entry.mib = room if entry.request.alone else entry.request.mib[device]
        entry.granted_s = now_s
        entry.enter(LeaseState.LOADING, now_s)

    def _most_promising(
        self, entry: Entry, devices: Iterable[str], figures: Mapping[str, Figures]
    ) -> str:
        """Return the device that will soonest have room, as far as anybody can tell."""

        def lacking(device: str) -> int:
            parting = sum(
                held.mib
                for held in self.holding(device)
                if held.state in _PARTING or held.state is LeaseState.IDLE
            )
            room = self.room_mib(device, figures[device]) + parting
            return max(0, entry.request.mib[device] - room)

        return min(devices, key=lacking)

    def _ask_to_leave(self, device: str, need: int, figures: Figures, now_s: float) -> list[Entry]:
        """Ask idle holders to leave, the longest idle first, no more than needed."""
        held = self.holding(device)
        room = self.room_mib(device, figures)
        lacking = need - room - sum(entry.mib for entry in held if entry.state in _PARTING)
        idle = sorted((e for e in held if _may_be_asked(e, now_s)), key=lambda e: e.since_s)
        chosen: list[Entry] = []
        for entry in idle:
            if sum(one.mib for one in chosen) >= lacking:
                break
            chosen.append(entry)
        for entry in list(chosen):
            if sum(one.mib for one in chosen) - entry.mib >= lacking:
                chosen.remove(entry)  # one that came later is large enough alone
        for entry in chosen:
            entry.enter(LeaseState.LEAVING, now_s)
        lacking -= sum(entry.mib for entry in chosen)
        for entry in sorted(held, key=lambda e: e.granted_s):
            if lacking > 0 and entry.state is LeaseState.BUSY and _had_its_turn(entry, now_s):
                entry.draining = True
                lacking -= entry.mib
        return chosen


def _answering(entry: Entry, figures: Mapping[str, Figures]) -> list[str]:
    """Return the devices that would do: those that answer, or all when none does."""
    asked = [uuid for uuid in entry.request.mib if uuid in figures]
    return [uuid for uuid in asked if figures[uuid].free_mib is not None] or asked


def _may_be_asked(entry: Entry, now_s: float) -> bool:
    if entry.state is not LeaseState.IDLE or not entry.may_leave:
        return False
    return now_s - entry.since_s >= QUIET_S or _had_its_turn(entry, now_s)


def _had_its_turn(entry: Entry, now_s: float) -> bool:
    return entry.may_leave and now_s - entry.granted_s >= TURN_S


def _peer_comes_first(entry: Entry, figures: Figures) -> bool:
    return any(
        peer.waiting_rank is not None and peer.waiting_rank < entry.request.rank
        for peer in figures.peers
    )


def _needed_by_peers(figures: Figures) -> int:
    """Return what the first in the line of another daemon waits for; 0 when none does."""
    first = min(
        (peer for peer in figures.peers if peer.waiting_rank is not None),
        key=lambda peer: peer.waiting_rank or 0.0,
        default=None,
    )
    return 0 if first is None else first.waiting_mib
