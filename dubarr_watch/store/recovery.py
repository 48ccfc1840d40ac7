"""Jobs whose process died: queued again, unless they are what kills it."""

from __future__ import annotations

from collections.abc import Callable

from dubarr_watch.errors import printable
from dubarr_watch.store.checkpoints import finished_steps
from dubarr_watch.store.database import Database
from dubarr_watch.store.jobs import Jobs
from dubarr_watch.store.models import Job
from dubarr_watch.store.records import JobRecord, JobState


class Recovery:
    """Takes jobs back from processes that died."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._database = database
        self._jobs = jobs

    def recover(
        self, is_alive: Callable[[str], bool], *, max_attempts: int, event: str = ""
    ) -> list[JobRecord]:
        """End what dead processes were running, and return it: queued again, or failed.

        A process is dead, too, when its lease ran out; should it come back, its token is old.

        A job fails when `max_attempts` processes in a row died with it before it had come any
        further. Each death after a new checkpoint counts as the first one.

        Args:
            is_alive: Tells whether an owner's process lives; see `owners.owner_is_alive`.
            max_attempts: MAX_ATTEMPTS.
            event: Message to send about a job that fails; none when empty.
        """
        recovered = []
        for row in self._database.all(Job.select().where(Job.state == JobState.RUNNING)):
            expired = Job.lease_until < self._database.now()
            dead = not is_alive(row.owner)
            # Somebody else may have recovered and started it since, or it has given a sign of life.
            same = (Job.id == row.id) & (Job.token == row.token) & (Job.state == JobState.RUNNING)
            condition = same if dead else same & expired
            if self._database.first(Job.select(Job.id).where(condition)) is None:
                continue
            with self._database.transaction():
                # A worker that gives a file its name just now keeps the job until that is done.
                free = self._database.locking(Job.select(Job.id).where(condition), skip=True)
                if self._database.first(free) is not None:
                    self._database.run(Job.update(token=Job.token + 1).where(same))
                    recovered.append(self._take_back(row.id, max_attempts, event))
        return recovered

    def _take_back(self, job_id: int, max_attempts: int, event: str) -> JobRecord:
        further = Job.checkpoints < finished_steps(self._database, job_id)
        self._database.run(Job.update(attempts=1).where((Job.id == job_id) & further))
        job = self._jobs.get(job_id)
        if job.attempts < max_attempts or job.cancel_requested:
            return self._jobs.requeue(job_id, "the process that ran it ended unexpectedly")
        during = f" during {job.stage}" if job.stage else ""
        reason = (
            f"The program ended unexpectedly {job.attempts} times with "
            f"{printable(job.video.path.name)}{during}. The log and the kernel's messages say why "
            "(often too little memory); then: dubarr-watch retry."
        )
        for language in job.languages:
            self._jobs.set_result(job_id, language, JobState.FAILED, reason)
        return self._jobs.finish(job_id, JobState.FAILED, reason, events=[event] if event else [])
