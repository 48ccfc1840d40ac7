"""What the local speech services have in common: scripted misbehaviour, and audio to send.

Real sockets, so that the real clients meet what they would meet outside. Each request for speech
takes the next behaviour of the script; when that is used up, every answer is a good one.
"""

from __future__ import annotations

import io
import json
import struct
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

import numpy as np
import soundfile

RATE = 24_000
EDGE_S = 0.3  # silence before and after what is said
CHAR_S = 0.06


def spoken(text: str, speed: float = 1.0) -> bytes:
    """Return a WAV file in which a tone lasts as long as the text would."""
    times = np.arange(round(len(text) * CHAR_S / speed * RATE)) / RATE
    edge = np.zeros(round(EDGE_S * RATE))
    tone = np.concatenate((edge, 0.4 * np.sin(2 * np.pi * 180 * times), edge))
    buffer = io.BytesIO()
    soundfile.write(buffer, tone, RATE, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def open_ended(wav: bytes, size: int = 0xFFFFFFFF) -> bytes:
    """Return a WAV file as one sends it who does not know yet how long it will be."""
    data = wav.index(b"data")
    mark = struct.pack("<I", size)
    return wav[:4] + mark + wav[8 : data + 4] + mark + wav[data + 8 :]


@dataclass(frozen=True)
class Reply:
    """What a service sends instead of a good answer.

    Attributes:
        status: HTTP status.
        error: The error object, in the service's own form.
        headers: Beside the usual ones.
        body: Sent as it is, instead of audio.
        change: Makes the body from the good one.
        cut_body: Bytes of the body that are sent before the connection closes; None: all.
        wait_for: Waited for before anything is sent.
    """

    status: int = 200
    error: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    change: Callable[[bytes], bytes] = bytes
    cut_body: int | None = None
    wait_for: threading.Event | None = None


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    at: float


class SpeechServer:
    """A service on 127.0.0.1; a subclass knows its protocol.

    Attributes:
        script: Behaviours to come, first one first.
        asked: All requests.
        limit: Requests for speech at a time; one more is refused.
        busy_s: How long a good answer takes.
        most: Most requests for speech that were answered at a time.
    """

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.asked: list[Asked] = []
        self.limit = 99
        self.busy_s = 0.0
        self.most = 0
        self._inside = 0
        self._lock = threading.Lock()
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                service._handle(self)

            def do_POST(self) -> None:
                service._handle(self)

            def log_message(self, *args: object) -> None:
                """Write nothing."""

        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def speeches(self) -> list[Asked]:
        """Requests for speech, refused ones included."""
        return [one for one in self.asked if self.is_speech(one)]

    def is_speech(self, asked: Asked) -> bool:
        raise NotImplementedError

    def refusal(self, asked: Asked) -> Reply | None:
        """Return what is wrong with a request by itself: the key, the voice, the length."""
        raise NotImplementedError

    def crowded(self) -> Reply:
        raise NotImplementedError

    def good(self, asked: Asked) -> tuple[str, bytes]:
        """Return type and body of the good answer."""
        raise NotImplementedError

    def _handle(self, handler: BaseHTTPRequestHandler) -> None:
        path, _, query = handler.path.partition("?")
        raw = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        headers = {key.lower(): value for key, value in handler.headers.items()}
        asked = Asked(
            handler.command, path, query, headers, json.loads(raw or b"{}"), time.monotonic()
        )
        with self._lock:
            self.asked.append(asked)
            speech = self.is_speech(asked)
            reply = self.refusal(asked)
            if reply is None and speech and self.script:
                reply = self.script.pop(0)
            if reply is None and speech and self._inside >= self.limit:
                reply = self.crowded()
            accepted = speech and reply is None
            self._inside += accepted
            self.most = max(self.most, self._inside)
        try:
            self._answer(handler, asked, reply or Reply())
        finally:
            with self._lock:
                self._inside -= accepted

    def _answer(self, handler: BaseHTTPRequestHandler, asked: Asked, reply: Reply) -> None:
        if reply.wait_for is not None:
            reply.wait_for.wait(20)
        kind, body = "application/json", json.dumps(reply.error).encode()
        if reply.error is None:
            kind, good = self.good(asked)
            body = reply.body if reply.body is not None else reply.change(good)
            time.sleep(self.busy_s)
        try:
            handler.send_response(reply.status)
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(body)))
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body if reply.cut_body is None else body[: reply.cut_body])
        except OSError:
            handler.close_connection = True  # whoever asked went away
        if reply.cut_body is not None:
            handler.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Write nothing: clients of these tests go away in mid-answer."""
