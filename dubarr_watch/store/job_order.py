"""The order of the queue, and how a person changes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import peewee

from dubarr_watch.errors import IllegalTransition, NotInStore
from dubarr_watch.store.database import Database
from dubarr_watch.store.models import Job
from dubarr_watch.store.records import JobState, Priority

PLACE: Any = peewee.fn.COALESCE(Job.place, Job.id)
"""Orders the jobs of one priority: by age, until somebody moves one."""

RANK = {Priority.HIGH: 0, Priority.NORMAL: 1, Priority.LOW: 2}

IN_ORDER: Sequence[Any] = (Job.rank, PLACE)


class JobOrder:
    """Moves queued jobs; whoever is moved takes the priority of the place it comes to."""

    _database: Database

    def move(self, job_id: int, before: int | None) -> None:
        """Put a queued job before another one.

        Args:
            job_id: The job.
            before: Another queued job; nothing: behind all of them.

        Raises:
            NotInStore: One of them is not known.
            IllegalTransition: One of them is not queued.
        """
        with self._database.transaction():
            rows = self._queued()
            moved = self._find(rows, job_id)
            if before == job_id:
                return
            others = [row for row in rows if row is not moved]
            at = len(others) if before is None else others.index(self._find(others, before))
            self._put(moved, others, at)

    def step(self, job_id: int, by: int) -> None:
        """Let a queued job start so many places later, or earlier when negative.

        Raises:
            NotInStore: It is not known.
            IllegalTransition: It is not queued.
        """
        with self._database.transaction():
            rows = self._queued()
            moved = self._find(rows, job_id)
            others = [row for row in rows if row is not moved]
            self._put(moved, others, min(max(rows.index(moved) + by, 0), len(others)))

    def prioritise(self, job_id: int, priority: Priority) -> None:
        """Let a queued job go before all those of a lower priority.

        Raises:
            NotInStore: It is not known.
            IllegalTransition: It is not queued.
        """
        with self._database.transaction():
            self._find(self._queued(), job_id)
            change = Job.update(priority=priority, rank=RANK[priority])
            self._database.run(change.where(Job.id == job_id))

    def _queued(self) -> list[Any]:
        query = Job.select(Job.id, Job.rank, Job.priority, PLACE.alias("place"))
        found = self._database.all(query.where(Job.state == JobState.QUEUED).order_by(*IN_ORDER))
        return list(found)

    def _put(self, moved: Any, others: list[Any], at: int) -> None:
        if not others:
            return
        neighbour = others[min(at, len(others) - 1)]
        changes = {"rank": neighbour.rank, "priority": neighbour.priority}
        self._database.run(Job.update(**changes).where(Job.id == moved.id))
        ordered = [*others[:at], moved, *others[at:]]
        alike = [row for row in ordered if row is moved or row.rank == neighbour.rank]
        # The places that these jobs have already, dealt out anew: no two jobs ever share one.
        for row, place in zip(alike, sorted(row.place for row in alike), strict=True):
            if row.place != place:
                self._database.run(Job.update(place=place).where(Job.id == row.id))

    def _find(self, rows: Sequence[Any], job_id: int) -> Any:
        for row in rows:
            if row.id == job_id:
                return row
        if self._database.first(Job.select(Job.id).where(Job.id == job_id)) is None:
            raise NotInStore(f"There is no job {job_id}.")
        raise IllegalTransition(
            f"Job {job_id} is not queued any more.", hint="Only queued jobs have an order."
        )
