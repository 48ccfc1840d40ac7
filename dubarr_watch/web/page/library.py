"""The library, and one video of it."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from dubarr_watch.store.browsing import VideoFilter
from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.page.rendering import renderer

router = APIRouter()

SHOWN = 50
_FILTERS = {
    VideoFilter.ALL: "All videos",
    VideoFilter.DUBBED: "Dubbed",
    VideoFilter.NOT_DUBBED: "Not dubbed",
    VideoFilter.WORKING: "In the queue",
    VideoFilter.FAILED: "Failed",
}


@router.get("/library")
def library(
    request: Request,
    desk: DeskOf,
    search: Annotated[str, Query(max_length=200)] = "",
    which: VideoFilter = VideoFilter.ALL,
    offset: shapes.Offset = 0,
) -> HTMLResponse:
    """Some videos of the library."""
    found = desk.videos.page(search=search, which=which, limit=SHOWN, offset=offset)
    return renderer(request).show(
        request,
        "library",
        found=found,
        search=search,
        which=which,
        filters=_FILTERS,
        more=f"?{urlencode({'search': search, 'which': which.value})}&offset=",
        targets=[language.code for language in desk.settings.target_langs],
        videos_dir=desk.settings.videos_dir,
        upload_max_gib=desk.settings.upload_max_gib,
    )


@router.get("/library/{video_id}")
def video(request: Request, desk: DeskOf, video_id: shapes.Id) -> HTMLResponse:
    """One video: what it has, what was made of it, and what can be asked for."""
    found = desk.videos.get(video_id)
    return renderer(request).show(
        request,
        "video",
        video=found,
        jobs=desk.jobs.of_video(video_id),
        targets=[language.code for language in desk.settings.target_langs],
        languages=[one for one in desk.machine.languages() if not one.refusal],
    )
