"""Where orders wait: which are worked on together, and what becomes of the others."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest

from tts_sidecar.desk import MAX_WAITING, Desk, Ticket
from tts_sidecar.engines.base import Order, Speech, Voice, Work
from tts_sidecar.errors import BadRequest, EngineFailed, SidecarError, TooManyRequests

VOICE = Voice("v", "es", "female", "test")
DEADLINE_S = 10


@dataclass(eq=False)
class Steps:
    """Work of some steps."""

    order: Order
    left: int
    outcome: Speech | SidecarError | None = None


@dataclass
class StepEngine:
    """Needs as many steps as the order's text says; a step waits until it is let go."""

    slots: int = 3
    name: str = "test"
    device: str = "cpu"
    loaded: bool = True
    problem: str | None = None
    languages: Mapping[str, str] = field(default_factory=dict)
    unspoken: Mapping[str, str] = field(default_factory=dict)
    rounds: list[list[str]] = field(default_factory=list)
    stepping: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    begun: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def voices(self, language: str) -> Sequence[Voice]:
        return [VOICE]

    def load(self) -> None:
        self.rounds.append(["load"])

    def unload(self) -> None: ...

    def synthesize(self, text: str, voice: Voice, speed: float) -> Speech:
        raise NotImplementedError

    def begin(self, order: Order) -> Work:
        if order.text == "bad":
            raise BadRequest("no")
        return Steps(order, int(order.text))

    def advance(self, works: Sequence[Work]) -> None:
        ours = [work for work in works if isinstance(work, Steps)]
        self.rounds.append([work.order.text for work in ours])
        self.begun.release()
        assert self.stepping.acquire(timeout=DEADLINE_S)
        for work in ours:
            work.left -= 1
            if work.left == 0:
                work.outcome = Speech(np.zeros(5, np.float32), 24000)
            elif work.left < 0:
                work.outcome = EngineFailed("no end")


@pytest.fixture
def engine() -> StepEngine:
    return StepEngine()


@pytest.fixture
def desk(engine: StepEngine) -> Desk:
    return Desk(engine)


def order(desk: Desk, *texts: str) -> list[Ticket]:
    return [desk.order(Order(text, VOICE)) for text in texts]


def go(engine: StepEngine, steps: int = 1) -> None:
    engine.stepping.release(steps)


def test_orders_that_come_together_are_made_together(engine: StepEngine, desk: Desk) -> None:
    tickets = order(desk, "1", "1", "1")
    go(engine)
    assert [len(ticket.take.result(DEADLINE_S).samples) for ticket in tickets] == [5, 5, 5]
    assert engine.rounds == [["1", "1", "1"]]


def test_an_order_joins_the_next_step_of_others(engine: StepEngine, desk: Desk) -> None:
    first = order(desk, "3")[0]
    assert engine.begun.acquire(timeout=DEADLINE_S)
    second = order(desk, "1")[0]
    go(engine, 3)
    first.take.result(DEADLINE_S)
    second.take.result(DEADLINE_S)
    assert engine.rounds == [["3"], ["3", "1"], ["3"]]


def test_no_more_are_worked_on_than_there_are_slots(engine: StepEngine, desk: Desk) -> None:
    tickets = order(desk, "2", "1", "1", "1", "1")
    go(engine, 9)
    for ticket in tickets:
        ticket.take.result(DEADLINE_S)
    assert max(map(len, engine.rounds)) == 3
    assert sum(map(len, engine.rounds)) == 6


def test_what_nobody_waits_for_is_dropped(engine: StepEngine, desk: Desk) -> None:
    under_way, other = order(desk, "5", "2")
    assert engine.begun.acquire(timeout=DEADLINE_S)
    waiting = order(desk, "1")[0]
    under_way.abandoned = waiting.abandoned = True
    go(engine, 2)
    other.take.result(DEADLINE_S)
    assert engine.rounds == [["5", "2"], ["2"]]
    assert not under_way.take.done()


def test_a_refused_order_disturbs_no_other(engine: StepEngine, desk: Desk) -> None:
    bad, good, endless = order(desk, "bad", "1", "0")
    go(engine)
    assert isinstance(bad.take.exception(DEADLINE_S), BadRequest)
    assert good.take.result(DEADLINE_S)
    assert isinstance(endless.take.exception(DEADLINE_S), EngineFailed)


def test_a_broken_step_fails_its_orders_and_the_next_ones_go_on(
    engine: StepEngine, desk: Desk
) -> None:
    broken = order(desk, "x1")[0]
    assert isinstance(broken.take.exception(DEADLINE_S), ValueError)
    good = order(desk, "1")[0]
    go(engine)
    assert good.take.result(DEADLINE_S)


def test_other_calls_come_between_steps(engine: StepEngine, desk: Desk) -> None:
    ticket = order(desk, "2")[0]
    assert engine.begun.acquire(timeout=DEADLINE_S)
    loading = desk.call(engine.load)
    go(engine, 2)
    loading.result(DEADLINE_S)
    ticket.take.result(DEADLINE_S)
    assert engine.rounds == [["2"], ["load"], ["2"]]


def test_the_queue_is_bounded(engine: StepEngine, desk: Desk) -> None:
    order(desk, "1")
    assert engine.begun.acquire(timeout=DEADLINE_S)
    tickets = order(desk, *["1"] * MAX_WAITING)
    with pytest.raises(TooManyRequests):
        order(desk, "1")
    go(engine, MAX_WAITING)
    for ticket in tickets:
        ticket.take.result(DEADLINE_S)
    order(desk, "1")


def test_it_is_busy_while_it_works(engine: StepEngine, desk: Desk) -> None:
    seen = [desk.busy]
    ticket = order(desk, "1")[0]
    assert engine.begun.acquire(timeout=DEADLINE_S)
    seen.append(desk.busy)
    assert seen == [False, True]
    go(engine)
    ticket.take.result(DEADLINE_S)
