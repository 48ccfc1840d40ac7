"""Requests to one kind of engine: their order, their bound, and that none is lost."""

from __future__ import annotations

import contextvars
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import CancelledError, Future, wait
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubarr_watch.engines.dispatch import Dispatcher, Dispatchers, Priority, Step
from tests.waiting import eventually

DEADLINE_S = 20

priorities = st.builds(Priority, st.sampled_from(Step), st.integers(0, 2), st.integers(0, 4))


class Gate:
    """Work that stays in its slot until the gate opens."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self.open.wait(DEADLINE_S)


class Crowd:
    """Counts how many are inside at a time, and how often each was."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.inside = 0
        self.most = 0
        self.served: Counter[int] = Counter()

    def visit(self, number: int, rest_s: float = 0.0) -> int:
        with self._lock:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.served[number] += 1
        time.sleep(rest_s)
        with self._lock:
            self.inside -= 1
        return number


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


def drafted(line: int = 0, job: int = 0) -> Priority:
    return Priority(Step.DRAFT, job, line=line)


def refined(line: int = 0, job: int = 0) -> Priority:
    return Priority(Step.REFINE, job, line=line)


class TestOrder:
    def test_refinement_comes_first_then_the_older_job_then_the_earlier_line(self) -> None:
        """The order of priorities is the order of service; a job's languages go one by one."""
        assert refined(9, 9) < drafted(0, 0)
        assert drafted(9, 1) < drafted(0, 2)
        assert Priority(Step.DRAFT, 1, turn=0, line=9) < Priority(Step.DRAFT, 1, turn=1, line=0)
        assert Priority(Step.DRAFT, 1, turn=9) < Priority(Step.DRAFT, 2, turn=0)
        assert drafted(1, 1) < drafted(2, 1)

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.tuples(priorities, st.booleans()), max_size=12))
    def test_what_waits_is_served_by_priority_and_then_in_turn(
        self, waiting: list[tuple[Priority, bool]]
    ) -> None:
        """What was queued while the only slot was taken comes out sorted, less what was dropped."""
        served: list[int] = []
        gate = Gate()
        with Dispatcher(1, 100, "test") as dispatcher:
            dispatcher.submit(gate, priority=refined())
            assert gate.entered.wait(DEADLINE_S)
            futures = [
                dispatcher.submit(partial(served.append, number), priority=priority)
                for number, (priority, _) in enumerate(waiting)
            ]
            for future, (_, dropped) in zip(futures, waiting, strict=True):
                assert not dropped or future.cancel()
            gate.open.set()
        left = [number for number, (_, dropped) in enumerate(waiting) if not dropped]
        assert served == sorted(left, key=lambda number: (waiting[number][0], number))

    def test_whoever_waits_for_room_is_let_in_by_priority_too(self) -> None:
        """One place in a full queue becomes free: the earliest line gets it, not who came first."""
        gates = [Gate(), Gate()]
        with Dispatcher(1, 1, "test") as dispatcher:
            for gate in gates:
                dispatcher.submit(gate, priority=drafted())
            threads = []
            for line in (7, 5, 9, 3, 8, 6):

                def submit(line: int = line) -> None:
                    dispatcher.submit(int, priority=drafted(line))

                threads.append(threading.Thread(target=submit))
                threads[-1].start()
                eventually(lambda: len(dispatcher._blocked) == len(threads))
            gates[0].open.set()
            eventually(lambda: len(dispatcher._blocked) < len(threads))
            assert [waiting.priority.line for waiting in dispatcher._queue] == [3]
            gates[1].open.set()
            for thread in threads:
                thread.join(DEADLINE_S)


