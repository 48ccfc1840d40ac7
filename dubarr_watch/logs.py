"""Structured logging: one event a line, secrets blotted out, hostile names made harmless."""

from __future__ import annotations

import itertools
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO, cast

import structlog

from dubarr_watch.errors import printable
from dubarr_watch.settings import LogFormat, Settings

_BLOT = "***"

# Tracebacks: their line breaks are their sense.
_MANY_LINES = ("exception", "stack")

KEPT_LINES = 2000
_LONGEST_TRACEBACK = 4000


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the log.

    Attributes:
        number: Counts up from 1 at the program's start.
        at: ISO 8601, UTC.
        level: debug, info, warning or error.
        event: What happened.
        fields: What belongs to it, ready for JSON.
    """

    number: int
    at: str
    level: str
    event: str
    fields: dict[str, Any]


class LogTail:
    """The last lines of the log, secrets blotted out; used by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._lines: deque[LogLine] = deque(maxlen=KEPT_LINES)
        self._listeners: list[Callable[[LogLine], None]] = []

    def lines(self) -> list[LogLine]:
        """Return what is kept, oldest first."""
        with self._lock:
            return list(self._lines)

    @contextmanager
    def heard_by(self, listener: Callable[[LogLine], None]) -> Iterator[None]:
        """Call somebody with each new line for the length of a `with` block.

        It is called by whatever thread logs: it must be quick, and must not log.
        """
        with self._lock:
            self._listeners.append(listener)
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def __call__(
        self, logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        """Keep a line, as a processor of structlog that comes after secrets are gone."""
        fields = {key: value for key, value in event.items() if not key.startswith("_")}
        at, level = str(fields.pop("timestamp", "")), str(fields.pop("level", method))
        words = str(fields.pop("event", ""))
        for key in _MANY_LINES:
            if key in fields:
                fields[key] = str(fields[key])[-_LONGEST_TRACEBACK:]
        with self._lock:
            line = LogLine(next(self._numbers), at, level, words, fields)
            self._lines.append(line)
            listeners = list(self._listeners)
        for listener in listeners:
            listener(line)
        return event


TAIL = LogTail()
"""Of this process."""


def configure_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send structlog's events, and libraries' warnings, to a stream, secrets blotted out.

    Args:
        settings: LOG_LEVEL, LOG_FORMAT, and the secrets to hide.
        stream: Where lines go; standard error unless told.
    """
    out = _Enduring(stream or sys.stderr)
    as_console = settings.log_format is LogFormat.CONSOLE or (
        settings.log_format is LogFormat.AUTO and out.isatty()
    )
    renderer: Any = (
        structlog.dev.ConsoleRenderer(
            colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
        if as_console
        else structlog.processors.JSONRenderer(ensure_ascii=False)
    )
    first: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]
    last = [_Harmless(settings.secrets(), one_line=as_console), TAIL, renderer]
    structlog.configure(
        processors=[*first, *last],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, out)),
        cache_logger_on_first_use=False,
    )
    _configure_libraries(out, first, last)


def _configure_libraries(out: _Enduring, first: list[Any], last: list[Any]) -> None:
    """Give what libraries log by themselves the same form, warnings only."""
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*first, structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # Apprise shows whole URLs and httpx whole requests, so neither may follow LOG_LEVEL.
    for name in ("apprise", "httpx", "httpx2", "httpcore", "httpcore2", "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _Enduring:
    """A stream that loses what cannot be written: a full disk under the log ends no work."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        # A buffer would keep what it could not write, and fail once more at the program's end.
        self._raw = getattr(getattr(stream, "buffer", None), "raw", None)

    def write(self, text: str) -> int:
        with suppress(OSError):
            if self._raw is None:
                self._stream.write(text)
            else:
                self._raw.write(text.encode("utf-8", "backslashreplace"))
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()


class _Harmless:
    """Processor that blots out secrets and escapes what no encoder can write.

    Args:
        secrets: What to blot out, longest first.
        one_line: Escape control characters too: a file name with a line break in it must not
            forge a line. JSON does that by itself.
    """

    def __init__(self, secrets: list[str], *, one_line: bool) -> None:
        self._secrets = secrets
        self._one_line = one_line

    def __call__(
        self, logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        return {
            printable(self._text(key)): self._clean(
                value, one_line=self._one_line and key not in _MANY_LINES
            )
            for key, value in event.items()
        }

    def _clean(self, value: Any, *, one_line: bool) -> Any:
        if value is None or isinstance(value, (bool, int, float)):
            return value
        if isinstance(value, dict):
            return {
                printable(self._text(key)): self._clean(item, one_line=one_line)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple, set, frozenset)):
            return [self._clean(item, one_line=one_line) for item in value]
        text = self._text(value)
        if one_line or isinstance(value, Path):
            return printable(text)
        return "\n".join(printable(line) for line in text.split("\n"))

    def _text(self, value: Any) -> str:
        # Whatever it is, it is text from here on: a renderer that made it text later would
        # bring the secret back.
        text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
        for secret in self._secrets:
            text = text.replace(secret, _BLOT)
        return text
