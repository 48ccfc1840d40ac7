"""Who runs a job: the claim, its lease, and the fence around what its worker writes.

Each claim of a job raises the job's token. A worker writes through a `Fenced` database, which
compares its token with the job's in the transaction of each write: a worker that was paused, or
cut off, for so long that the job was given to another can change nothing any more.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from dubarr_watch.errors import ClaimLost
from dubarr_watch.store.database import Database
from dubarr_watch.store.models import Job
from dubarr_watch.store.records import JobState

LEASE_S = 60.0
"""How long a claim lives without a sign of life of its worker."""


class Claims:
    """Claims of running jobs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def renew(self, owner: str, *, lease_s: float = LEASE_S) -> int:
        """Keep that a worker lives; returns how many jobs it runs.

        Args:
            owner: Whose jobs.
            lease_s: How long others wait for the next sign of life.
        """
        mine = (Job.owner == owner) & (Job.state == JobState.RUNNING)
        if self._database.first(Job.select(Job.id).where(mine)) is None:
            return 0  # an idle daemon writes nothing
        until = self._database.now() + timedelta(seconds=lease_s)
        return self._database.run_unsynced(Job.update(lease_until=until).where(mine))

    def holds(self, job_id: int, token: int) -> bool:
        """Tell whether a claim is still the last one of its job."""
        mine = (Job.id == job_id) & (Job.token == token)
        return self._database.first(Job.select(Job.id).where(mine)) is not None


class Fenced:
    """A database as one worker of a job writes to it: for as long as nobody else was given the job.

    What is not a write goes to the database itself.

    Args:
        database: The one that it writes to.
        job_id: The job.
        token: Of the worker's claim.
    """

    def __init__(self, database: Database, job_id: int, token: int) -> None:
        self._database = database
        mine = Job.select(Job.id).where((Job.id == job_id) & (Job.token == token))
        self._mine = database.locking(mine)
        self._job_id = job_id
        self._inside = threading.local()

    @contextmanager
    def transaction(self, *, synced: bool = True, alone: bool = True) -> Iterator[None]:
        """Run a block as one transaction, as long as the claim holds; may be nested.

        Raises:
            ClaimLost: Another worker was given the job.
        """
        with self._database.transaction(synced=synced, alone=alone):
            if getattr(self._inside, "checked", False):
                yield
                return
            if self._database.first(self._mine) is None:
                raise ClaimLost(
                    f"Job {self._job_id} was given to another worker meanwhile.",
                    hint="What this one made of it is refused; the other one finishes it.",
                )
            self._inside.checked = True
            try:
                yield
            finally:
                self._inside.checked = False

    def run(self, query: Any) -> int:
        """See `Database`; raises ClaimLost."""
        with self.transaction(alone=False):
            return self._database.run(query)

    def run_unsynced(self, query: Any) -> int:
        """See `Database`; raises ClaimLost."""
        with self.transaction(synced=False, alone=False):
            return self._database.run_unsynced(query)

    def execute(self, sql: str, *values: object) -> list[Any]:
        """See `Database`; raises ClaimLost."""
        with self.transaction(alone=False):
            return self._database.execute(sql, *values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)
