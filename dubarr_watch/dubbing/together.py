"""Languages of one job at a time: while one is spoken the next is translated."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from typing import TypeVar

from dubarr_watch.errors import JobCancelled
from dubarr_watch.languages import Language

T = TypeVar("T")

AT_A_TIME = 2
"""One language for the model that translates and one for the voice; a third would only wait."""


def make_each(
    languages: Sequence[Language],
    make: Callable[[Language], T],
    *,
    at_a_time: int,
    stop: Callable[[], None],
) -> list[T]:
    """Return what is made of each language, in their order; earlier ones are begun first.

    Each has context variables of its own.

    Args:
        languages: All of them.
        make: Makes one; what it raises ends all.
        at_a_time: How many are worked on; with 1 everything happens in this thread.
        stop: Told once when one raised, so that those under way end soon: they are waited for.

    Raises:
        BaseException: What the first that failed raised.
    """
    if at_a_time < 2 or len(languages) < 2:
        return [copy_context().run(make, language) for language in languages]
    ended = _Ended(stop)

    def guarded(language: Language) -> T:
        ended.refuse()
        try:
            return make(language)
        except BaseException as error:
            ended.by(error)
            raise

    with ThreadPoolExecutor(at_a_time, thread_name_prefix="language") as pool:
        futures: list[Future[T]] = []
        try:
            for language in languages:
                futures.append(pool.submit(copy_context().run, guarded, language))
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException as error:  # of this thread: somebody ends the program
            ended.by(error)
            raise
    if ended.error is not None:
        raise ended.error
    return [future.result() for future in futures]


class _Ended:
    """Whether all is over, and why."""

    def __init__(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        self._lock = threading.Lock()
        self.error: BaseException | None = None

    def by(self, error: BaseException) -> None:
        """End all; what follows from it is no reason of its own."""
        with self._lock:
            first = self.error is None
            self.error = self.error or error
        if first:
            self._stop()

    def refuse(self) -> None:
        """Begin nothing any more."""
        if self.error is not None:
            raise JobCancelled("Cancelled.")


class SharedProgress:
    """How far the languages of a job are, told as one figure that only grows.

    Args:
        report: Told (stage, languages done): the stage of the earliest language that is not.
        languages: All of them, in order.
    """

    def __init__(self, report: Callable[[str, float], None], languages: Sequence[Language]) -> None:
        self._report = report
        self._lock = threading.Lock()
        self._shares = {language.code: 0.0 for language in languages}
        self._stages: dict[str, str] = {}
        self._done: set[str] = set()

    def of(self, language: Language) -> Callable[[str, float], None]:
        """Return the reporter of one language: (stage, share of it)."""

        def report(stage: str, share: float) -> None:
            with self._lock:
                self._stages[language.code] = stage
                self._grow(language.code, share)
                self._tell()

        return report

    def done(self, language: Language) -> None:
        """Tell that nothing more will be done for a language, however it ended."""
        with self._lock:
            self._done.add(language.code)
            self._grow(language.code, 1.0)
            self._tell()

    def _grow(self, code: str, share: float) -> None:
        self._shares[code] = max(self._shares[code], min(max(share, 0.0), 1.0))

    def _tell(self) -> None:
        # In the lock: the figures must not overtake each other on their way.
        left = (code for code in self._shares if code in self._stages and code not in self._done)
        if (code := next(left, None)) is not None:
            self._report(self._stages[code], sum(self._shares.values()))
