"""What comes by itself: events, and the log."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from dubarr_watch.logs import TAIL
from dubarr_watch.settings.choices import LogLevel
from dubarr_watch.web.live.channel import Event
from dubarr_watch.web.live.stream import EventStream
from dubarr_watch.web.live.wire import Wire

router = APIRouter(tags=["live"])

_RANKS = {level.value: rank for rank, level in enumerate(LogLevel)}
_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}
}
LastId = Annotated[str, Header(alias="Last-Event-ID", max_length=100)]


class Line(BaseModel):
    """A line of the log."""

    number: int = Field(description="counts up from 1 at the start of the program")
    at: str
    level: str
    event: str
    fields: dict[str, Any]


class LineFilter(BaseModel):
    """Which lines of the log."""

    level: LogLevel = Field(LogLevel.DEBUG, description="this one and worse")
    search: str = Field("", max_length=200, description="text that must be in it, in any case")
    job: int | None = Field(None, description="only of this job")

    def fits(self, line: dict[str, Any]) -> bool:
        """Tell whether a line is wanted."""
        if _RANKS.get(line["level"], len(_RANKS)) < _RANKS[self.level.value]:
            return False
        if self.job is not None and line["fields"].get("job") != self.job:
            return False
        return not self.search or self.search.lower() in json.dumps(line).lower()


def _wire(request: Request) -> Wire:
    wire: Wire = request.app.state.wire
    return wire


@router.get("/events", response_class=EventStream, status_code=200, responses=_STREAM)
async def stream_events(request: Request, last_event_id: LastId = "") -> EventStream:
    """Server-sent events of what changes: status, job, queue, counts, leases, task, video.

    It begins with all of `status`, or after a broken connection with what was missed.
    """
    wire = _wire(request)
    missed = wire.state.missed(last_event_id)
    if missed is None:
        told = await run_in_threadpool(wire.changes.status)
        missed = [wire.state.event(*told)]
    return EventStream(wire.state, missed)


@router.get("/logs")
def list_lines(
    wanted: Annotated[LineFilter, Query()],
    limit: Annotated[int, Query(ge=1, le=2000)] = 200,
) -> list[Line]:
    """The last lines of the log since the start of the program, oldest first."""
    found = [line for line in map(asdict, TAIL.lines()) if wanted.fits(line)]
    return [Line.model_validate(line) for line in found[-limit:]]


@router.get("/logs/stream", response_class=EventStream, status_code=200, responses=_STREAM)
async def stream_lines(
    request: Request, wanted: Annotated[LineFilter, Query()], last_event_id: LastId = ""
) -> EventStream:
    """New lines of the log as server-sent events `line`, after a break with those missed."""
    wire = _wire(request)

    def fits(event: Event) -> bool:
        return wanted.fits(json.loads(event.data))

    missed = wire.logs.missed(last_event_id) or []
    return EventStream(wire.logs, filter(fits, missed), fits)
