"""Turns on the CPU written down for onlookers, now and then: they change many times a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Protocol

import structlog

from dubarr_watch.errors import DubarrError
from dubarr_watch.gpu.slots import CpuSlots, Turn
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.turns import TurnRecord

log = structlog.get_logger(__name__)

_EVERY_S = 0.5
LINGERS_S = 2.0
"""An engine between two calls still counts as one that computes."""

_Key = tuple[str, int | None, bool]


class TurnJournal(Protocol):
    """Where turns are written down."""

    def save(self, owner: str, turns: Iterable[TurnRecord]) -> None:
        """Keep what the turns of a daemon are now."""
        ...


class TurnKeeper:
    """Writes down who computes and who waits, in a thread that runs while anybody does.

    Args:
        slots: Whose turns.
        journal: Where to.
        owner: Unique for this daemon.
    """

    def __init__(self, slots: CpuSlots, journal: TurnJournal, owner: str) -> None:
        self._slots = slots
        self._journal = journal
        self._owner = owner
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = threading.Event()
        self._seen: dict[_Key, tuple[float, Turn]] = {}
        self._written: frozenset[_Key] = frozenset()

    def wake(self) -> None:
        """Somebody wants a turn."""
        with self._lock:
            if self._thread is None and not self._closed.is_set():
                self._thread = threading.Thread(target=self._work, name="turns", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Stop, and leave nothing written."""
        self._closed.set()
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join()

    def _work(self) -> None:
        while True:
            over = self._closed.wait(_EVERY_S)
            turns = () if over else self._slots.turns()
            self._write(self._lasting(turns, time.monotonic(), 0.0 if over else LINGERS_S))
            with self._lock:
                # Who asked since the last look found this thread still there.
                if over or not (self._seen or self._slots.turns()):
                    self._thread = None
                    return

    def _lasting(self, turns: Sequence[Turn], now_s: float, lingers_s: float) -> list[Turn]:
        """Return turns, and those that ended a moment ago, one of each engine and job."""
        for turn in turns:
            key = (turn.stage, turn.job, turn.computes)
            first = self._seen[key][1] if key in self._seen else turn
            self._seen[key] = (now_s, first)
        self._seen = {
            key: known for key, known in self._seen.items() if now_s - known[0] < lingers_s
        }
        computing = {key[:2] for key in self._seen if key[2]}
        # Between two calls it waits for its next turn: that is no news.
        return [
            turn
            for key, (_, turn) in self._seen.items()
            if turn.computes or key[:2] not in computing
        ]

    def _write(self, turns: Sequence[Turn]) -> None:
        now = frozenset((turn.stage, turn.job, turn.computes) for turn in turns)
        if now == self._written:
            return
        at, at_s = utc_now(), time.monotonic()
        records = [
            TurnRecord(one.stage, one.job, one.computes, at - timedelta(seconds=at_s - one.since_s))
            for one in turns
        ]
        try:
            self._journal.save(self._owner, records)
            self._written = now
        except DubarrError as error:
            # Work goes on; the next look is tried again.
            log.warning("turns cannot be written down", reason=error.message)
