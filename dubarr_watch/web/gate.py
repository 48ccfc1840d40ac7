"""The door in front of everything: no path is open unless it is named here.

It stands before the routes, so that a route that somebody adds is closed without any more ado.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus

import structlog
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dubarr_watch.settings import Settings
from dubarr_watch.web.callers import Caller, caller_of
from dubarr_watch.web.credentials import Credentials, Shown
from dubarr_watch.web.problems import plain_page, problem
from dubarr_watch.web.throttle import Throttle

log = structlog.get_logger(__name__)

OPEN = frozenset({"/health"})
"""Paths that need no credentials, for GET and HEAD."""

_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})
_CHALLENGE = {"www_authenticate": 'Basic realm="dubarr-watch", charset="UTF-8"'}
_WAY_IN = (
    "Set the variable `API_PASS` to a password of your own where dubarr-watch is started (in "
    "Docker: `environment:` of the compose file, or `API_PASS_FILE`), and start it again. "
    "Until then only this machine itself is let in, as http://localhost."
)


class Gate:
    """Lets in who may come in, and no change that another site asked for.

    Args:
        app: What is behind it.
        settings: API_PASS, TRUSTED_PROXIES.
        credentials: The right ones.
        throttle: Counts failures.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, credentials: Credentials, throttle: Throttle
    ) -> None:
        self._app = app
        self._settings = settings
        self._credentials = credentials
        self._throttle = throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan" or _is_open(scope):
            await self._app(scope, receive, send)
            return
        caller = caller_of(scope, self._settings.trusted_proxies)
        headers = Headers(scope=scope)
        refusal = await self._refusal(scope, caller, headers)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await _refuse(refusal, scope, receive, send)

    async def _refusal(self, scope: Scope, caller: Caller, headers: Headers) -> Response | None:
        as_page = "text/html" in headers.get("accept", "")
        if self._settings.has_default_password and not caller.local:
            log.warning("not let in", address=caller.shown, because="API_PASS is that of everybody")
            return _default_password(as_page=as_page)
        address = caller.neighbourhood
        if self._throttle.is_busy(address):
            return problem(
                HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong passwords from your address.",
                hint="Wait some seconds.", retry_after="8",
            )  # fmt: skip
        shown = self._credentials.check(headers)
        if shown is Shown.NOTHING:
            return _log_in("User name and password, or an API key, are needed.", as_page=as_page)
        if shown is Shown.WRONG:
            await self._slow_down(caller, scope)
            return _log_in("The user name, the password or the API key is wrong.", as_page=as_page)
        if shown is not Shown.KEY and _changes(scope) and not _same_origin(headers, caller):
            log.warning("foreign change refused", address=caller.shown, path=scope["path"],
                        origin=headers.get("origin"))  # fmt: skip
            return problem(
                HTTPStatus.FORBIDDEN, "A page of another site asked for this.",
                hint="Ask from the page itself, or with an API key. Behind a reverse proxy: let it "
                "pass the Host header on, or name it in TRUSTED_PROXIES.",
            )  # fmt: skip
        return None

    async def _slow_down(self, caller: Caller, scope: Scope) -> None:
        address = caller.neighbourhood
        wait_s = self._throttle.failed(address)
        log.warning(
            "login failed", address=caller.shown, path=scope["path"], answered_after_s=wait_s
        )
        if wait_s:
            self._throttle.began_to_wait(address)
            try:
                await asyncio.sleep(wait_s)
            finally:
                self._throttle.waited(address)


def _is_open(scope: Scope) -> bool:
    looking = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
    return looking and scope["path"].removeprefix(scope.get("root_path", "")) in OPEN


def _changes(scope: Scope) -> bool:
    # A web socket is no change, but no other site may listen to it either, and browsers would
    # let it: the same-origin policy knows nothing of sockets.
    return scope["type"] == "websocket" or scope["method"] not in _LOOKING


def _same_origin(headers: Headers, caller: Caller) -> bool:
    """Tell whether a page of ours, or no page at all, asked; every browser says which.

    Browsers send Sec-Fetch-Site to https and to localhost only, and Origin with every change.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    return origin is None or _plain(origin) == _plain(caller.origin)


def _plain(origin: str) -> str:
    """Return an origin without the port that its scheme has anyway."""
    origin = origin.lower()
    for scheme, port in (("http", ":80"), ("https", ":443")):
        if origin.startswith(f"{scheme}://"):
            return origin.removesuffix(port)
    return origin


def _log_in(words: str, *, as_page: bool) -> Response:
    hint = "The user name is API_USER, the password API_PASS; the key is in CONFIG_DIR/api-key."
    if as_page:
        return plain_page(HTTPStatus.UNAUTHORIZED, "Not logged in", words, hint, **_CHALLENGE)
    return problem(HTTPStatus.UNAUTHORIZED, words, hint=hint, **_CHALLENGE)


def _default_password(*, as_page: bool) -> Response:
    words = "The password is still the one that everybody knows."
    if as_page:
        return plain_page(HTTPStatus.FORBIDDEN, "Set a password first", words, _WAY_IN)
    return problem(HTTPStatus.FORBIDDEN, words, hint=_WAY_IN.replace("`", ""))


async def _refuse(refusal: Response, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await refusal(scope, receive, send)
    elif "websocket.http.response" in scope.get("extensions", {}):
        await receive()  # websocket.connect
        await refusal(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1008})
