"""The queue, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response

from dubarr_watch.store.records import JobState
from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.desk.listening import Which

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


@router.post("/{job_id}/move")
def move_job(desk: DeskOf, job_id: shapes.Id, to: shapes.Place) -> shapes.Job:
    """Put a queued job before another one, or behind all; it takes the priority it has there."""
    return desk.jobs.move(job_id, to.before)


@router.get("/{job_id}/reports/{language}")
def get_report(desk: DeskOf, job_id: shapes.Id, language: shapes.Language) -> dict[str, Any]:
    """What became of each line, as README says."""
    return desk.listening.report(job_id, language).as_dict()


@router.get(
    "/{job_id}/reports/{language}/lines/{line}/{which}",
    response_class=Response,
    responses={200: {"content": {"audio/wav": {}}}},
)
def get_sound(
    desk: DeskOf,
    job_id: shapes.Id,
    language: shapes.Language,
    line: Annotated[int, Path(ge=0, le=shapes.LARGEST_ID)],
    which: Which,
) -> Response:
    """A line to be heard, a little around it too."""
    return Response(desk.listening.sound(job_id, language, line, which), media_type="audio/wav")
