"""Calls that come at a time, dealt out in ranges: as many to a worker as it works on at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any


class Ranges:
    """Collects calls of one method and has them made in ranges.

    Whoever calls waits for the result; the range is sent by one of those who wait in it. While
    every worker is busy, calls gather, in order, and the next range takes as many as fit.

    Args:
        many: Has a range made by one worker; returns a result or an error for each call.
        slots: Calls that one worker works on at a time.
        workers: Ranges that may be under way.
    """

    def __init__(
        self,
        many: Callable[[str, list[Mapping[str, Any]]], list[Any]],
        slots: Callable[[], int],
        workers: Callable[[], int],
    ) -> None:
        self._many = many
        self._slots = slots
        self._workers = workers
        self._changed = threading.Condition()
        self._waiting: deque[tuple[Mapping[str, Any], Future[Any]]] = deque()
        self._under_way = 0
        self._last_slots = 1

    @property
    def waiting(self) -> int:
        """How many ranges could be made now if there were more workers."""
        return -(-len(self._waiting) // max(1, self._last_slots))

    def call(self, method: str, arguments: Mapping[str, Any]) -> Any:
        """Return what a call returned, or the error it raised there.

        Raises:
            DubarrError: Its whole range failed.
        """
        mine: Future[Any] = Future()
        slots, workers = self._slots(), self._workers()
        self._last_slots = slots
        with self._changed:
            self._waiting.append((arguments, mine))
        while not mine.done():
            with self._changed:
                if self._under_way >= workers or not self._waiting:
                    self._changed.wait_for(
                        lambda: mine.done() or (self._waiting and self._under_way < workers)
                    )
                    continue
                size = min(slots, len(self._waiting))
                range_ = [self._waiting.popleft() for _ in range(size)]
                self._under_way += 1
            self._make(method, range_)
        return mine.result()

    def _make(self, method: str, range_: list[tuple[Mapping[str, Any], Future[Any]]]) -> None:
        try:
            results = self._many(method, [arguments for arguments, _ in range_])
        except BaseException as error:  # noqa: BLE001 - raised where each result is taken
            for _, future in range_:
                future.set_exception(error)
        else:
            for (_, future), result in zip(range_, results, strict=True):
                future.set_result(result)
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()
