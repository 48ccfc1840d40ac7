"""What runs, what comes next, what came last."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse

from dubarr_watch.store.records import JobState
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.page.rendering import renderer

router = APIRouter()


@router.get("/")
def queue(request: Request, desk: DeskOf) -> HTMLResponse:
    """The front page."""
    status = desk.overview.status()
    return renderer(request).show(
        request,
        "queue",
        now=status,
        waiting=status.counts.get(JobState.QUEUED, 0) + status.counts.get(JobState.WAITING, 0),
        videos_dir=desk.settings.videos_dir,
        upload_max_gib=desk.settings.upload_max_gib,
    )
