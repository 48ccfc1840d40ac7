"""Forms that change something: each is one call of the desk.

A browser without scripts is sent back to where it came from; a script is told in words what
happened, or gets the problem.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Path, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.page import words
from dubarr_watch.web.page.errors import wants_page
from dubarr_watch.web.page.rendering import renderer

router = APIRouter(prefix="/do")


@router.post("/jobs/{job_id}/cancel")
def cancel(request: Request, desk: DeskOf, job_id: shapes.Id) -> Response:
    """Stop a job."""
    job = desk.jobs.cancel(job_id)
    ended = job.state == "cancelled"
    return _done(request, f"{job.name} {'is cancelled' if ended else 'stops as soon as it can'}.")


@router.post("/jobs/{job_id}/retry")
def retry(request: Request, desk: DeskOf, job_id: shapes.Id) -> Response:
    """Queue a job again."""
    return _done(request, f"{desk.jobs.retry(job_id).name} is queued again.")


@router.post("/jobs/{job_id}/up")
def earlier(request: Request, desk: DeskOf, job_id: shapes.Id) -> Response:
    """Let a job start one place earlier."""
    return _done(request, f"{desk.jobs.step(job_id, -1).name} starts earlier.")


@router.post("/jobs/{job_id}/down")
def later(request: Request, desk: DeskOf, job_id: shapes.Id) -> Response:
    """Let a job start one place later."""
    return _done(request, f"{desk.jobs.step(job_id, 1).name} starts later.")


@router.post("/jobs/{job_id}/move")
def move(
    request: Request,
    desk: DeskOf,
    job_id: shapes.Id,
    before: Annotated[str, Form(pattern="^[0-9]{0,18}$")] = "",
) -> Response:
    """Put a job before another one, or last."""
    job = desk.jobs.move(job_id, int(before) if before else None)
    return _done(request, f"{job.name} has its new place.")


@router.post("/jobs/{job_id}/redo")
def redo(
    request: Request,
    desk: DeskOf,
    job_id: shapes.Id,
    language: Annotated[str, Form(max_length=64)],
    line: Annotated[int, Form(ge=0, le=shapes.LARGEST_ID)],
    text: Annotated[str, Form(max_length=2000)],
    was: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Make a line anew: in other words, or in another take when they are the same."""
    new = text.replace("\r\n", "\n")
    desk.jobs.redo(job_id, language, line, None if new == was.replace("\r\n", "\n") else new)
    return _done(request, f"Line {line} is made anew; it is published in a moment.")


@router.post("/videos/{video_id}/dub")
def dub(
    request: Request,
    desk: DeskOf,
    video_id: shapes.Id,
    languages: Annotated[str, Form(max_length=500)],
    mode: Annotated[str, Form(pattern="^(|sidecar|mux|both)$")] = "",
    style: Annotated[str, Form(pattern="^(|dub|voiceover)$")] = "",
    again: Annotated[str, Form(pattern="^(|yes)$")] = "",
) -> Response:
    """Ask for a video in some languages, separated by commas."""
    wanted = [word.strip() for word in languages.split(",") if word.strip()]
    asked = shapes.NewJob(
        video_id=video_id, path="", languages=wanted, mode=mode, style=style, again=bool(again)
    )
    job = desk.jobs.add(desk.videos.named(asked.video_id, asked.path), asked)
    named = ", ".join(words.language(code) for code in wanted)
    if job.state.ended:
        return _done(
            request, f"{job.name} in {named}: {words.state_word(job.state)}. {job.reason}".strip()
        )
    return _done(request, f"{job.name} is asked for in {named}.")


@router.post("/videos/{video_id}/delete")
def delete(
    request: Request,
    desk: DeskOf,
    video_id: shapes.Id,
    language: Annotated[str, Form(max_length=64)],
    kind: Annotated[str, Form(pattern="^(sidecar|mux|subtitles)$")],
    sure: Annotated[str, Form(pattern="^(|yes)$")] = "",
) -> Response:
    """Delete a track, once somebody has said that they are sure."""
    video = desk.videos.get(video_id)
    if not sure:
        return renderer(request).show(request, "sure", video=video, language=language, kind=kind)
    desk.tracks.delete_track(video_id, language, kind)
    return _done(request, f"It is deleted: {video.name} in {words.language(language)}.")


@router.post("/models/{name}/pull")
def pull(request: Request, desk: DeskOf, name: Annotated[str, Path(max_length=200)]) -> Response:
    """Begin to fetch a model."""
    desk.machine.pull(name)
    return _done(request, f"{name} is being fetched.")


def _done(request: Request, told: str, *, to: str = "") -> Response:
    base = renderer(request).base
    if not wants_page(request):
        return JSONResponse({"told": told, "go": f"{base}{to}" if to else ""})
    back = urlsplit(request.headers.get("referer", "")).path
    inside = back.startswith(f"{base}/") and not back.startswith("//")
    return RedirectResponse(f"{base}{to}" if to else back if inside else f"{base}/", 303)
