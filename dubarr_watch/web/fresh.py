"""Answers that many ask for at once, kept for a moment: made once, however many ask.

It stands behind the door, so whoever gets one was let in.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

KEPT_S = 1.0
"""However many ask, each is made so often at most. What another process or a worker changed is seen
so much later; what a request did, at once."""

PATHS = frozenset({"/health", "/api/v1/status", "/api/v1/leases", "/api/v1/devices"})

_LOOKING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class _Answer:
    made_s: float
    messages: tuple[Message, ...]


class Fresh:
    """Keeps good answers to `PATHS` without a query.

    Args:
        app: Makes them.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._answers: dict[str, _Answer] = {}
        self._making: dict[str, asyncio.Lock] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
        elif scope["method"] not in _LOOKING:
            try:
                await self._app(scope, receive, send)
            finally:
                self._answers.clear()
        elif scope["method"] == "GET" and not scope["query_string"] and _path(scope) in PATHS:
            await self._kept_or_made(_path(scope), scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _kept_or_made(self, path: str, scope: Scope, receive: Receive, send: Send) -> None:
        if (kept := self._kept(path)) is None:
            async with self._making.setdefault(path, asyncio.Lock()):
                kept = self._kept(path) or await self._make(path, scope, receive)
        for message in kept.messages:
            # A copy: who passes it on adds headers.
            await send({**message, "headers": [*message["headers"]]} if "headers" in message
                       else message)  # fmt: skip

    async def _make(self, path: str, scope: Scope, receive: Receive) -> _Answer:
        messages: list[Message] = []
        began_s = time.monotonic()

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        made = _Answer(began_s, tuple(messages))
        if messages and messages[0].get("status") == 200:
            self._answers[path] = made
        return made

    def _kept(self, path: str) -> _Answer | None:
        kept = self._answers.get(path)
        return kept if kept and time.monotonic() - kept.made_s < KEPT_S else None


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
