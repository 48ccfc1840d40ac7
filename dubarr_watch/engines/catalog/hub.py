"""Fetching a file from a model's hub over HTTP, resuming where an earlier try stopped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import structlog

from dubarr_watch.engines.catalog.listing import ModelFile
from dubarr_watch.errors import KeyMissing, ModelHashMismatch, ModelUnreachable

log = structlog.get_logger(__name__)

# A hub that is there answers a connection well within 5 s; one that a firewall swallows never does.
DEFAULT_TIMEOUT = httpx.Timeout(connect=5.0, read=20.0, write=20.0, pool=20.0)
_TRIES_WITHOUT_A_BYTE = 3


class Hub:
    """Model hubs over one HTTP client; a host that cannot be reached is asked only once.

    Args:
        timeout: How long to wait for a connection and for each read.
        pause_s: Wait before a second try, doubled for each further one.
        token: The user's token; sent for gated files, and to the host of their address alone.
    """

    def __init__(
        self,
        timeout: httpx.Timeout = DEFAULT_TIMEOUT,
        *,
        pause_s: float = 1.0,
        token: str | None = None,
    ) -> None:
        self._client = httpx.Client(
            timeout=timeout,
            follow_redirects=True,
            # A compressed answer could not be resumed at a byte of the file.
            headers={"Accept-Encoding": "identity", "User-Agent": "dubarr-watch"},
        )
        self._pause_s = pause_s
        self._token = token
        self._unreachable: set[str] = set()

    def __enter__(self) -> Hub:
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self._client.close()

    @property
    def has_token(self) -> bool:
        """Whether it can ask for gated files."""
        return bool(self._token)

    def fetch(self, file: ModelFile, target: Path, watch: Callable[[int], None]) -> None:
        """Bring `target` to the file's full length; what it already holds is kept.

        Args:
            file: What to fetch; it must have a url.
            target: Where to, partly filled or not there yet.
            watch: Called with the number of bytes that `target` holds.

        Raises:
            ModelUnreachable: The host does not answer, refuses, or keeps breaking off.
            ModelHashMismatch: The hub's file has another length.
            KeyMissing: The file is gated, and the token is missing, wrong or without access.
        """
        url = httpx.URL(file.url or "")
        if url.host in self._unreachable:
            raise ModelUnreachable(f"{url.host} cannot be reached.")
        furthest = _size_of(target)
        fruitless = 0
        while furthest < file.size_bytes:
            problem: Exception | None = None
            try:
                self._stream(file, url, target, watch)
            except httpx.TransportError as error:
                problem = error
            except httpx.HTTPStatusError as error:
                if file.gated and error.response.status_code in {401, 403}:
                    raise self._refusal(url, error.response.status_code) from error
                if error.response.status_code not in {429, 500, 502, 503, 504}:
                    raise ModelUnreachable(
                        f"{url.host} answers {error.response.status_code} for {file.path}."
                    ) from error
                problem = error
            reached = _size_of(target)
            fruitless = 0 if reached > furthest else fruitless + 1
            furthest = max(furthest, reached)
            if furthest < file.size_bytes:
                self._wait_or_give_up(url, file, problem, fruitless)

    def _refusal(self, url: httpx.URL, status: int) -> KeyMissing:
        """Return what a refused gated file means for the user: no token, a wrong one, no access."""
        page = str(url).partition("/resolve/")[0]
        model = page.partition(f"{url.netloc.decode()}/")[2]
        if not self._token:
            return gated_needs_token(model, page)
        if status == httpx.codes.UNAUTHORIZED:
            return KeyMissing(
                f"{url.host} does not accept the token in HF_TOKEN.",
                hint="It may be mistyped, expired or revoked. Make a new one with read access at"
                " https://huggingface.co/settings/tokens and set HF_TOKEN to it.",
            )
        return KeyMissing(
            f"The account of HF_TOKEN has no access to {model}.",
            hint=f"Log in with that account, visit {page} and accept the conditions; then run:"
            " dubarr-watch models pull. A fine-grained token also needs the permission to read"
            " public gated repositories.",
        )

    def _wait_or_give_up(
        self, url: httpx.URL, file: ModelFile, problem: Exception | None, fruitless: int
    ) -> None:
        silent = isinstance(problem, httpx.ConnectError | httpx.TimeoutException)
        if fruitless and (silent or fruitless >= _TRIES_WITHOUT_A_BYTE):
            if silent:
                self._unreachable.add(url.host)
            log.info("hub_given_up", host=url.host, file=file.path, problem=repr(problem))
            raise ModelUnreachable(
                f"{url.host} cannot deliver {file.path}: {problem or 'it stops too early'}."
            ) from problem
        log.info("hub_broke_off", host=url.host, file=file.path, problem=repr(problem))
        time.sleep(self._pause_s * 2 ** max(0, fruitless - 1))

    def _stream(
        self, file: ModelFile, url: httpx.URL, target: Path, watch: Callable[[int], None]
    ) -> None:
        have = _size_of(target)
        headers = {"Range": f"bytes={have}-"} if have else {}
        if file.gated and self._token:
            headers["Authorization"] = f"Bearer {self._token}"  # httpx drops it on other hosts
        with self._client.stream("GET", url, headers=headers) as answer:
            answer.raise_for_status()
            if answer.status_code != httpx.codes.PARTIAL_CONTENT:
                have = 0  # this server cannot resume
            elif not answer.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
                raise httpx.RemoteProtocolError("the server resumes at another byte")
            length = answer.headers.get("Content-Length")
            if length is not None and have + int(length) != file.size_bytes:
                raise _wrong_length(file, have + int(length), url)
            with target.open("r+b" if have else "wb") as out:
                out.seek(have)
                for chunk in answer.iter_bytes():
                    have += len(chunk)
                    if have > file.size_bytes:
                        raise _wrong_length(file, have, url)
                    out.write(chunk)
                    watch(have)


def gated_needs_token(model: str, page: str) -> KeyMissing:
    """Return the error for a gated model without a token."""
    return KeyMissing(
        f"{model} is given out to Hugging Face accounts that accepted its conditions, and HF_TOKEN"
        " is not set.",
        hint=f"Visit {page}, accept the conditions, make a token with read access at"
        " https://huggingface.co/settings/tokens and set HF_TOKEN to it.",
    )


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _wrong_length(file: ModelFile, got_bytes: int, url: httpx.URL) -> ModelHashMismatch:
    return ModelHashMismatch(
        f"{url.host} has another {file.path}: {got_bytes} bytes or more where {file.size_bytes}"
        " were expected.",
        hint="Something on the way may have replaced it (a captive portal, a proxy): try again"
        " from another network.",
    )
