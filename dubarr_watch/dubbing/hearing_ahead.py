"""Listening to takes while later ones are still spoken, where there is room for both at a time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import structlog

from dubarr_watch.dubbing.fitting import Take
from dubarr_watch.dubbing.hearing_back import Listener
from dubarr_watch.dubbing.studio import Studio, TakeKeeper
from dubarr_watch.errors import DubarrError

log = structlog.get_logger(__name__)

ENOUGH_S = 90.0
"""Speech that is waited for: an engine is started for each batch."""


@contextmanager
def hearing_ahead(studio: Studio) -> Iterator[Studio]:
    """Yield a studio whose takes are listened to in a thread as soon as there are enough of them.

    What is heard the listener remembers; what is left, or went wrong, is heard in the end by
    whoever asks it. Nothing happens ahead where engines take turns on a device.
    """
    listener = studio.listener
    if listener is None or not studio.side_by_side:
        yield studio
        return
    keeper = _Keeper(studio.keeper, queue.SimpleQueue())
    thread = threading.Thread(
        target=_listen, args=(keeper.takes, listener), name="hearing-ahead", daemon=True
    )
    thread.start()
    try:
        yield replace(studio, keeper=keeper)
    finally:
        keeper.takes.put(None)
        thread.join()


@dataclass(frozen=True, slots=True)
class _Keeper:
    """Remembers takes and passes them on."""

    kept: TakeKeeper
    takes: queue.SimpleQueue[Take | None]

    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        """See `TakeKeeper`."""
        return self.kept.load(index, key)

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        """See `TakeKeeper`."""
        self.kept.save(key, take, settled=settled)
        self.takes.put(take)


def _listen(takes: queue.SimpleQueue[Take | None], listener: Listener) -> None:
    waiting: dict[int, Take] = {}
    while (take := takes.get()) is not None:
        waiting[take.index] = take
        if sum(one.duration_s for one in waiting.values()) < ENOUGH_S:
            continue
        try:
            listener.hear(list(waiting.values()))
        except (DubarrError, OSError) as error:
            # Whoever listens in the end meets it again, and says so where it ends the job.
            log.info("takes not heard ahead", error=error)
        waiting = {}