class TestBound:
    def test_a_draft_waits_while_the_queue_is_full(self, gate: Gate) -> None:
        """Two are queued and the third is not, until one of the two has begun."""
        with Dispatcher(1, 2, "test") as dispatcher:
            dispatcher.submit(gate, priority=drafted())
            assert gate.entered.wait(DEADLINE_S)
            for line in (1, 2):
                dispatcher.submit(int, priority=drafted(line), timeout_s=0)
            with pytest.raises(queue.Full):
                dispatcher.submit(int, priority=drafted(3), timeout_s=0.02)
            gate.open.set()
            assert dispatcher.submit(int, priority=drafted(3)).result(DEADLINE_S) == 0

    def test_drafts_do_not_keep_a_refinement_out(self, gate: Gate) -> None:
        """A queue full of drafts has room for a refinement, which is served first."""
        served: list[str] = []
        with Dispatcher(1, 1, "test") as dispatcher:
            dispatcher.submit(gate, priority=drafted())
            assert gate.entered.wait(DEADLINE_S)
            dispatcher.submit(lambda: served.append("draft"), priority=drafted())
            dispatcher.submit(
                lambda: served.append("refinement"), priority=refined(99), timeout_s=0
            )
            with pytest.raises(queue.Full):
                dispatcher.submit(int, priority=refined(100), timeout_s=0)
            gate.open.set()
        assert served == ["refinement", "draft"]

    def test_refinements_do_not_keep_a_draft_out(self, gate: Gate) -> None:
        """Each step has room of its own."""
        with Dispatcher(1, 1, "test") as dispatcher:
            dispatcher.submit(gate, priority=drafted())
            assert gate.entered.wait(DEADLINE_S)
            dispatcher.submit(int, priority=refined(), timeout_s=0)
            dispatcher.submit(int, priority=drafted(), timeout_s=0)
            gate.open.set()


class TestSlots:
    @pytest.mark.parametrize("slots", [1, 3])
    def test_as_many_run_at_a_time_as_there_are_slots(self, slots: int) -> None:
        """All slots are used when there is work for them, and no more than those."""
        together = threading.Barrier(slots)
        crowd = Crowd()

        def work(number: int) -> None:
            crowd.visit(number)
            together.wait(DEADLINE_S)

        with Dispatcher(slots, 4, "test") as dispatcher:
            for number in range(slots * 5):
                dispatcher.submit(partial(work, number), priority=drafted(number))
        assert crowd.most <= slots
        assert crowd.served == dict.fromkeys(range(slots * 5), 1)

    def test_slots_can_be_added_while_work_waits(self, gate: Gate) -> None:
        """A second slot takes the request that waits for the first."""
        with Dispatcher(1, 4, "test") as dispatcher:
            dispatcher.submit(gate, priority=drafted())
            second = dispatcher.submit(threading.get_ident, priority=drafted())
            assert gate.entered.wait(DEADLINE_S)
            assert not second.done()
            dispatcher.resize(2)
            assert second.result(DEADLINE_S) != threading.get_ident()
            gate.open.set()

    def test_slots_can_be_taken_away(self) -> None:
        """From three slots to one: later requests run one at a time."""
        with Dispatcher(3, 30, "test") as dispatcher:
            together = threading.Barrier(3)
            wait([dispatcher.submit(together.wait, priority=drafted()) for _ in range(3)])
            dispatcher.resize(1)
            crowd = Crowd()
            for number in range(6):
                dispatcher.submit(partial(crowd.visit, number, 0.003), priority=drafted())
        assert crowd.most == 1
        assert crowd.served.total() == 6

    @pytest.mark.parametrize(("slots", "bound"), [(0, 1), (1, 0)])
    def test_none_of_either_is_refused(self, slots: int, bound: int) -> None:
        """A dispatcher without slots or room would never do anything."""
        with pytest.raises(ValueError, match="needs one slot"):
            Dispatcher(slots, bound, "test")
        with Dispatcher(1, 1, "test") as dispatcher, pytest.raises(ValueError, match="one slot"):
            dispatcher.resize(0)


