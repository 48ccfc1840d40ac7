"""Where orders wait, and the one thread that does all of the engine's work.

Orders that arrive while a step is under way join the next one, so that an engine that makes several
takes together always has as many as there are; a single order waits for company only some
milliseconds.
"""

from __future__ import annotations

import collections
import concurrent.futures
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tts_sidecar.engines.base import BatchEngine, Engine, Order, Speech, Work
from tts_sidecar.errors import SidecarError, TooManyRequests

# A caller that has several lines sends them within a millisecond or two.
GATHER_S = 0.008
MAX_WAITING = 256


@dataclass(slots=True, eq=False)
class Ticket:
    """An order at the desk.

    Attributes:
        order: What is wanted.
        take: The finished take, or the error that there is instead.
        abandoned: Nobody waits for it any more: work on it ends at the next step.
    """

    order: Order
    take: concurrent.futures.Future[Speech] = field(default_factory=concurrent.futures.Future)
    abandoned: bool = False
    work: Work | None = None


class Desk:
    """Lets an engine work, one thing at a time, in a thread that ends with the process.

    Args:
        engine: Used by nobody else from here on, but for what it says of itself.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._batch: BatchEngine = engine if isinstance(engine, BatchEngine) else _OneByOne(engine)
        self._news = threading.Condition()
        self._waiting: collections.deque[Ticket] = collections.deque()
        self._calls: collections.deque[_Call] = collections.deque()
        self._busy = False
        threading.Thread(target=self._work, name="engine", daemon=True).start()

    @property
    def slots(self) -> int:
        """How many takes the engine makes together."""
        return self._batch.slots

    @property
    def busy(self) -> bool:
        """Whether the engine is at work."""
        return self._busy

    def order(self, order: Order) -> Ticket:
        """Queue an order.

        Raises:
            TooManyRequests: `MAX_WAITING` wait already.
        """
        ticket = Ticket(order)
        with self._news:
            if len(self._waiting) >= MAX_WAITING:
                raise TooManyRequests(
                    f"{MAX_WAITING} takes are waiting already.",
                    hint="Send at most as many at a time as GET /health has slots.",
                )
            self._waiting.append(ticket)
            self._news.notify_all()
        return ticket

    def call(self, work: Callable[[], object]) -> concurrent.futures.Future[None]:
        """Queue something else to do with the engine, such as `load`, before the next step."""
        call = _Call(work)
        with self._news:
            self._calls.append(call)
            self._news.notify_all()
        return call.done

    def _work(self) -> None:
        under_way: list[Ticket] = []
        while True:
            self._await_news(bool(under_way))
            while self._calls:
                self._calls.popleft().run()
            under_way += self._begin(self._batch.slots - len(under_way))
            under_way = [ticket for ticket in under_way if not ticket.abandoned]
            self._advance(under_way)
            under_way = [ticket for ticket in under_way if not ticket.take.done()]

    def _await_news(self, under_way: bool) -> None:
        with self._news:
            while not (under_way or self._waiting or self._calls):
                self._busy = False
                self._news.wait()
            self._busy = True
            gathered_by = time.monotonic() + GATHER_S
            while not under_way and not self._calls and 0 < len(self._waiting) < self.slots:
                left_s = gathered_by - time.monotonic()
                if left_s <= 0 or not self._news.wait(left_s):
                    break

    def _begin(self, free: int) -> list[Ticket]:
        begun: list[Ticket] = []
        while len(begun) < free and self._waiting:
            ticket = self._waiting.popleft()
            if ticket.abandoned:
                continue
            try:
                ticket.work = self._batch.begin(ticket.order)
                begun.append(ticket)
            except BaseException as error:
                ticket.take.set_exception(error)
                if not isinstance(error, Exception):
                    raise
        return begun

    def _advance(self, tickets: list[Ticket]) -> None:
        works = [ticket.work for ticket in tickets if ticket.work is not None]
        if not works:
            return
        try:
            self._batch.advance(works)
        except BaseException as error:
            for ticket in tickets:
                ticket.take.set_exception(error)
            if not isinstance(error, Exception):
                raise
            return
        for ticket in tickets:
            outcome = ticket.work.outcome if ticket.work is not None else None
            if isinstance(outcome, SidecarError):
                ticket.take.set_exception(outcome)
            elif outcome is not None:
                ticket.take.set_result(outcome)


class _Call:
    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self.done: concurrent.futures.Future[None] = concurrent.futures.Future()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.done.set_exception(error)
            if not isinstance(error, Exception):
                raise
        else:
            self.done.set_result(None)


class _OneByOne:
    """An engine that makes one take at a time, in the shape of one that makes several."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.slots = 1
        self.unspoken: Mapping[str, str] = {}

    def begin(self, order: Order) -> Work:
        return _Single(order)

    def advance(self, works: Sequence[Work]) -> None:
        for work in works:
            if isinstance(work, _Single):
                order = work.order
                work.outcome = self._engine.synthesize(order.text, order.voice, order.speed)


@dataclass(slots=True)
class _Single:
    order: Order
    outcome: Speech | SidecarError | None = None
