"""uvicorn in a thread of the daemon."""

from __future__ import annotations

import errno
import ipaddress
import socket
import threading
from collections.abc import Callable
from typing import Self

import structlog
import uvicorn
from starlette.types import ASGIApp

from dubarr_watch.errors import WrongUsage
from dubarr_watch.web.connections import Connection

log = structlog.get_logger(__name__)

STOP_S = 1.0
"""How long requests that are under way may take when the daemon stops."""


class Server:
    """Serves an app on a socket; as a context manager from its start to its end.

    Args:
        app: What is served.
        listening: See `listen`.
        on_stop: Called first of all at the end, to let go of whoever listens for events.
    """

    def __init__(
        self, app: ASGIApp, listening: socket.socket, on_stop: Callable[[], None] = lambda: None
    ) -> None:
        config = uvicorn.Config(
            app,
            http=Connection,
            log_config=None,
            log_level="critical",  # what goes wrong is told by surroundings.py
            access_log=False,
            lifespan="on",
            server_header=False,
            proxy_headers=False,  # callers.py tells who asks
            ws_max_size=65536,
            timeout_graceful_shutdown=int(STOP_S),
        )
        self._server = uvicorn.Server(config)
        self._listening = listening
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._on_stop = on_stop

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._on_stop()
        self._server.should_exit = True
        self._thread.join(STOP_S + 1)
        if self._thread.is_alive():
            log.warning("page stopped hard")
            self._server.force_exit = True
        self._listening.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._listening])
        except BaseException:
            # uvicorn ends with SystemExit when it cannot start.
            log.exception("page ended")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Args:
        host: API_HOST.
        port: API_PORT.

    Raises:
        WrongUsage: The address is taken, or no address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:  # `::` is every address, of version 4 as well
                listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listening.bind(address)
            listening.listen(256)
        except BaseException:
            listening.close()
            raise
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    return listening


def shown_address(listening: socket.socket) -> str:
    """Return where a socket listens, as somebody on this machine writes it into a browser."""
    host, port = listening.getsockname()[:2]
    anywhere = ipaddress.ip_address(host).is_unspecified
    return f"http://{'localhost' if anywhere else f'[{host}]' if ':' in host else host}:{port}"


def _cannot_listen(host: str, port: int, error: OSError) -> WrongUsage:
    if error.errno == errno.EADDRINUSE:
        words = f"Port {port} for the page is taken by another program."
        hint = "Set API_PORT to another port, or to 0 to do without the page."
    elif error.errno == errno.EACCES:
        words = f"Port {port} for the page is not for everybody: {error.strerror}."
        hint = "Set API_PORT to one above 1023."
    else:
        words = f"The page cannot listen on {host}: {error.strerror or error}."
        hint = "Set API_HOST to an address of this machine, or leave it unset for all of them."
    return WrongUsage(words, hint=hint)
