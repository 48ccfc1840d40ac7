"""Calls into a driver that may never return: whoever asks waits only so long."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from typing import TypeVar

import structlog

log = structlog.get_logger(__name__)

T = TypeVar("T")


class NoAnswer(Exception):
    """A call has not returned in time; it goes on in its thread, which nobody can end."""


class Watchdog:
    """Runs calls in threads of their own; safe to use from any thread.

    What a call is about is not asked again until the call that hangs has returned: a dying card
    costs one thread, and its deadline once.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hanging: dict[str, tuple[threading.Thread, float]] = {}

    @property
    def any_hangs(self) -> bool:
        """Whether any call has not returned yet."""
        with self._lock:
            return any(thread.is_alive() for thread, _ in self._hanging.values())

    def call(self, about: str, work: Callable[[], T], *, seconds: float) -> T:
        """Return what a call returns, or raise what it raises.

        Args:
            about: What it concerns, e.g. a card.
            work: The call.
            seconds: How long to wait for it.

        Raises:
            NoAnswer: It did not return in time, or an earlier one about the same still hangs.
        """
        self._refuse_hanging(about)
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(work())
            except BaseException as error:  # noqa: BLE001 - raised again where it was asked for
                answer.set_exception(error)

        began = time.monotonic()
        thread = threading.Thread(target=run, name="driver", daemon=True)
        thread.start()
        try:
            return answer.result(seconds)
        except NotInTime:
            if answer.done():
                raise  # the call's own
        with self._lock:
            self._hanging[about] = (thread, began)
        log.warning("driver hangs", about=about, seconds=seconds)
        raise NoAnswer(f"it said nothing for {seconds:g} seconds")

    def forget(self) -> None:
        """Ask everything again, whatever hangs."""
        with self._lock:
            self._hanging.clear()

    def _refuse_hanging(self, about: str) -> None:
        with self._lock:
            known = self._hanging.get(about)
            if known is None:
                return
            thread, began = known
            if not thread.is_alive():
                del self._hanging[about]
                return
        raise NoAnswer(f"it has said nothing for {time.monotonic() - began:.0f} seconds")
