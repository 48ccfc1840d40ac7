"""Where neighbours send their webhooks: `/webhook`, with POST or PUT, as JSON or as a form.

Who sends it is told by what is in it. Whatever Radarr and Sonarr say is answered 202, once it is on
disk: they mute a receiver that answers with an error. Who names one `path` gets a 422 that says
what is wrong with it.
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from dubarr_watch.errors import WrongUsage
from dubarr_watch.store.inbox import InboxState
from dubarr_watch.web.api.common import DeskOf

router = APIRouter(tags=["webhooks"])

_FORM = "application/x-www-form-urlencoded"
_ANY = {"type": "object", "additionalProperties": True}
_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": _ANY} for kind in ("application/json", _FORM)},
    }
}


class Stored(BaseModel):
    """A webhook that is on disk, to be worked off in a moment."""

    id: int
    sender: str = Field(description="Radarr, Sonarr, Bazarr, Tautulli, or empty")
    event: str


class Webhook(Stored):
    """A webhook, and what became of it."""

    state: InboxState
    outcome: str = Field(description="what was done, or why nothing, in plain words")
    received_at: AwareDatetime
    handled_at: AwareDatetime | None


async def take(request: Request, desk: DeskOf) -> Stored:
    """Keep what a neighbour says, and answer at once."""
    body, kind = await request.body(), request.headers.get("content-type", "")
    receipt = await run_in_threadpool(lambda: desk.works.hear(_decoded(body, kind)))
    return Stored(id=receipt.id, sender=receipt.sender, event=receipt.event)


for path in ("/webhook", "/api/v1/webhooks"):
    for method in ("POST", "PUT"):
        router.add_api_route(
            path,
            take,
            methods=[method],
            status_code=HTTPStatus.ACCEPTED,
            openapi_extra=_BODY,
            operation_id=f"{method.lower()}{path.replace('/', '_')}",
        )


@router.get("/api/v1/webhooks")
def list_webhooks(desk: DeskOf, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> list[Webhook]:
    """What came last, newest first; the last 500 are kept."""
    return [
        Webhook.model_validate(one, from_attributes=True) for one in desk.store.inbox.recent(limit)
    ]


def _decoded(body: bytes, kind: str) -> object:
    """Return what a body holds.

    Raises:
        WrongUsage: It is neither JSON nor a form.
    """
    try:
        if kind.split(";")[0].strip().lower() == _FORM:
            fields = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=100)
            return dict(fields)
        return json.loads(body)
    except (ValueError, RecursionError):
        raise WrongUsage(
            "The body is neither JSON nor a form.",
            hint='Send {"path": "/folder/Film.mkv"} as application/json.',
        ) from None
