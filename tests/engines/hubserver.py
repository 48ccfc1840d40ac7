"""A model hub on the loopback address that can misbehave in every way a real one does."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class HubServer:
    """Serves `files` by path; the other fields make it misbehave.

    Attributes:
        files: Body of each path.
        cuts: For each path, after how many bytes of the answer to break off, request by request.
        hanging: Paths whose answers never come, or stop after `hang_after` bytes.
        ranges: Whether Range is honoured.
        busy: How many requests to answer with 503 first.
        gates: For each gated path, what its token is answered with: 200 with the file, 403 to an
            account without access; any other token and none at all with 401.
        elsewhere: Paths that are answered with a redirect to another host, as large files are.
        requests: Every request as (path, Range header or None).
        tokens: The Authorization header of every request, or None.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)
    hang_after: int = 0
    ranges: bool = True
    busy: int = 0
    gates: dict[str, dict[str, int]] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    tokens: list[str | None] = field(default_factory=list)
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    hung: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> HubServer:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.requests.append((self.path, self.headers.get("Range")))
                hub.tokens.append(self.headers.get("Authorization"))
                hub._answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name)
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def paths(self) -> list[str]:
        """Return the paths asked for, in order."""
        return [path for path, _ in self.requests]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        if self.busy:
            self.busy -= 1
            handler.send_error(503)
            return
        if handler.path in self.gates:
            known = self.gates[handler.path]
            given = (handler.headers.get("Authorization") or "").removeprefix("Bearer ")
            if known.get(given, 401) != 200:
                handler.send_error(known.get(given, 401))
                return
        if handler.path in self.elsewhere:
            handler.send_response(302)
            handler.send_header("Location", self.elsewhere[handler.path])
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        body = self.files.get(handler.path)
        if body is None:
            handler.send_error(404)
            return
        if handler.path in self.hanging and not self.hang_after:
            self._hang(handler)
            return
        start = 0
        wanted = handler.headers.get("Range")
        if wanted and self.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(body):
                handler.send_error(416)
                return
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            handler.send_response(200)
        kind = "text/html" if handler.path.endswith(".html") else "application/octet-stream"
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(body) - start))
        handler.end_headers()
        self._send(handler, body[start:])

    def _send(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        cuts = self.cuts.get(handler.path)
        if cuts:
            handler.wfile.write(body[: cuts.pop(0)])
            handler.close_connection = True
            return
        if handler.path in self.hanging:
            handler.wfile.write(body[: self.hang_after])
            handler.wfile.flush()
            self._hang(handler)
            return
        try:
            handler.wfile.write(body)
        except ConnectionError:
            handler.close_connection = True

    def _hang(self, handler: BaseHTTPRequestHandler) -> None:
        self.hung.set()
        self._stop.wait()
        handler.close_connection = True
