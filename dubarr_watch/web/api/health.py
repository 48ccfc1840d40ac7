"""/health: the one path that is open to everybody."""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Response

from dubarr_watch.web.api.common import DeskOf
from dubarr_watch.web.desk.health import Health

router = APIRouter(tags=["health"])


@router.head("/health", include_in_schema=False)
@router.get(
    "/health",
    responses={503: {"model": Health, "description": "Something is not well"}},
)
def health(desk: DeskOf, response: Response) -> Health:
    """Whether all is well, for watchdogs and containers: 200, or 503 with what is not."""
    found = desk.health.look()
    if found.status != "ok":
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return found
