"""The queue, and what came of it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from dubarr_watch.store.records import JobState
from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf

router = APIRouter(prefix="/jobs", tags=["jobs"])


@router.get("")
def list_jobs(
    desk: DeskOf,
    state: Annotated[
        list[JobState],
        Query(default_factory=list, description="only in these; repeat it for more"),
    ],
    limit: shapes.Limit = 50,
    offset: shapes.Offset = 0,
) -> shapes.Page[shapes.Job]:
    """Jobs, newest first."""
    return desk.jobs.page(states=state, limit=limit, offset=offset)


@router.post("")
def add_job(desk: DeskOf, asked: shapes.NewJob) -> shapes.Job:
    """Ask for a video in some languages.

    Asking for the same again while it is not done is the same job; a job that has not started
    takes further languages on.
    """
    return desk.jobs.add(desk.videos.named(asked.video_id, asked.path), asked)


@router.get("/{job_id}")
def get_job(desk: DeskOf, job_id: shapes.Id) -> shapes.JobDetail:
    """One job with what came of it."""
    return desk.jobs.get(job_id)


@router.post("/{job_id}/retry")
def retry_job(desk: DeskOf, job_id: shapes.Id) -> shapes.Job:
    """Queue a job again that failed, was skipped or cancelled, or ended with warnings."""
    return desk.jobs.retry(job_id)


@router.post("/{job_id}/cancel")
def cancel_job(desk: DeskOf, job_id: shapes.Id) -> shapes.Job:
    """Cancel a job: at once when it has not started, else as soon as it can stop."""
    return desk.jobs.cancel(job_id)
