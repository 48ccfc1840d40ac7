"""What is going on."""

from __future__ import annotations

from fastapi import APIRouter

from dubarr_watch.web import shapes
from dubarr_watch.web.api.common import DeskOf

router = APIRouter(tags=["status"])


@router.get("/status")
def get_status(desk: DeskOf) -> shapes.Status:
    """What is running, what comes next and what came last."""
    return desk.overview.status()
