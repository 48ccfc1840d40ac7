"""Requests of all jobs, languages and lines to one kind of engine, in order of what matters most.

An engine serves `slots` requests at a time. What waits for it is ordered: refinement before
drafting, so that a line that was begun is finished; then by job, and by the language that its job
names first; then an earlier line before a later one. The queue is bounded, so that whoever drafts
cannot run far ahead of the engine.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import contextvars
import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, TypeVar

from dubarr_watch.engines.context import POLL_S
from dubarr_watch.errors import JobCancelled

T = TypeVar("T")


class Step(IntEnum):
    """What a request is for; the lower is served first."""

    REFINE = 0
    DRAFT = 1


@dataclass(frozen=True, slots=True, order=True)
class Priority:
    """Where a request stands in the queue; the lowest is served first.

    Attributes:
        step: Refinement comes before drafting.
        job: Number of the job; an older job comes first.
        turn: Place of the language in its job; an earlier one comes first.
        line: Index of the line, or of the first line of a batch.
    """

    step: Step = Step.DRAFT
    job: int = 0
    turn: int = 0
    line: int = 0


class Dispatcher:
    """A bounded priority queue with as many worker threads as an engine has slots.

    Leaving its `with` block waits for everything that was submitted; leaving it by an exception
    drops what has not begun.

    Args:
        slots: Requests that are worked on at a time.
        bound: Requests of each step that may be queued; `submit` blocks while there are more.
        name: Of its threads.
    """

    def __init__(self, slots: int, bound: int, name: str) -> None:
        if slots < 1 or bound < 1:
            raise ValueError("a dispatcher needs one slot and room for one request at least")
        self._slots = slots
        self._bound = bound
        self._name = name
        self._changed = threading.Condition()
        self._queue: list[_Request] = []
        self._blocked: list[_Request] = []
        self._threads: set[threading.Thread] = set()
        self._busy = 0
        self._numbers = itertools.count()
        self._closed = False
        self._dropping = False

    def __enter__(self) -> Dispatcher:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close(cancel=kind is not None)

    @property
    def slots(self) -> int:
        """Requests that are worked on at a time."""
        return self._slots

    def resize(self, slots: int) -> None:
        """Work on more or fewer requests at a time; what has begun is never interrupted."""
        if slots < 1:
            raise ValueError("a dispatcher needs one slot at least")
        with self._changed:
            self._slots = slots
            self._start_threads()
            self._changed.notify_all()

    def submit(
        self, work: Callable[[], T], *, priority: Priority, timeout_s: float | None = None
    ) -> Future[T]:
        """Queue a call and return its future; an exception of the call goes there as well.

        Blocks while the queue is full of requests of the same step; whoever waits here is let in
        by priority, too. A call that submits another one is never blocked, or all slots could
        wait for each other.

        Args:
            work: The call; it sees the context variables of the caller.
            priority: Where it stands.
            timeout_s: How long to wait for room; None: as long as it takes.

        Raises:
            queue.Full: There was no room in time.
            RuntimeError: The dispatcher is closed.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        context = contextvars.copy_context()
        with self._changed:
            inside = threading.current_thread() in self._threads
            if self._closed and not inside:
                raise RuntimeError(f"{self._name} is closed")
            request = _Request(priority, next(self._numbers), lambda: context.run(work))
            future: Future[T] = request.future
            future.add_done_callback(lambda _: self._drop_cancelled(request))
            if not inside:
                self._wait_for_room(request, until)
            elif self._dropping:
                future.cancel()
            if future.cancelled():
                future.set_running_or_notify_cancel()
            else:
                heapq.heappush(self._queue, request)
                self._start_threads()
            self._changed.notify_all()
        return future

    def submit_unless(
        self, cancelled: Callable[[], bool], work: Callable[[], T], *, priority: Priority
    ) -> Future[T]:
        """Queue a call as `submit` does, however long that takes, unless it is cancelled.

        Raises:
            JobCancelled: It is, while there was no room.
        """
        while True:
            _refuse(cancelled)
            with contextlib.suppress(queue.Full):
                return self.submit(work, priority=priority, timeout_s=POLL_S)

    def cancel(self, job: int) -> int:
        """Drop what a job has queued and return how much that was; what runs goes on."""
        with self._changed:
            own = [one for one in [*self._queue, *self._blocked] if one.priority.job == job]
        return sum(one.future.cancel() for one in own)

    def close(self, *, cancel: bool = False) -> None:
        """Wait until everything is done and end the threads.

        Args:
            cancel: Drop what has not begun.
        """
        with self._changed:
            self._closed, self._dropping = True, self._dropping or cancel
            queued = list(self._queue) if cancel else []
            self._changed.notify_all()
        for request in queued:
            request.future.cancel()
        while True:
            with self._changed:
                threads = list(self._threads)
            if not threads:
                return
            for thread in threads:
                thread.join()

    def _wait_for_room(self, request: _Request, until: float | None) -> None:
        self._blocked.append(request)
        try:
            while not self._is_next_in(request) and not request.future.cancelled():
                if self._closed:
                    raise RuntimeError(f"{self._name} is closed")
                wait_s = None if until is None else until - time.monotonic()
                if wait_s is not None and wait_s <= 0:
                    raise queue.Full
                self._changed.wait(wait_s)
        finally:
            self._blocked.remove(request)

    def _is_next_in(self, request: _Request) -> bool:
        step = request.priority.step
        queued = sum(one.priority.step is step for one in self._queue)
        first = min(one for one in self._blocked if one.priority.step is step)
        return queued < self._bound and first is request

    def _start_threads(self) -> None:
        idle = len(self._threads) - self._busy
        wanted = min(self._slots - len(self._threads), len(self._queue) - idle)
        for _ in range(wanted):
            thread = threading.Thread(target=self._serve, name=self._name, daemon=True)
            self._threads.add(thread)
            thread.start()

    def _serve(self) -> None:
        while (request := self._next()) is not None:
            try:
                request.run()
            finally:
                with self._changed:
                    self._busy -= 1
                    self._changed.notify_all()

    def _next(self) -> _Request | None:
        """Return the next request, or nothing when this thread is to end."""
        with self._changed:
            while True:
                too_many = len(self._threads) > self._slots
                if too_many or (self._closed and not self._queue and not self._busy):
                    self._threads.discard(threading.current_thread())
                    self._changed.notify_all()
                    return None
                if self._queue:
                    self._busy += 1
                    self._changed.notify_all()
                    return heapq.heappop(self._queue)
                self._changed.wait()

    def _drop_cancelled(self, request: _Request) -> None:
        if not request.future.cancelled():
            return
        with self._changed:
            if request in self._queue:
                self._queue.remove(request)
                heapq.heapify(self._queue)
                request.future.set_running_or_notify_cancel()  # or who waits for it waits forever
            self._changed.notify_all()


