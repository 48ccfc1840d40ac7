"""/api/v1: a router a subject."""

from __future__ import annotations

from fastapi import APIRouter

from dubarr_watch.web.api import jobs, live, machine, status, videos

router = APIRouter(prefix="/api/v1")
for part in (status, videos, jobs, machine, live):
    router.include_router(part.router)
