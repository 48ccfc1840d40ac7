"""Reading the queue."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dubarr_watch.errors import NotInStore
from dubarr_watch.store.database import Database
from dubarr_watch.store.job_order import IN_ORDER
from dubarr_watch.store.models import Job, Video
from dubarr_watch.store.records import JobOptions, JobRecord, JobState, Priority
from dubarr_watch.store.videos import video_record


class JobViews:
    """Everything about jobs that changes nothing."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, job_id: int) -> JobRecord:
        """Return a job.

        Raises:
            NotInStore: There is none with that id.
        """
        row = self._database.first(_jobs().where(Job.id == job_id))
        if row is None:
            raise NotInStore(f"There is no job {job_id}.")
        return job_record(row)

    def cancel_requested(self, job_id: int) -> bool:
        """Tell whether a job should stop: somebody asked for it, or it is not running any more."""
        job = self.get(job_id)
        return job.cancel_requested or job.state is JobState.CANCELLED

    def find(self, id_or_path: int | str | Path) -> JobRecord | None:
        """Return the job that a person means by an id or a video's path.

        Of several jobs of a video it is one that has not ended, else the newest.
        """
        if isinstance(id_or_path, int) or (isinstance(id_or_path, str) and id_or_path.isdecimal()):
            row = self._database.first(_jobs().where(Job.id == int(id_or_path)))
            if row is not None or isinstance(id_or_path, int):
                return None if row is None else job_record(row)
        path = Path(os.path.abspath(id_or_path))  # noqa: PTH100  links stay as they are
        rows = self._database.all(_jobs().where(Video.path == path).order_by(Job.id.desc()))
        found = [job_record(row) for row in rows]
        return min(found, key=lambda job: job.state.ended, default=None)

    def for_video(self, video_id: int) -> list[JobRecord]:
        """Return a video's jobs, newest first."""
        return self._list(_jobs().where(Job.video == video_id).order_by(Job.id.desc()))

    def for_request(self, request_id: int) -> list[JobRecord]:
        """Return the jobs made for a request, newest first."""
        return self._list(_jobs().where(Job.request_id == request_id).order_by(Job.id.desc()))

    def queue(self, limit: int | None = None) -> list[JobRecord]:
        """Return what has not started: queued jobs in the order they will start, then waiting."""
        states = (JobState.QUEUED, JobState.WAITING)
        query = _jobs().where(Job.state.in_(states)).order_by(Job.state, *IN_ORDER)
        return self._list(query.limit(limit))

    def running(self) -> list[JobRecord]:
        """Return the running jobs, by start."""
        running = Job.state == JobState.RUNNING
        return self._list(_jobs().where(running).order_by(Job.started_at, Job.id))

    def recent(self, limit: int = 20) -> list[JobRecord]:
        """Return the jobs that ended last, newest first."""
        ended = _jobs().where(Job.finished_at.is_null(False))
        return self._list(ended.order_by(Job.finished_at.desc(), Job.id.desc()).limit(limit))

    def page(
        self, *, states: Sequence[JobState] = (), limit: int = 50, offset: int = 0
    ) -> tuple[list[JobRecord], int]:
        """Return some jobs, newest first, and how many there are altogether.

        Args:
            states: Only in these; any when empty.
            limit: How many at most.
            offset: How many to pass over.
        """
        chosen = Job.state.in_(list(states or JobState))
        rows = _jobs().where(chosen).order_by(Job.id.desc()).limit(limit).offset(offset)
        total = sum(
            count for state, count in self.counts().items() if state in (states or JobState)
        )
        return self._list(rows), total

    def counts(self) -> dict[JobState, int]:
        """Return how many jobs are in each state, those without any included."""
        rows = self._database.rows("SELECT state, COUNT(*) FROM jobs GROUP BY state")
        return dict.fromkeys(JobState, 0) | {JobState(name): n for name, n in rows}

    def _list(self, query: Any) -> list[JobRecord]:
        return [job_record(row) for row in self._database.all(query)]


def job_record(row: Any) -> JobRecord:
    """Return a row, joined with its video's, as a plain value."""
    return JobRecord(
        id=row.id,
        video=video_record(row.video),
        languages=tuple(row.languages.split(",")),
        options=JobOptions(row.mode, row.style, row.again, Priority(row.priority)),
        request_id=row.request_id,
        state=JobState(row.state),
        reason=row.reason,
        attempts=row.attempts,
        stage=row.stage,
        progress=row.progress,
        eta_s=row.eta_s,
        cancel_requested=row.cancel_requested,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        token=row.token,
    )


def _jobs() -> Any:
    return Job.select(Job, Video).join(Video)
