"""Leases written down for onlookers: what `status` shows and what is left after a crash."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Protocol

import structlog

from dubarr_watch.errors import DubarrError
from dubarr_watch.gpu.entries import Entry, LeaseState
from dubarr_watch.gpu.inventory import Gpu
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.leases import LeaseRecord

log = structlog.get_logger(__name__)

_FLICKER_S = 1.0
_COARSE_MIB = 64


class Journal(Protocol):
    """Where leases are written down."""

    def save(self, leases: Iterable[LeaseRecord]) -> None:
        """Keep what leases are now."""
        ...


class JournalKeeper:
    """Writes down what changed, and not each of the many calls of a minute.

    Args:
        journal: Where to; nothing is written when None.
        owner: Unique for this daemon.
        gpus: The devices by UUID.
    """

    def __init__(self, journal: Journal | None, owner: str, gpus: Mapping[str, Gpu]) -> None:
        self._journal = journal
        self._owner = owner
        self._gpus = gpus
        self._followed: dict[int, Entry] = {}
        self._written: dict[int, tuple[object, ...]] = {}

    def follow(self, entry: Entry) -> None:
        """Write an entry down from now on until it has ended."""
        if self._journal is not None:
            self._followed[entry.number] = entry

    def write(self) -> None:
        """Write down what changed since the last time."""
        if self._journal is None:
            return
        changed = [entry for entry in list(self._followed.values()) if self._changed(entry)]
        if not changed:
            return
        try:
            self._journal.save([self._record(entry) for entry in changed])
        except DubarrError as error:
            # Work goes on without a journal; the next change is tried again.
            log.warning("leases cannot be written down", reason=error.message)
        for entry in changed:
            if entry.state is LeaseState.ENDED:
                self._followed.pop(entry.number, None)
                self._written.pop(entry.number, None)

    def _changed(self, entry: Entry) -> bool:
        calling = entry.state in (LeaseState.BUSY, LeaseState.IDLE)
        known = self._written.get(entry.number)
        if calling and known is not None and time.monotonic() - entry.since_s < _FLICKER_S:
            return False
        now = (entry.state, entry.device, entry.mib, entry.pid, entry.peak_mib // _COARSE_MIB)
        self._written[entry.number] = now
        return now != known

    def _record(self, entry: Entry) -> LeaseRecord:
        now, now_s = utc_now(), time.monotonic()
        request = entry.request
        device = entry.device or next(iter(request.mib), "")

        def moment(at_s: float) -> timedelta:
            return timedelta(seconds=now_s - at_s)

        return LeaseRecord(
            owner=self._owner,
            number=entry.number,
            stage=request.stage,
            model=request.model,
            job_id=request.job,
            device=device,
            device_name=self._gpus[device].name if device in self._gpus else "",
            mib=entry.mib or request.mib.get(device, 0),
            peak_mib=entry.peak_mib,
            state=entry.state.value,
            why=entry.why if entry.state is LeaseState.WAITING else "",
            pid=entry.pid,
            asked_at=now - moment(request.asked_s),
            granted_at=now - moment(entry.granted_s) if entry.granted_s else None,
            ended_at=now - moment(entry.since_s) if entry.state is LeaseState.ENDED else None,
        )
