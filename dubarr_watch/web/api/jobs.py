"""The queue, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import FileResponse

from dubarr_watch.store.records import JobState
from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.desk.listening import Which
from dubarr_watch.web.desk.tasks import Task

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

    Asking for the same again is the same job, when it is done, too; a job that has not started
    takes further languages on. Only what the video lacks is dubbed, unless `again` is set.
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
    response_class=FileResponse,
    responses={200: {"content": {"audio/wav": {}}}, 206: {"description": "A part of it"}},
)
def get_sound(
    desk: DeskOf, job_id: shapes.Id, language: shapes.Language, line: shapes.Index, which: Which
) -> FileResponse:
    """A line to be heard, a little around it too; takes range requests."""
    return FileResponse(desk.listening.sound(job_id, language, line, which), media_type="audio/wav")


@router.put("/{job_id}/priority")
def set_priority(desk: DeskOf, job_id: shapes.Id, wanted: shapes.NewPriority) -> shapes.Job:
    """Let a job that has not started go sooner or later."""
    return desk.jobs.prioritise(job_id, wanted.priority)


@router.delete("/{job_id}", status_code=204)
def forget_job(
    desk: DeskOf,
    job_id: shapes.Id,
    reports: Annotated[bool, Query(description="its quality reports, too")] = False,
) -> None:
    """Remove a job that has ended from the history; videos and tracks stay."""
    desk.jobs.forget(job_id, reports=reports)


@router.post("/{job_id}/lines/{line}/redo")
def redo_line(desk: DeskOf, job_id: shapes.Id, line: shapes.Index, asked: shapes.NewLine) -> Task:
    """Begin to make a line anew, in other words or in another take; /tasks tells how far it is."""
    return desk.jobs.redo(job_id, asked.language, line, asked.text)
