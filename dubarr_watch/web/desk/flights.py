"""What takes seconds and is the same for whoever asks: done once at a time, in one thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from dubarr_watch.errors import StoreError

T = TypeVar("T")


class NotYet(StoreError):
    """It takes longer than anybody waits for an answer."""


class Flight(Generic[T]):
    """Does something in a thread of its own; whoever asks meanwhile gets the same result.

    Args:
        name: Of the thread, and of what is done in words.
        work: What is done.
        patience_s: How long somebody waits for it; the work itself goes on.
    """

    def __init__(self, name: str, work: Callable[[], T], patience_s: float) -> None:
        self._name = name
        self._work = work
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._under_way: Future[T] | None = None

    async def result(self) -> T:
        """Return what comes of it, or of what is under way already.

        Raises:
            NotYet: It takes too long; asking later may find it done.
            DubarrError: What it raises.
        """
        coming = asyncio.wrap_future(self._begun())
        coming.add_done_callback(lambda come: come.cancelled() or come.exception())
        done, _ = await asyncio.wait({coming}, timeout=self._patience_s)
        if not done:
            raise NotYet(
                f"{self._name} takes longer than {self._patience_s:.0f} seconds.",
                hint="Ask again in a while; it goes on meanwhile.",
            )
        return coming.result()

    def _begun(self) -> Future[T]:
        with self._lock:
            if self._under_way is None:
                self._under_way = Future()
                self._under_way.set_running_or_notify_cancel()
                threading.Thread(
                    target=self._fly, args=(self._under_way,), name=self._name, daemon=True
                ).start()
            return self._under_way

    def _fly(self, future: Future[T]) -> None:
        try:
            found = self._work()
        except BaseException as error:  # noqa: BLE001 - raised by whoever waits
            self._end()
            future.set_exception(error)
        else:
            self._end()
            future.set_result(found)

    def _end(self) -> None:
        with self._lock:
            self._under_way = None
