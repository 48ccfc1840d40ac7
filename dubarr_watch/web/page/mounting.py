"""Puts the page into an app."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, FastAPI
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles

from dubarr_watch import __version__, dubbing, web
from dubarr_watch.web.page import actions, jobs, library, machine, queue
from dubarr_watch.web.page.rendering import Renderer

_STATIC = Path(web.__path__[0]) / "static"
_TOKENS = Path(dubbing.__path__[0]) / "page" / "tokens.css"
_AGAIN = {"cache-control": "no-cache"}
"""Browsers ask each time whether a file is the same: a new page never meets an old script."""


def mount(app: FastAPI, base: str) -> None:
    """Add the page's routes; `base` is URL_BASE."""
    app.state.renderer = Renderer(base, __version__)
    router = APIRouter(include_in_schema=False)
    router.add_api_route("/static/tokens.css", _tokens, methods=["GET", "HEAD"])
    for part in (queue, library, jobs, machine, actions):
        router.include_router(part.router)
    app.include_router(router)
    app.mount("/static", _Static(directory=_STATIC))


def _tokens() -> FileResponse:
    """Colours that the report page has too."""
    return FileResponse(_TOKENS, headers=_AGAIN)


class _Static(StaticFiles):
    def file_response(self, *args: object, **kwargs: object) -> Response:
        """See StaticFiles."""
        answer = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        answer.headers.update(_AGAIN)
        return answer
