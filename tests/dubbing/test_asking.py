"""Questions that wait behind those of other jobs end when their job is cancelled."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from dubarr_watch.dubbing.asking import Asking, ask_for_all
from dubarr_watch.engines.base import SourceText
from dubarr_watch.engines.dispatch import Dispatcher, Priority, Step
from dubarr_watch.engines.fakes import FakeTranslator
from dubarr_watch.errors import JobCancelled


class Busy:
    """A queue whose one slot another job holds until it is let go."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self.dispatcher = dispatcher
        self._go, began = threading.Event(), threading.Event()

        def work() -> str:
            began.set()
            self._go.wait(120)
            return "answered"

        self.other = dispatcher.submit(work, priority=Priority(Step.REFINE, job=1))
        assert began.wait(60)

    def let_go(self) -> None:
        self._go.set()


@pytest.fixture
def busy() -> Iterator[Busy]:
    with Dispatcher(1, 1, "test") as dispatcher:
        found = Busy(dispatcher)
        yield found
        found.let_go()


def first(asking: Asking) -> object:
    return asking.first(lambda: pytest.fail("asked all the same"))


def all_lines(asking: Asking) -> object:
    """More batches than there is room for."""
    texts = [SourceText(number, f"Line {number}.", 1, 40) for number in range(100)]
    return ask_for_all(texts, FakeTranslator(), asking, source="en", target="es")


@pytest.mark.parametrize("ask", [first, all_lines])
def test_a_cancelled_job_does_not_wait_for_the_questions_of_others(
    busy: Busy, ask: Callable[[Asking], object]
) -> None:
    looks = itertools.count()
    asking = Asking(dispatcher=busy.dispatcher, job=2, cancelled=lambda: next(looks) >= 3)
    with pytest.raises(JobCancelled):
        ask(asking)
    assert not busy.other.done()
    busy.let_go()
    assert busy.other.result(60) == "answered"


def test_one_that_nobody_cancels_waits_for_its_turn(busy: Busy) -> None:
    threading.Timer(0.4, busy.let_go).start()
    asking = Asking(dispatcher=busy.dispatcher, job=2)
    assert asking.first(lambda: "said") == "said"
