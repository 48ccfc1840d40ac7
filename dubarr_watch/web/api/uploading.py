"""A body that may be larger than memory, from the wire to the disk in pieces."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Annotated, Any

import structlog
from fastapi import Query, Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool

from dubarr_watch.errors import WrongUsage
from dubarr_watch.web.desk import Desk
from dubarr_watch.web.desk.uploads import Upload, Uploaded

log = structlog.get_logger(__name__)

Folder = Annotated[str, Query(max_length=1024, description="below the library; empty: the library")]
UploadName = Annotated[
    str, Query(max_length=1024, description="needed when the body is the file itself")
]

UPLOAD_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
            "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
        },
    }
}

QUIET_S = 60.0
"""An upload of which nothing comes for so long is over."""

_PIECE_BYTES = 1 << 20
_LONGEST_HEADER_BYTES = 8192


async def receive_upload(request: Request, folder: str, name: str) -> Uploaded:
    """Take an upload in.

    Raises:
        WrongUsage: It is no form with a file, or its name is no video's.
    """
    desk: Desk = request.app.state.desk
    length = request.headers.get("content-length", "")
    announced = int(length) if length.isdecimal() and len(length) < 19 else None

    def begin(file_name: str) -> Upload:
        return desk.uploads.begin(file_name, folder, announced)

    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind == b"multipart/form-data":
        taker: _Form | _Plain = _Form(options.get(b"boundary", b""), begin)
    else:
        taker = _Plain(await run_in_threadpool(begin, name))
    try:
        await _pump(request, taker)
        return await run_in_threadpool(taker.finish)
    except asyncio.CancelledError:
        taker.close()  # the program ends, and its threads with it
        raise
    finally:
        await run_in_threadpool(taker.close)


async def _pump(request: Request, taker: _Form | _Plain) -> None:
    """Gather what comes into larger pieces: one trip to a thread for each of them."""
    waiting = bytearray()
    stream = request.stream()
    while (chunk := await _next(stream)) is not None:
        waiting += chunk
        if len(waiting) >= _PIECE_BYTES:
            await run_in_threadpool(taker.take, bytes(waiting))
            waiting.clear()
    if waiting:
        await run_in_threadpool(taker.take, bytes(waiting))


async def _next(stream: AsyncGenerator[bytes, None]) -> bytes | None:
    """Return what comes next; nothing at the end.

    A telephone that leaves the house ends no connection: its upload would stand here for good,
    and nobody could send a file of its name.
    """
    try:
        async with asyncio.timeout(QUIET_S):
            return await anext(stream, None)
    except TimeoutError:
        raise WrongUsage(
            f"Nothing more of the file came for {QUIET_S:.0f} seconds.", hint="Send it again."
        ) from None


class _Plain:
    """A body that is the file itself."""

    def __init__(self, upload: Upload) -> None:
        self._upload = upload

    def take(self, data: bytes) -> None:
        """Take some of the body."""
        self._upload.add(data)

    def finish(self) -> Uploaded:
        """End it."""
        return self._upload.finish()

    def close(self) -> None:
        """Let go of what was not finished."""
        self._upload.abandon()


class _Form:
    """A form; the first part that has a file name is the file, the others are passed over."""

    def __init__(self, boundary: bytes, begin: Callable[[str], Upload]) -> None:
        if not boundary:
            raise WrongUsage("This form has no boundary.", hint="Send multipart/form-data.")
        self._begin = begin
        self._upload: Upload | None = None
        self._inside = False
        self._field, self._value = bytearray(), bytearray()
        self._headers: dict[str, bytes] = {}
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part,
                "on_header_field": self._on_field,
                "on_header_value": self._on_value,
                "on_header_end": self._on_header,
                "on_headers_finished": self._on_headers,
                "on_part_data": self._on_data,
                "on_part_end": self._on_end,
            },
        )

    def take(self, data: bytes) -> None:
        """Take some of the body."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise WrongUsage("This is no form with a file.", hint="Send one.") from error

    def finish(self) -> Uploaded:
        """End it."""
        if self._upload is None or self._inside:
            raise WrongUsage("There is no whole file in this form.", hint="Name it `file`.")
        return self._upload.finish()

    def close(self) -> None:
        """Let go of what was not finished."""
        if self._upload is not None:
            self._upload.abandon()

    def _on_part(self) -> None:
        self._headers = {}

    def _on_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]
        self._assert_short()

    def _on_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._assert_short()

    def _on_header(self) -> None:
        name = self._field.decode("latin-1").lower()
        if name == "content-disposition":
            self._headers[name] = bytes(self._value)
        self._field.clear()
        self._value.clear()

    def _on_headers(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition"))
        name = options.get(b"filename")
        if name is not None and self._upload is None:
            self._upload = self._begin(name.decode("utf-8", "replace"))
            self._inside = True

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside and self._upload is not None:
            self._upload.add(data[start:end])

    def _on_end(self) -> None:
        self._inside = False

    def _assert_short(self) -> None:
        if len(self._field) + len(self._value) > _LONGEST_HEADER_BYTES:
            raise WrongUsage("A header in this form is too long.")
