"""Asking a server something over HTTP; what goes wrong is told without addresses' secrets.

Tokens go into headers and never into an address, for addresses end up in logs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx

from dubarr_watch.errors import DubarrError

TIMEOUT_S = 20.0
"""For each step of a request; a media server may first have to wake its disks."""

MAX_ANSWER_BYTES = 4 << 20

MAX_LIST_CHARS = 256 << 20
"""Of a list that is read object by object; Radarr's of 10,000 films has some 60 million."""

MAX_OBJECT_CHARS = 2 << 20
_PIECE_CHARS = 1 << 16

_ACCEPTED = (httpx.codes.OK, httpx.codes.CREATED, httpx.codes.ACCEPTED, httpx.codes.NO_CONTENT)


class NotTold(DubarrError):
    """A server was not reached, or does not do what it is asked for."""


@dataclass(frozen=True, slots=True)
class Line:
    """A way to one server.

    Attributes:
        label: What people call it, e.g. `Plex`.
        setting: What its settings begin with, e.g. `PLEX`.
        key_setting: The setting that lets us in.
        key_source: Where a user finds its value.
        url: Its address, without a slash at the end.
        headers: What lets us in; never told to anybody.
        auth: User name and password, where it wants these.
        timeout_s: See `TIMEOUT_S`.
    """

    label: str
    setting: str
    key_setting: str
    key_source: str
    url: str
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    auth: tuple[str, str] | None = field(default=None, repr=False)
    timeout_s: float = TIMEOUT_S

    def get(self, path: str, params: dict[str, str] | None = None) -> Any:
        """Return the JSON of an answer; nothing when it is empty.

        Raises:
            NotTold: There is none.
        """
        return self._ask("GET", path, params=params)

    def each(self, path: str, params: dict[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Yield the objects of a JSON list as they come; no more than one of them is in memory.

        Raises:
            NotTold: There is none, or one of them has no end.
        """
        with self._asked("GET", path, params=params) as answer:
            yield from self._objects(answer.iter_text(_PIECE_CHARS))

    def post(self, path: str, body: object) -> Any:
        """Send JSON; returns and raises as `get`."""
        return self._ask("POST", path, json=body)

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        with self._asked(method, path, **content) as answer:
            body = self._read(answer)
        if not body.strip():
            return None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return None  # some say in words that all is well

    @contextmanager
    def _asked(self, method: str, path: str, **content: Any) -> Iterator[httpx.Response]:
        headers = {"Accept": "application/json", **self.headers}
        try:
            # No proxy of the environment: neighbours live in the same house.
            with (
                httpx.Client(trust_env=False, timeout=self.timeout_s, auth=self.auth) as client,
                client.stream(method, self.url + path, headers=headers, **content) as answer,
            ):
                self._must_be_good(answer)
                yield answer
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise self._unreachable(error) from None

    def _read(self, answer: httpx.Response) -> bytes:
        body = bytearray()
        for piece in answer.iter_bytes():
            body += piece
            if len(body) > MAX_ANSWER_BYTES:
                raise NotTold(f"{self.label}'s answer has no end.")
        return bytes(body)

    def _objects(self, pieces: Iterable[str]) -> Iterator[dict[str, Any]]:
        decoder, text, came = json.JSONDecoder(), "", 0
        for piece in pieces:
            came += len(piece)
            text += piece
            if came > MAX_LIST_CHARS or len(text) > MAX_OBJECT_CHARS:
                raise NotTold(f"{self.label}'s answer has no end.")
            end = 0
            while (begin := text.find("{", end)) >= 0:
                try:
                    found, end = decoder.raw_decode(text, begin)
                except (ValueError, RecursionError):
                    break  # it goes on in the next piece
                yield found
            text = text[end:] if begin >= 0 else ""

    def _must_be_good(self, answer: httpx.Response) -> None:
        status = answer.status_code
        if status in _ACCEPTED:
            return
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            raise NotTold(
                f"{self.label} does not accept what {self.key_setting} says.",
                hint=f"Set {self.key_setting} to {self.key_source}.",
            )
        if 300 <= status < 400:
            where = urlsplit(answer.headers.get("location", ""))
            told = f" {where.scheme}://{where.netloc}" if where.netloc else ""
            raise NotTold(
                f"{self.label} sends us elsewhere{told} (status {status}).",
                hint=f"Set {self.setting}_URL to the address that it has now.",
            )
        hint = f"Look into {self.label}'s own log."
        if status == httpx.codes.NOT_FOUND:
            hint = f"Check {self.setting}_URL: is a base path missing from it?"
        raise NotTold(f"{self.label} answers with status {status}.", hint=hint)

    def _unreachable(self, error: Exception) -> NotTold:
        where = urlsplit(self.url).netloc
        why = (
            "does not answer in time"
            if isinstance(error, httpx.TimeoutException)
            else ("cannot be reached")
        )
        return NotTold(
            f"{self.label} {why} at {where}.",
            hint=f"Is it running, and is {self.setting}_URL right?",
        )