def result_unless(cancelled: Callable[[], bool], future: Future[T]) -> T:
    """Wait for what a queued call returns, unless it is cancelled.

    Raises:
        JobCancelled: It is; what has begun goes on without anybody to wait for it.
    """
    try:
        while True:
            if concurrent.futures.wait([future], POLL_S).done:
                return future.result()
            _refuse(cancelled)
    except CancelledError as error:
        raise JobCancelled("Cancelled.") from error


def _refuse(cancelled: Callable[[], bool]) -> None:
    if cancelled():
        raise JobCancelled("Cancelled.")


@dataclass(slots=True, order=True)
class _Request:
    priority: Priority
    number: int  # first come, first served among equals
    work: Callable[[], Any] = field(compare=False)
    future: Future[Any] = field(compare=False, default_factory=Future)

    def run(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            self.future.set_result(self.work())
        except BaseException as error:  # noqa: BLE001 - raised again where the result is taken
            self.future.set_exception(error)


class Dispatchers:
    """The dispatchers that all jobs of a daemon share, one for each kind of engine with slots.

    Each call knows the engine that it is for; its slots are those of the engine used last.

    Attributes:
        translator: Requests to the language model.
        synthesizer: Requests for speech.
    """

    def __init__(self, *, bound: int = 16) -> None:
        self.translator = Dispatcher(1, bound, "translator")
        self.synthesizer = Dispatcher(1, bound, "synthesizer")

    def __enter__(self) -> Dispatchers:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close(cancel=kind is not None)

    def cancel(self, job: int) -> int:
        """Drop what a job has queued anywhere and return how much that was."""
        return self.translator.cancel(job) + self.synthesizer.cancel(job)

    def close(self, *, cancel: bool = False) -> None:
        """Wait until everything is done and end all threads; see `Dispatcher.close`."""
        self.translator.close(cancel=cancel)
        self.synthesizer.close(cancel=cancel)
