"""Engines that stay loaded when their block has ended, until somebody needs their memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import structlog

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.seat import User, never

log = structlog.get_logger(__name__)

Key = tuple[str, EngineSpec, float]
"""Seam, engine, and seconds without progress after which a call is given up."""


@dataclass(eq=False, slots=True)
class OpenEngine:
    """An engine that can be called.

    Attributes:
        key: What it was opened as; a block that asks for the same may take it over.
        seam: The object of the seam's Protocol.
        user: Who uses it.
        resources: What ends it.
        timer: Ends it when it was kept warm for long enough.
    """

    key: Key
    seam: Any
    user: User
    resources: ExitStack
    timer: threading.Timer | None = field(default=None)

    def close(self, error: BaseException | None = None) -> None:
        """End its process; at once when there was an error."""
        if error is None:
            self.resources.close()
        else:
            self.resources.__exit__(type(error), error, error.__traceback__)


class WarmEngines:
    """The engines that nobody uses at the moment; safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: list[OpenEngine] = []

    def take(self, key: Key) -> OpenEngine | None:
        """Take an engine out, if there is one of the kind."""
        with self._lock:
            found = next((engine for engine in self._kept if engine.key == key), None)
            if found is not None:
                self._kept.remove(found)
        if found is not None and found.timer is not None:
            found.timer.cancel()
            found.timer = None
        return found

    def keep(self, engine: OpenEngine, seconds: float) -> None:
        """Keep an engine until its time is over or its job has ended."""
        engine.user.cancelled = never
        engine.timer = threading.Timer(seconds, self.end, [lambda other: other is engine])
        engine.timer.name, engine.timer.daemon = "keep-alive", True
        with self._lock:
            self._kept.append(engine)
        engine.timer.start()

    def end(self, which: Callable[[OpenEngine], bool]) -> None:
        """End those that are meant."""
        with self._lock:
            ending = [engine for engine in self._kept if which(engine)]
            self._kept = [engine for engine in self._kept if engine not in ending]
        for engine in ending:
            if engine.timer is not None:
                engine.timer.cancel()
            log.debug("warm engine ended", engine=engine.key[0])
            engine.close()
