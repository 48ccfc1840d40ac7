"""Engines that are open: used by the blocks of one job together, or kept warm until the next."""

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
        blocks: How many blocks use it at this moment, all of the same job.
        timer: Ends it when it was kept warm for long enough.
    """

    key: Key
    seam: Any
    user: User
    resources: ExitStack
    blocks: int = 0
    timer: threading.Timer | None = field(default=None)

    def close(self, error: BaseException | None = None) -> None:
        """End its process; at once when there was an error."""
        if error is None:
            self.resources.close()
        else:
            self.resources.__exit__(type(error), error, error.__traceback__)


class OpenEngines:
    """The engines of a host that are open; safe to use from any thread."""

    def __init__(self) -> None:
        self._opening = threading.Lock()
        self._lock = threading.Lock()
        self._used: list[OpenEngine] = []
        self._kept: list[OpenEngine] = []

    def enter(self, key: Key, user: User, open_new: Callable[[], OpenEngine]) -> OpenEngine:
        """Begin a block: with what the same job uses already, with a warm one, or with a new one.

        So a model is loaded once however many languages of a job it works for at a time.

        Args:
            key: What is wanted.
            user: Who wants it; without a job it is shared with nobody.
            open_new: Opens one.
        """
        with self._opening:  # or two that come at once would each open their own
            if shared := self._shared(key, user.job):
                return shared
            engine = self._taken(key) or open_new()
            engine.user.cancelled = user.cancelled
            engine.user.job, engine.user.priority = user.job, user.priority
            engine.blocks = 1
            with self._lock:
                self._used.append(engine)
        return engine

    def leave(self, engine: OpenEngine) -> bool:
        """End a block; tells whether it was the last, so that the engine may be ended or kept."""
        with self._lock:
            engine.blocks -= 1
            if not engine.blocks:
                self._used.remove(engine)
            return not engine.blocks

    def states(self) -> dict[str, str]:
        """Return `busy` or `idle` by the seam that an engine serves."""
        with self._lock:
            idle = {engine.key[0]: "idle" for engine in self._kept}
            return idle | {engine.key[0]: "busy" for engine in self._used}

    def _shared(self, key: Key, job: int | None) -> OpenEngine | None:
        if job is None:
            return None
        with self._lock:
            same = (one for one in self._used if one.key == key and one.user.job == job)
            found = next(same, None)
            if found is not None:
                found.blocks += 1
        return found

    def _taken(self, key: Key) -> OpenEngine | None:
        """Take an engine out of those that are kept, if there is one of the kind."""
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
