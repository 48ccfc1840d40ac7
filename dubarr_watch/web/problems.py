"""What went wrong, as `application/problem+json` (RFC 9457) or, for a browser, as a page."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from dubarr_watch import errors
from dubarr_watch.errors import DubarrError, printable
from dubarr_watch.library.readiness import NotReady

MEDIA_TYPE = "application/problem+json"

# The first that fits counts: whoever is more special stands first.
_STATUS: tuple[tuple[type[DubarrError], HTTPStatus], ...] = (
    (errors.NotInStore, HTTPStatus.NOT_FOUND),
    (errors.IllegalTransition, HTTPStatus.CONFLICT),
    (errors.WrongUsage, HTTPStatus.UNPROCESSABLE_ENTITY),
    (errors.CannotDub, HTTPStatus.UNPROCESSABLE_ENTITY),
    (NotReady, HTTPStatus.CONFLICT),
    (errors.DiskFull, HTTPStatus.INSUFFICIENT_STORAGE),
    (errors.PublishError, HTTPStatus.CONFLICT),
    (errors.UserMustProvide, HTTPStatus.CONFLICT),
    (errors.StoreError, HTTPStatus.SERVICE_UNAVAILABLE),
)


class Problem(BaseModel):
    """What went wrong, and what to do about it."""

    type: str = Field("about:blank", description="always about:blank: the status says the kind")
    title: str = Field(description="the status in words")
    status: int
    detail: str = Field(description="what failed, in one plain sentence")
    hint: str = Field("", description="what to do about it")
    path: str = Field("", description="the file it is about")


def problem(
    status: int, detail: str, *, hint: str = "", path: str = "", **headers: str
) -> Response:
    """Return a problem as a response.

    Args:
        status: HTTP's.
        detail: What failed.
        hint: What to do about it.
        path: The file it is about.
        **headers: More headers, `retry_after` for `Retry-After`.
    """
    words = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status,
             "detail": detail, "hint": hint, "path": path}  # fmt: skip
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(json.dumps(words), status, named, MEDIA_TYPE)


def problem_of(error: DubarrError, *, blot: Any = str) -> Response:
    """Return an error of ours as a response; `blot` takes secrets out of its words."""
    status = next((code for kind, code in _STATUS if isinstance(error, kind)),
                  HTTPStatus.INTERNAL_SERVER_ERROR)  # fmt: skip
    path = printable(error.path) if error.path is not None else ""
    return problem(status, blot(error.message), hint=blot(error.hint), path=path)


_STYLE = """
:root { color-scheme: light dark; font: 1.05rem/1.5 system-ui, sans-serif; }
body { max-width: 38rem; margin: 12vh auto; padding: 0 1.25rem; }
h1 { font-size: 1.5rem; }
code { font: 0.95em ui-monospace, monospace; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()


def plain_page(status: int, title: str, *paragraphs: str, **headers: str) -> Response:
    """Return a page of words for somebody who was not let in; words in backquotes are code.

    It needs nothing else from here, since nothing else is given to such a one.
    """
    body = "".join(f"<p>{_with_code(text)}</p>" for text in paragraphs)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main><h1>{html.escape(title)}</h1>{body}</main></body></html>"
    )
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named["content-security-policy"] = (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )
    return Response(page, status, named, "text/html")


def _with_code(text: str) -> str:
    parts = html.escape(text).split("`")
    return "".join(f"<code>{part}</code>" if n % 2 else part for n, part in enumerate(parts))
