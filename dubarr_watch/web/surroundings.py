"""What stands around every request: the base path, headers, and the last net for errors."""

from __future__ import annotations

import structlog
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dubarr_watch.web.problems import problem

log = structlog.get_logger(__name__)

# Scripts, styles and sounds come from here and nowhere else, and nothing of it stands inside a
# page: text that found its way into one is never run.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "media-src 'self'; font-src 'self'; connect-src 'self'; manifest-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # Not no-referrer: with that, browsers send `Origin: null` with forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
_RAW = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]


class Base:
    """Serves the app below URL_BASE, whether or not the proxy takes that away.

    Args:
        app: What is behind it.
        base: URL_BASE: empty, or `/name` without a slash at its end.
    """

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app = app
        self._base = base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if self._base and scope["type"] in ("http", "websocket"):
            path = scope["path"]
            inside = path == self._base or path.startswith(f"{self._base}/")
            scope = {
                **scope,
                "root_path": self._base,
                "path": path if inside else self._base + path,
            }
        await self._app(scope, receive, send)


class Safe:
    """Sets security headers, and turns an error that nobody caught into a problem.

    Args:
        app: What is behind it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = [*message.get("headers", ())]
                own = {name for name, _ in headers}
                message["headers"] = headers + [one for one in _RAW if one[0] not in own]
            await send(message)

        try:
            await self._app(scope, receive, with_headers)
        except ClientDisconnect:
            return
        except Exception:
            # It is answered already, by `unexpected` or by ending the connection.
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if not started:
                await unexpected()(scope, receive, with_headers)


def unexpected() -> Response:
    """Return the answer to a request that failed for no reason that we know."""
    words = "Something unexpected went wrong."
    return problem(500, words, hint="The log holds the details; please report them.")
