"""A channel as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from dubarr_watch.web.live.channel import Channel, Event, Listener
from dubarr_watch.web.problems import problem

log = structlog.get_logger(__name__)

BEAT_S = 15.0
"""A comment goes out when nothing else did for so long: proxies end silent connections."""

_BEAT = b": still here\n\n"

SEND_S = 10.0
"""Who takes nothing for so long is let go."""


class EventStream(Response):
    """Sends a channel's events until the client leaves, is too slow, or the program stops.

    Args:
        channel: What is sent.
        wanted: Which events.
        first: Events to begin with: what a client missed, or the state of things.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        channel: Channel,
        first: Iterable[Event],
        wanted: Callable[[Event], bool] = lambda event: True,
    ) -> None:
        super().__init__(headers={"x-accel-buffering": "no"})
        del self.headers["content-length"]
        self._channel = channel
        self._first = list(first)
        self._wanted = wanted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if self._channel.crowded:
            refusal = problem(503, "Too many listen already.", hint="Close some pages.")
            await refusal(scope, receive, send)
            return
        with self._channel.listened(self._wanted) as listener:
            telling = asyncio.create_task(self._tell(listener, send))
            leaving = asyncio.create_task(_left(receive))
            try:
                await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in (telling, leaving):
                    task.cancel()
                await asyncio.gather(leaving, return_exceptions=True)
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await telling

    async def _tell(self, listener: Listener, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        begin = b"retry: 2000\n\n" + b"".join(event.written for event in self._first)
        await self._send(send, begin)
        while not listener.lost:
            # Not wait_for: in Python 3.11 that may swallow a cancellation.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await listener.news.wait()
            listener.news.clear()
            text = b"".join(event.written for event in listener.waiting) or _BEAT
            listener.waiting.clear()
            if not listener.lost and not await self._send(send, text):
                return
        if not self._channel.closed:
            log.info("slow listener let go")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await send({"type": "http.response.body", "body": b""})

    async def _send(self, send: Send, text: bytes) -> bool:
        body = {"type": "http.response.body", "body": text, "more_body": True}
        try:
            async with asyncio.timeout(SEND_S):
                await send(body)
        except TimeoutError:
            log.info("slow listener let go")
            return False
        return True


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
