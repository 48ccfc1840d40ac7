"""Structured logging: one event a line, secrets blotted out, hostile names made harmless."""

from __future__ import annotations

import logging
import sys
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, TextIO

import structlog

from dubarr_watch.errors import printable
from dubarr_watch.settings import LogFormat, Settings

_BLOT = "***"


def configure_logging(settings: Settings, *, stream: TextIO | None = None) -> None:
    """Send structlog's events to a stream (standard error unless told), secrets blotted out.

    Args:
        settings: LOG_LEVEL, LOG_FORMAT, and the secrets to hide.
        stream: Where lines go.
    """
    out = stream or sys.stderr
    as_console = settings.log_format is LogFormat.CONSOLE or (
        settings.log_format is LogFormat.AUTO and out.isatty()
    )
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=out.isatty())
        if as_console
        else structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            _Harmless(settings.secrets()),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(settings.log_level.lower()),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    # Libraries that log by themselves: warnings only. Apprise shows whole URLs at DEBUG and
    # httpx whole requests at INFO, so neither may follow LOG_LEVEL.
    logging.basicConfig(level=logging.WARNING, stream=out, force=True)
    for name in ("apprise", "httpx", "httpcore", "openai"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


class _Harmless:
    """Processor that blots out secrets and escapes what no encoder can write."""

    def __init__(self, secrets: list[str]) -> None:
        self._secrets = secrets

    def __call__(
        self, logger: Any, method: str, event: MutableMapping[str, Any]
    ) -> MutableMapping[str, Any]:
        return {key: self._clean(value) for key, value in event.items()}

    def _clean(self, value: Any) -> Any:
        if isinstance(value, Path):
            return printable(value)
        if isinstance(value, BaseException):
            value = str(value)
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, _BLOT)
            return value.encode("utf-8", "backslashreplace").decode()
        if isinstance(value, dict):
            return {self._clean(key): self._clean(item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set)):
            return [self._clean(item) for item in value]
        return value
