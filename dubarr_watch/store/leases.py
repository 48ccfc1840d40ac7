"""Leases of GPU memory as onlookers see them, and what engines were seen to need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.models import Lease, Need

KEPT = 200
"""Ended leases that stay, for whoever looks into what went wrong."""

ENDED = "ended"
LOST = "lost"
"""The daemon that handed a lease out died with it."""


@dataclass(frozen=True, slots=True)
class LeaseRecord:
    """A lease of GPU memory, or a request for one.

    Attributes:
        owner: The process that handed it out.
        number: Unique within its owner.
        stage: Which kind of engine it is for.
        model: Engine and model.
        job_id: The job it is for.
        device: UUID of the device.
        device_name: What its maker calls it.
        mib: MiB granted, or asked for while it waits.
        peak_mib: The most that its process was seen to hold.
        state: waiting, loading, busy, idle, leaving, reclaiming, ended, or lost with its owner.
        why: Why it waits, in plain words.
        pid: Its process.
        asked_at: UTC.
        granted_at: UTC.
        ended_at: UTC.
    """

    owner: str
    number: int
    stage: str
    model: str
    job_id: int | None
    device: str
    device_name: str
    mib: int
    peak_mib: int
    state: str
    why: str
    pid: int | None
    asked_at: datetime
    granted_at: datetime | None
    ended_at: datetime | None


class Leases:
    """Leases; the truth about them is in the broker, this is its journal."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, leases: Iterable[LeaseRecord]) -> None:
        """Keep what leases are now; the last few of these may be lost with the power."""
        rows = [asdict(lease) for lease in leases]
        for row in rows:
            self._database.run_unsynced(Lease.put(**row))
        if any(row["state"] == ENDED for row in rows):
            self._forget_old()

    def current(self) -> list[LeaseRecord]:
        """Return what is waited for and held, in the order it was asked for."""
        query = Lease.select().where(Lease.state.not_in((ENDED, LOST)))
        return [_record(row) for row in self._database.all(query.order_by(Lease.asked_at))]

    def recent(self, limit: int = 20) -> list[LeaseRecord]:
        """Return the newest leases, those that ended included, newest first."""
        query = Lease.select().order_by(Lease.asked_at.desc()).limit(limit)
        return [_record(row) for row in self._database.all(query)]

    def recover(self, is_alive: Callable[[str], bool]) -> int:
        """Keep that leases of dead daemons are lost with them; returns how many."""
        dead = {lease.owner for lease in self.current() if not is_alive(lease.owner)}
        lost = Lease.update(state=LOST, why="", ended_at=utc_now())
        mine = Lease.owner.in_(list(dead)) & Lease.state.not_in((ENDED, LOST))
        return self._database.run(lost.where(mine)) if dead else 0

    def _forget_old(self) -> None:
        over = Lease.state.in_((ENDED, LOST))
        query = Lease.select().where(over).order_by(Lease.asked_at.desc())
        oldest = next(iter(self._database.all(query.limit(1).offset(KEPT))), None)
        if oldest is not None:
            old = Lease.delete().where(over & (Lease.asked_at <= oldest.asked_at))
            self._database.run_unsynced(old)


class Needs:
    """The most that each engine and model were seen to hold, by the name of the device."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def peak_mib(self, model: str, device: str) -> int | None:
        """Return what was measured on devices of a name, or nothing."""
        known = (Need.model == model) & (Need.device_name == device)
        row = self._database.first(Need.select().where(known))
        return None if row is None else int(row.peak_mib)

    def peaks(self, device: str | None = None) -> dict[str, int]:
        """Return what was measured by engine and model; the most of all devices, or of one."""
        query = Need.select()
        if device is not None:
            query = query.where(Need.device_name == device)
        found: dict[str, int] = {}
        for row in self._database.all(query):
            found[row.model] = max(found.get(row.model, 0), int(row.peak_mib))
        return found

    def keep(self, model: str, device: str, mib: int) -> None:
        """Keep what was measured, unless more was measured before."""
        with self._database.transaction():
            known = self.peak_mib(model, device)
            if known is None or mib > known:
                self._database.run(
                    Need.put(model=model, device_name=device, peak_mib=mib, measured_at=utc_now())
                )


def _record(row: Any) -> LeaseRecord:
    return LeaseRecord(
        owner=row.owner,
        number=row.number,
        stage=row.stage,
        model=row.model,
        job_id=row.job_id,
        device=row.device,
        device_name=row.device_name,
        mib=row.mib,
        peak_mib=row.peak_mib,
        state=row.state,
        why=row.why,
        pid=row.pid,
        asked_at=row.asked_at,
        granted_at=row.granted_at,
        ended_at=row.ended_at,
    )
