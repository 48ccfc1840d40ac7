"""Problems in words, for whoever asked for a page."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request
from starlette.responses import Response

from dubarr_watch.web.page.rendering import renderer
from dubarr_watch.web.problems import MEDIA_TYPE

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def in_words(handler: Handler) -> Handler:
    """Return a handler of errors that answers browsers with a page, programs with its problem."""

    async def shown(request: Request, error: Any) -> Response:
        answer = await handler(request, error)
        if not wants_page(request) or answer.media_type != MEDIA_TYPE:
            return answer
        found = json.loads(bytes(answer.body))
        page = renderer(request).show(request, "problem", code=answer.status_code, **found)
        kept = {key: value for key, value in answer.headers.items() if key == "allow"}
        page.headers.update(kept)
        return page

    return shown


def wants_page(request: Request) -> bool:
    """Tell whether a person looks at the answer."""
    return "text/html" in request.headers.get("accept", "")
