"""Puts the page and the API together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import anyio.to_thread
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from dubarr_watch import __version__
from dubarr_watch.errors import DubarrError, printable
from dubarr_watch.web import api, documentation, metrics, older, page, webhooks
from dubarr_watch.web.api import health
from dubarr_watch.web.desk import Desk
from dubarr_watch.web.fresh import Fresh
from dubarr_watch.web.gate import Gate
from dubarr_watch.web.live.wire import Wire
from dubarr_watch.web.page.errors import in_words
from dubarr_watch.web.problems import Problem, problem, problem_of
from dubarr_watch.web.surroundings import Base, Safe, unexpected
from dubarr_watch.web.throttle import Throttle

THREADS = 6
"""Requests that are worked on at a time; each thread has a connection to the database."""

MAX_BODY_BYTES = 4 << 20
"""Of every request but uploads; a webhook about a series with 1000 files has 1.5 MB."""


def create_app(desk: Desk) -> FastAPI:
    """Return the routes, with nobody at the door; `guarded` puts it there."""
    app = FastAPI(
        title="dubarr-watch",
        version=__version__,
        description="What the page does, for programs. Errors are problem+json (RFC 9457).",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        max_body_size=MAX_BODY_BYTES,
        lifespan=_lifespan,
        responses={"4XX": {"model": Problem, "description": "What was wrong with it"}},
        exception_handlers={
            DubarrError: in_words(_of_ours),
            RequestValidationError: in_words(_not_valid),
            HTTPException: in_words(_of_http),
            Exception: in_words(_unexpected),
        },
        # Nothing on a home server reports its use to anybody.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.desk = desk
    app.state.wire = Wire(desk)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.include_router(older.router)
    app.include_router(documentation.router)
    app.include_router(api.router)
    app.include_router(webhooks.router)
    page.mount(app, desk.settings.url_base)
    return app


def guarded(app: FastAPI, desk: Desk) -> ASGIApp:
    """Return an app with the door in front of it, headers and URL_BASE around it."""
    door = Gate(Fresh(app), desk.settings, desk.credentials, Throttle())
    return Base(Safe(door), desk.settings.url_base)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
    wire: Wire = app.state.wire
    wire.start()
    try:
        yield
    finally:
        wire.stop()
        desk: Desk = app.state.desk
        desk.close()


async def _of_ours(request: Request, error: Any) -> Response:
    desk: Desk = request.app.state.desk
    return problem_of(error, blot=desk.settings.without_secrets)


async def _not_valid(request: Request, error: Any) -> Response:
    told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
    return problem(HTTPStatus.UNPROCESSABLE_ENTITY, printable(told), hint="See /docs.")


async def _unexpected(request: Request, error: Any) -> Response:
    return unexpected()


async def _of_http(request: Request, error: Any) -> Response:
    status = HTTPStatus(error.status_code)
    words = {
        HTTPStatus.NOT_FOUND: "There is nothing at this address.",
        HTTPStatus.METHOD_NOT_ALLOWED: "This address knows no such method.",
    }
    answer = problem(status, words.get(status, f"{error.detail}."))
    answer.headers.update(error.headers or {})
    return answer
