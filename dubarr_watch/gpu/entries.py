"""A lease as data: what was asked for, what became of it, and what is known of a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

AGEING_S = 300.0
"""Seconds of waiting that weigh as much as one step of priority."""


class LeaseState(StrEnum):
    """Where a lease is in its life."""

    WAITING = "waiting"
    LOADING = "loading"
    BUSY = "busy"
    IDLE = "idle"
    LEAVING = "leaving"
    """Was asked to leave while idle; its process is being ended."""
    RECLAIMING = "reclaiming"
    """Its process has ended; its memory has not been seen to be free yet."""
    ENDED = "ended"


HOLDING = frozenset(LeaseState) - {LeaseState.WAITING, LeaseState.ENDED}


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for.

    Attributes:
        stage: Which seam it is for, or any other word.
        asked_s: When.
        mib: MiB by UUID of each device that would do, the preferred one first.
        priority: Higher sooner.
        job: Who it is for.
        model: Engine and model.
        by_room: No device is preferred: the one with the most room is taken.
        alone: Only on a device that nobody else has a lease of; then all that is free there.
    """

    stage: str
    asked_s: float
    mib: Mapping[str, int]
    priority: int = 0
    job: int | None = None
    model: str = ""
    by_room: bool = False
    alone: bool = False

    @property
    def rank(self) -> float:
        """Its place in line: smaller is sooner."""
        return self.asked_s - self.priority * AGEING_S


@dataclass(slots=True)
class Entry:
    """A request and what became of it.

    Attributes:
        number: Unique within its queue.
        request: What was asked for.
        state: Where it is in its life.
        since_s: Since when it is in that state.
        device: UUID of the device that it has memory of; while it waits, the one kept for it.
        mib: MiB that it was granted.
        granted_s: When.
        loaded_s: When its model was loaded.
        held_mib: What its process holds now, where anybody can tell.
        peak_mib: The most that it held.
        pid: Its process.
        why: Why it waits, in plain words.
        may_leave: Its holder knows how to end its process when asked.
        draining: It has had its turn and somebody waits: no further call may join those that run.
    """

    number: int
    request: Request
    state: LeaseState
    since_s: float
    device: str = ""
    mib: int = 0
    granted_s: float = 0.0
    loaded_s: float = 0.0
    held_mib: int | None = None
    peak_mib: int = 0
    pid: int | None = None
    why: str = ""
    may_leave: bool = False
    draining: bool = False

    @property
    def rank(self) -> tuple[float, int]:
        """Its place in line: smaller is sooner."""
        return self.request.rank, self.number

    def enter(self, state: LeaseState, now_s: float) -> None:
        """Go on to another state."""
        self.state, self.since_s = state, now_s


@dataclass(frozen=True, slots=True)
class Peer:
    """What another daemon on this machine has to do with a device.

    Attributes:
        leased_mib: All that it handed out.
        unclaimed_mib: How much of that its processes do not hold yet.
        loading: One of its models is being loaded there.
        waiting_rank: The rank of the first in its line there, or nothing.
        waiting_mib: What that one needs.
    """

    leased_mib: int = 0
    unclaimed_mib: int = 0
    loading: bool = False
    waiting_rank: float | None = None
    waiting_mib: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of a device at a moment.

    Attributes:
        read_s: When it was read.
        free_mib: What its driver says is free; None when it does not answer.
        peers: The other daemons that live.
    """

    read_s: float
    free_mib: int | None
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to happen now.

    Attributes:
        granted: Those that got memory.
        asked_to_leave: Idle holders that must go.
    """

    granted: tuple[Entry, ...] = ()
    asked_to_leave: tuple[Entry, ...] = ()
