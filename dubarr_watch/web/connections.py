"""Connections: whoever opens them before they show who they are must not cost a job its files."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

log = structlog.get_logger(__name__)

MOST_CONNECTIONS = 400
"""A process may often have no more than 1024 files open, and jobs need theirs."""

REQUEST_S = 20.0
"""So long after a connection was made, or an answer was sent, the next request has begun."""

MOST_HEAD = 32 * 1024
"""Bytes of a request's address and headers; its parser has no limit of its own."""

_TOLD_EVERY_S = 60.0


class Corked:
    """A transport that sends the head of an answer together with what follows it at once.

    Each sending is a call of the system, which costs more than all else about a small answer.

    Args:
        transport: The real one; all that is not about writing is its own.
        loop: When it has done what it is at, nothing is held back any longer.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """See asyncio.WriteTransport."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 "):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        if data:
            self._transport.write(data)

    def close(self) -> None:
        """See asyncio.BaseTransport."""
        self._flush()
        self._transport.close()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """See asyncio.BaseTransport: a web socket's takes over."""
        self._flush()
        self._transport.set_protocol(protocol)

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head:
            self._transport.write(head)


class Connection(HttpToolsProtocol):
    """Ends when no request comes, however slowly its letters drip in, and when one has no end."""

    _told_s = float("-inf")
    _deadline: asyncio.TimerHandle | None = None
    _until_s = 0.0
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """See asyncio.Protocol."""
        super().connection_made(Corked(transport, self.loop))  # type: ignore[arg-type]
        if len(self.connections) > MOST_CONNECTIONS:
            self._tell()
            transport.abort()
        else:
            self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        if self._deadline is not None:
            self._deadline.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._unread += len(data)
        super().data_received(data)
        if self._unread > MOST_HEAD and not self.transport.is_closing():
            self.send_400_response("The head of this request is too long.")

    def on_body(self, body: bytes) -> None:
        """See httptools."""
        self._unread = 0  # what follows may be headers again, after the last chunk
        super().on_body(body)

    def on_headers_complete(self) -> None:
        """See httptools.

        Raises:
            ValueError: They are too long; it is answered with 400.
        """
        self._unread = 0
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > MOST_HEAD:
            raise ValueError("too long")
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """See uvicorn: an answer was sent."""
        super().on_response_complete()
        self._expect()

    def _expect(self) -> None:
        # The timer that runs is not made anew with every answer: it looks again when it ends.
        self._until_s = self.loop.time() + REQUEST_S
        if self._deadline is None:
            self._deadline = self.loop.call_at(self._until_s, self._end_if_idle)

    def _end_if_idle(self) -> None:
        self._deadline = None
        if self.loop.time() < self._until_s:
            self._deadline = self.loop.call_at(self._until_s, self._end_if_idle)
            return
        busy = self.cycle is not None and not self.cycle.response_complete
        if not busy and self in self.connections:  # else it is a web socket by now
            self.transport.abort()

    def _tell(self) -> None:
        now_s = self.loop.time()
        if now_s - Connection._told_s > _TOLD_EVERY_S:
            Connection._told_s = now_s
            log.warning("too many connections", most=MOST_CONNECTIONS, address=self.client)
