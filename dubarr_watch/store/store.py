"""Opening the store; what it keeps is grouped by what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Self, cast

from pydantic import SecretStr

from dubarr_watch.store.backups import Backups
from dubarr_watch.store.browsing import Browsing
from dubarr_watch.store.checkpoints import Checkpoints
from dubarr_watch.store.claims import Claims, Fenced
from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.figures import Figures
from dubarr_watch.store.glossary import Glossary
from dubarr_watch.store.history import History
from dubarr_watch.store.inbox import InboxRows
from dubarr_watch.store.jobs import Jobs
from dubarr_watch.store.leases import Leases, Needs
from dubarr_watch.store.meta import MetaValues
from dubarr_watch.store.migrations import MIGRATIONS, Migration, migrate
from dubarr_watch.store.notifications import Notifications
from dubarr_watch.store.opening import opened
from dubarr_watch.store.outputs import Outputs
from dubarr_watch.store.people import People
from dubarr_watch.store.recovery import Recovery
from dubarr_watch.store.redos import Redos
from dubarr_watch.store.requests import Requests
from dubarr_watch.store.roles import Roles
from dubarr_watch.store.spoken import SpokenLanguages
from dubarr_watch.store.turns import Turns
from dubarr_watch.store.videos import Videos


class Store:
    """The durable truth, in one database; build it with `Store.open`.

    Every method may be called from any thread, and by several processes at once. Each is one
    transaction, on disk when it returns (`jobs.progress` alone may be lost with the power).

    Attributes:
        videos: The library's videos.
        browsing: The library page by page.
        figures: Sums over everything.
        requests: What markers and people asked for.
        jobs: The queue, and what came of it.
        claims: Who runs which job, and for how long.
        roles: What one process does for all.
        recovery: Takes jobs back from processes that died.
        checkpoints: Finished stages and lines of jobs.
        outputs: Files that we published.
        notifications: Push messages, sent and to be sent.
        meta: Small values by name.
        backups: Copies of the database.
        leases: Leases of GPU memory, for onlookers.
        turns: Who computes on the CPU and who waits, for onlookers.
        needs: What engines were seen to need.
        people: Who was heard in which videos, and the voices they were cast with.
        inbox: What neighbours told us, and what became of it.
        spoken: What they say that files speak.
        glossary: What names and terms are called in dubs of a series.
        redos: Lines that are to be made anew.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.videos = Videos(database)
        self.browsing = Browsing(database)
        self.figures = Figures(database)
        self.requests = Requests(database)
        self.jobs = Jobs(database)
        self.claims = Claims(database)
        self.roles = Roles(database)
        self.recovery = Recovery(database, self.jobs)
        self.history = History(database, self.jobs)
        self.checkpoints = Checkpoints(database)
        self.outputs = Outputs(database)
        self.notifications = Notifications(database)
        self.meta = MetaValues(database)
        self.backups = Backups(database)
        self.leases = Leases(database)
        self.turns = Turns(database)
        self.needs = Needs(database)
        self.people = People(database)
        self.inbox = InboxRows(database)
        self.glossary = Glossary(database)
        self.spoken = SpokenLanguages(database)
        self.redos = Redos(database)

    @classmethod
    def open(
        cls, where: Path | SecretStr, *, migrations: Sequence[Migration] = MIGRATIONS
    ) -> Store:
        """Open the database, made or migrated when that is needed.

        Args:
            where: The SQLite file, or the URL of a PostgreSQL server's database.
            migrations: The schema's versions, oldest first.

        Raises:
            StoreCorrupt: It is damaged or no database of ours.
            StoreTooNew: A newer program wrote it.
            NotWritable: It or its folder cannot be written.
            StoreUnreachable: The server does not answer.
        """
        with opened(where) as database:
            migrate(database, migrations)
        return cls(database)

    def close(self) -> None:
        """Close every thread's connection; the store cannot be used afterwards."""
        self._database.close()

    def transaction(
        self, *, synced: bool = True, alone: bool = True
    ) -> AbstractContextManager[None]:
        """Make several calls one transaction: all of them happen, or none.

        Args:
            synced: On disk at its end; else it may be lost with the power.
            alone: Nobody else's runs meanwhile; see `Database`.
        """
        return self._database.transaction(synced=synced, alone=alone)

    def under(self, job_id: int, token: int) -> Store:
        """Return this store as the worker of a job uses it; closed with this one.

        Whatever it writes through it is refused with ClaimLost once another worker was given the
        job. A transaction asks at its start, and until its end nobody is given the job.

        Args:
            job_id: The job.
            token: `JobRecord.token` as the worker's claim returned it.
        """
        return Store(cast(Database, Fenced(self._database, job_id, token)))

    def changes(self) -> int:
        """Return a number that changes whenever anybody, in any process, has written."""
        return self._database.changes()

    def touch(self, *, timeout_s: float) -> None:
        """Make sure that the database can be written, now.

        Raises:
            StoreError: It cannot, within that time.
            NotWritable: It may not be written.
        """
        self._database.touch("touched", utc_now().isoformat(), timeout_s=timeout_s)

    def damage(self) -> list[str]:
        """Look for damage in the whole database; returns what was found."""
        return self._database.damage()

    def size_bytes(self) -> int:
        """Return how much disk the database takes."""
        return self._database.size_bytes()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close()
