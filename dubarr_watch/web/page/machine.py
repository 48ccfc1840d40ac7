"""The machine, its log, its settings."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse

from dubarr_watch.settings.choices import LogLevel
from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.api.live import LineFilter, list_lines
from dubarr_watch.web.desk.tasks import Task
from dubarr_watch.web.page.rendering import renderer

router = APIRouter()

_LINES = 300
_WEBHOOKS = 20


@router.get("/machine")
def machine(request: Request, desk: DeskOf) -> HTMLResponse:
    """Devices, who holds their memory, and models."""
    pulls = dict[str, Task]()
    for task in desk.tasks.all():
        if task.kind == "pull":
            pulls.setdefault(task.about, task)
    return renderer(request).show(
        request,
        "machine",
        devices=desk.machine.devices(),
        leases=desk.machine.leases(),
        cluster=desk.machine.cluster(),
        models=desk.machine.models(),
        pulls=pulls,
        engines=desk.works.engines(),
        profile=desk.works.profile.value,
    )


@router.get("/logs")
def logs(request: Request, wanted: Annotated[LineFilter, Query()]) -> HTMLResponse:
    """The last lines of the log; a script adds those that come."""
    asked = {"level": wanted.level.value, "search": wanted.search}
    asked |= {"job": str(wanted.job)} if wanted.job is not None else {}
    return renderer(request).show(
        request,
        "logs",
        lines=list_lines(wanted, _LINES),
        wanted=wanted,
        levels=list(LogLevel),
        stream=f"/api/v1/logs/stream?{urlencode(asked)}",
    )


@router.get("/settings")
def settings(request: Request, desk: DeskOf) -> HTMLResponse:
    """Every setting with its source, the API key, and what neighbours said last."""
    return renderer(request).show(
        request,
        "settings",
        settings=desk.machine.settings(),
        api_key=desk.credentials.api_key,
        webhooks=desk.store.inbox.recent(_WEBHOOKS),
        config_dir=desk.settings.config_dir,
    )


@router.get("/settings/findings")
async def findings(request: Request, desk: DeskOf) -> HTMLResponse:
    """What the doctor finds, which takes some seconds: a script asks for it on its own."""
    return renderer(request).show(request, "findings", found=await desk.machine.findings())
