"""/api/v1: a router a subject."""

from __future__ import annotations

from fastapi import APIRouter

from dubarr_watch.web.api import jobs, status, videos

router = APIRouter(prefix="/api/v1")
for part in (status, videos, jobs):
    router.include_router(part.router)
