"""Turns on the CPU as onlookers see them: who computes, and who waits for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from dubarr_watch.store.database import Database
from dubarr_watch.store.models import Meta

_KEY = "turns "


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """A turn on the CPU, or a request for one.

    Attributes:
        stage: Which kind of engine it is for.
        job_id: The job it is for.
        computes: It has a turn; else it waits for one.
        since: UTC.
    """

    stage: str
    job_id: int | None
    computes: bool
    since: datetime


class Turns:
    """What each daemon said last of its CPU; gone with it, unlike leases."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, owner: str, turns: Iterable[TurnRecord]) -> None:
        """Keep what a daemon's turns are now; may be lost with the power."""
        rows = [[one.stage, one.job_id, one.computes, one.since.isoformat()] for one in turns]
        if rows:
            self._database.run_unsynced(Meta.put(key=_KEY + owner, value=json.dumps(rows)))
        else:
            self._database.run_unsynced(Meta.delete().where(Meta.key == _KEY + owner))

    def current(self, is_alive: Callable[[str], bool]) -> list[TurnRecord]:
        """Return the turns of living daemons, those that compute first."""
        found = [
            TurnRecord(stage, job_id, computes, datetime.fromisoformat(since))
            for row in self._rows()
            if is_alive(str(row.key).removeprefix(_KEY))
            for stage, job_id, computes, since in json.loads(row.value)
        ]
        return sorted(found, key=lambda one: (not one.computes, one.since))

    def recover(self, is_alive: Callable[[str], bool]) -> None:
        """Forget the turns of dead daemons."""
        for row in self._rows():
            if not is_alive(owner := str(row.key).removeprefix(_KEY)):
                self.save(owner, ())

    def _rows(self) -> list[Meta]:
        return self._database.all(Meta.select().where(Meta.key.startswith(_KEY)))