class TestNothingIsLost:
    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(1, 4),
        st.integers(1, 3),
        st.lists(st.lists(priorities, max_size=8), min_size=1, max_size=4),
    )
    def test_every_request_of_every_thread_is_served_once(
        self, slots: int, bound: int, callers: list[list[Priority]]
    ) -> None:
        """Threads that submit at once, each request refining itself once: all of it is done."""
        crowd = Crowd()
        refinements: queue.SimpleQueue[Future[int]] = queue.SimpleQueue()
        with Dispatcher(slots, bound, "test") as dispatcher:

            def work(number: int, priority: Priority) -> int:
                again = Priority(Step.REFINE, priority.job, line=priority.line)
                refinements.put(
                    dispatcher.submit(lambda: crowd.visit(number + 1000), priority=again)
                )
                return crowd.visit(number)

            def call(caller: int, wanted: list[Priority]) -> None:
                for n, priority in enumerate(wanted):
                    number = caller * 100 + n
                    dispatcher.submit(
                        partial(work, number, priority),
                        priority=priority,
                    )

            threads = [
                threading.Thread(target=call, args=(caller, wanted))
                for caller, wanted in enumerate(callers)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(DEADLINE_S)
                assert not thread.is_alive()
        numbers = [100 * c + n for c, wanted in enumerate(callers) for n in range(len(wanted))]
        assert crowd.served == dict.fromkeys([*numbers, *(n + 1000 for n in numbers)], 1)
        assert crowd.most <= slots
        assert refinements.qsize() == len(numbers)

    def test_work_that_submits_is_never_blocked(self) -> None:
        """The only slot submits more than the queue holds, and everything is done."""
        done: list[int] = []
        with Dispatcher(1, 1, "test") as dispatcher:

            def work() -> None:
                for n in range(5):
                    dispatcher.submit(partial(done.append, n), priority=refined(n))

            dispatcher.submit(work, priority=drafted())
        assert done == [0, 1, 2, 3, 4]

    def test_an_exception_goes_to_its_future_only(self) -> None:
        """The thread lives on and serves the next request."""

        def fail() -> None:
            raise KeyError("mine")

        with Dispatcher(1, 4, "test") as dispatcher:
            failed = dispatcher.submit(fail, priority=drafted())
            fine = dispatcher.submit(lambda: 7, priority=drafted())
            with pytest.raises(KeyError, match="mine"):
                failed.result(DEADLINE_S)
            assert fine.result(DEADLINE_S) == 7

    def test_work_sees_the_context_of_its_caller(self) -> None:
        """What a job bound to its log lines is bound in the thread as well."""
        job: contextvars.ContextVar[int] = contextvars.ContextVar("job", default=0)
        with Dispatcher(1, 4, "test") as dispatcher:
            job.set(5)
            assert dispatcher.submit(job.get, priority=drafted()).result(DEADLINE_S) == 5


class TestCancelling:
    def test_cancelling_a_job_drops_what_it_has_queued(self, gate: Gate) -> None:
        """The job's queued requests never run, others do, and what runs is not touched."""
        served: list[int] = []
        with Dispatcher(1, 10, "test") as dispatcher:
            running = dispatcher.submit(gate, priority=drafted(job=1))
            assert gate.entered.wait(DEADLINE_S)
            own = [
                dispatcher.submit(lambda: served.append(1), priority=drafted(n, job=1))
                for n in range(3)
            ]
            other = dispatcher.submit(lambda: served.append(2), priority=drafted(job=2))
            assert dispatcher.cancel(1) == 3
            gate.open.set()
            other.result(DEADLINE_S)
        assert served == [2]
        assert wait(own, DEADLINE_S).not_done == set()
        assert all(future.cancelled() for future in own)
        assert running.exception() is None

    def test_cancelling_makes_room_and_frees_who_waits(self, gate: Gate) -> None:
        """A job blocked by the full queue goes on with a cancelled future; others get its room."""
        with Dispatcher(1, 1, "test") as dispatcher:
            dispatcher.submit(gate, priority=drafted())
            assert gate.entered.wait(DEADLINE_S)
            dispatcher.submit(int, priority=drafted(1, job=1))
            got: queue.SimpleQueue[Future[int]] = queue.SimpleQueue()
            thread = threading.Thread(
                target=lambda: got.put(dispatcher.submit(int, priority=drafted(2, job=1)))
            )
            thread.start()
            eventually(lambda: len(dispatcher._blocked) == 1)
            assert dispatcher.cancel(1) == 2
            late = got.get(timeout=DEADLINE_S)
            assert wait([late], DEADLINE_S).not_done == set()
            assert late.cancelled()
            thread.join(DEADLINE_S)
            dispatcher.submit(int, priority=drafted(job=2), timeout_s=0)
            gate.open.set()

    def test_a_cancelled_future_gives_its_room_back(self, gate: Gate) -> None:
        """One request taken back by its caller leaves room for another."""
        with Dispatcher(1, 1, "test") as dispatcher:
            dispatcher.submit(gate, priority=drafted())
            assert gate.entered.wait(DEADLINE_S)
            assert dispatcher.submit(int, priority=drafted()).cancel()
            dispatcher.submit(int, priority=drafted(), timeout_s=0)
            gate.open.set()


class TestClosing:
    def test_leaving_waits_for_what_was_submitted(self) -> None:
        """After the block everything is done, what work submitted itself included."""
        done: list[int] = []
        with Dispatcher(2, 4, "test") as dispatcher:

            def work() -> None:
                time.sleep(0.01)
                dispatcher.submit(lambda: done.append(1), priority=refined())

            dispatcher.submit(work, priority=drafted())
        assert done == [1]

    def test_leaving_by_an_exception_drops_what_has_not_begun(self, gate: Gate) -> None:
        """What runs is waited for; the rest is cancelled, and so is what it still submits."""
        late: list[Future[int]] = []
        dispatcher = Dispatcher(1, 4, "test")

        def work() -> None:
            gate()
            late.append(dispatcher.submit(int, priority=refined()))

        def leave() -> Future[int]:
            with dispatcher:
                dispatcher.submit(work, priority=drafted())
                assert gate.entered.wait(DEADLINE_S)
                queued = dispatcher.submit(int, priority=drafted())
                queued.add_done_callback(lambda _: gate.open.set())
                futures.append(queued)
                raise KeyboardInterrupt

        futures: list[Future[int]] = []
        with pytest.raises(KeyboardInterrupt):
            leave()
        assert wait([*futures, *late], DEADLINE_S).not_done == set()
        for future in (*futures, *late):
            with pytest.raises(CancelledError):
                future.result(0)
        assert len(late) == 1

    def test_a_closed_dispatcher_takes_nothing(self, gate: Gate) -> None:
        """Neither a new request nor one that waited for room."""
        dispatcher = Dispatcher(1, 1, "test")
        dispatcher.submit(gate, priority=drafted())
        assert gate.entered.wait(DEADLINE_S)
        dispatcher.submit(int, priority=drafted())
        refused: queue.SimpleQueue[BaseException] = queue.SimpleQueue()

        def submit() -> None:
            try:
                dispatcher.submit(int, priority=drafted())
            except RuntimeError as error:
                refused.put(error)

        thread = threading.Thread(target=submit)
        thread.start()
        eventually(lambda: len(dispatcher._blocked) == 1)
        closing = threading.Thread(target=dispatcher.close)
        closing.start()
        assert "closed" in str(refused.get(timeout=DEADLINE_S))
        gate.open.set()
        for ended in (thread, closing):
            ended.join(DEADLINE_S)
        with pytest.raises(RuntimeError, match="closed"):
            dispatcher.submit(int, priority=drafted())

    def test_no_thread_is_left(self) -> None:
        """All threads have ended with the block."""
        before = threading.active_count()
        with Dispatcher(3, 4, "test") as dispatcher:
            wait([dispatcher.submit(int, priority=drafted()) for _ in range(9)])
        eventually(lambda: threading.active_count() <= before)


def test_all_dispatchers_cancel_and_close_together() -> None:
    """A job's requests are dropped wherever they are."""
    gate = Gate()
    with Dispatchers(bound=4) as all_of_them:
        for one in (all_of_them.translator, all_of_them.synthesizer):
            one.submit(gate, priority=drafted())
            gate.entered.wait(DEADLINE_S)
            one.submit(int, priority=drafted(job=3))
        assert all_of_them.cancel(3) == 2
        gate.open.set()
    with pytest.raises(RuntimeError):
        all_of_them.synthesizer.submit(int, priority=drafted())
