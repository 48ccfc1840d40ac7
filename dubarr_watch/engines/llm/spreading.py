"""Work of one call through the queue that all calls share."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TypeVar

from dubarr_watch.engines.context import POLL_S
from dubarr_watch.engines.dispatch import Dispatcher, Priority
from dubarr_watch.errors import JobCancelled

_QUEUED_PER_SLOT = 2

R = TypeVar("R")


class Spreader:
    """Spreads the work of calls over the slots of a model.

    Args:
        slots: Requests at a time.
        cancelled: Asked several times a second while a call waits.
    """

    def __init__(self, slots: int, cancelled: Callable[[], bool]) -> None:
        self._dispatcher = Dispatcher(slots, slots * _QUEUED_PER_SLOT, "translator")
        self._cancelled = cancelled

    @property
    def slots(self) -> int:
        """Requests at a time."""
        return self._dispatcher.slots

    def resize(self, slots: int) -> None:
        """See `Dispatcher.resize`."""
        self._dispatcher.resize(slots)

    def close(self, *, cancel: bool = False) -> None:
        """See `Dispatcher.close`."""
        self._dispatcher.close(cancel=cancel)

    def run(
        self,
        work: Sequence[tuple[Priority, Callable[[], R]]],
        ended: Callable[[int, R], None],
    ) -> None:
        """Do all work and tell of each piece as it ends, by its number; stop at a failure.

        Raises:
            JobCancelled: As `cancelled` says; what has begun goes on by itself.
            Exception: What a piece raised; those that have not begun are dropped.
        """
        futures: dict[Future[R], int] = {}
        told: set[Future[R]] = set()
        try:
            for number, (priority, one) in enumerate(work):
                queued = self._dispatcher.submit_unless(self._cancelled, one, priority=priority)
                futures[queued] = number
                _tell(futures, told, ended)
            while left := futures.keys() - told:
                self._stop_if_cancelled()
                concurrent.futures.wait(left, POLL_S, concurrent.futures.FIRST_COMPLETED)
                _tell(futures, told, ended)
        except BaseException:
            for future in futures:
                future.cancel()
            raise

    def _stop_if_cancelled(self) -> None:
        if self._cancelled():
            raise JobCancelled("The job was cancelled.")


def _tell(
    futures: Mapping[Future[R], int], told: set[Future[R]], ended: Callable[[int, R], None]
) -> None:
    for future in [one for one in futures if one.done() and one not in told]:
        told.add(future)
        ended(futures[future], future.result())
