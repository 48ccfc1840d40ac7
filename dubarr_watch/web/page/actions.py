"""Forms that change something: each is one call of the desk.

A browser without scripts is sent back to where it came from; a script is told in words what
happened, or gets the problem.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf
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


def _done(request: Request, told: str, *, to: str = "") -> Response:
    base = renderer(request).base
    if not wants_page(request):
        return JSONResponse({"told": told, "go": f"{base}{to}" if to else ""})
    back = urlsplit(request.headers.get("referer", "")).path
    inside = back.startswith(f"{base}/") and not back.startswith("//")
    return RedirectResponse(f"{base}{to}" if to else back if inside else f"{base}/", 303)
