"""An engine's place at the devices: busy, idle, and whose turn it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from dubarr_watch.engines import seat as seat_module
from dubarr_watch.engines.base import Need
from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.seat import Seat, User
from dubarr_watch.errors import JobCancelled
from dubarr_watch.gpu import queue as rules
from dubarr_watch.gpu.entries import LeaseState
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Rules, Wish
from tests.gpu.test_leases import Card, a_broker
from tests.waiting import eventually

NEED = Need("model", 9000)


@contextmanager
def calling(seat: Seat) -> Iterator[Callable[[], None]]:
    """Have a call under way in another thread; yields what ends it."""
    begun, enough = threading.Event(), threading.Event()

    def call() -> None:
        with seat.computing():
            begun.set()
            enough.wait(20)

    thread = threading.Thread(target=call)
    thread.start()

    def end() -> None:
        enough.set()
        thread.join()

    try:
        assert begun.wait(20)
        yield end
    finally:
        end()


def test_without_a_broker_everybody_computes_at_will() -> None:
    """An engine that a test builds by itself needs no host."""
    context = EngineContext()
    with context.computing(), context.computing():
        admission = context.admit()
    assert admission.place.kind == "cpu"
    assert admission.release().left_mib == 0


def test_a_lease_is_busy_during_calls_and_idle_between_them() -> None:
    """From the first of overlapping calls to the end of the last."""
    with a_broker(Card()) as broker:
        seat = Seat("translator", NEED, broker)
        with seat.computing():
            admission = seat.admit({"A": "1"})
            admission.loaded()
            with calling(seat) as end:
                assert broker.entries()[0].state is LeaseState.BUSY
                end()
            assert broker.entries()[0].state is LeaseState.BUSY
        assert broker.entries()[0].state is LeaseState.IDLE
        assert admission.environment["CUDA_VISIBLE_DEVICES"] == "GPU-0"
        assert admission.environment["A"] == "1"
        admission.release()
        assert broker.entries() == []


def test_a_call_waits_while_its_process_is_leaving() -> None:
    """And then finds none, so that it asks for a lease of its own."""
    may_end = threading.Event()
    with a_broker(Card()) as broker, ThreadPoolExecutor(2) as pool:
        seat = Seat("translator", NEED, broker)
        with seat.computing():
            admission = seat.admit({})

            def leave() -> None:
                may_end.wait(20)
                admission.release()

            admission.on_leave(leave)
        other = pool.submit(broker.acquire, Wish("other", 9000))
        eventually(lambda: broker.entries()[0].state is LeaseState.LEAVING, "it was asked")
        entered = threading.Event()

        def call() -> None:
            with seat.computing():
                entered.set()

        waits = pool.submit(call)
        assert not entered.wait(0.6)
        may_end.set()
        waits.result(timeout=20)
        other.result(timeout=20).release()


def test_calls_that_overlap_without_end_give_way_after_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A further call waits until those under way have ended and somebody else had the device."""
    monkeypatch.setattr(rules, "TURN_S", 0.0)
    with a_broker(Card()) as broker, ThreadPoolExecutor(2) as pool:
        seat = Seat("translator", NEED, broker)
        with seat.computing():
            admission = seat.admit({})

            def leave() -> None:
                admission.release()

            admission.on_leave(leave)
            admission.loaded()
        with calling(seat) as end:
            other = pool.submit(broker.acquire, Wish("other", 9000))
            eventually(lambda: broker.entries()[0].draining, "it is to give way")
            entered = threading.Event()

            def call() -> None:
                with seat.computing():
                    entered.set()

            joins = pool.submit(call)
            assert not entered.wait(0.6)
            end()
            other.result(timeout=20).release()
            joins.result(timeout=20)


def test_waiting_for_a_device_or_a_turn_can_be_cancelled() -> None:
    """The next one does not wait for it."""
    stop = threading.Event()
    broker = LeaseBroker()
    waiting = Seat("a", None, broker, User(cancelled=stop.is_set))
    with calling(Seat("b", None, broker)), ThreadPoolExecutor(1) as pool:

        def call() -> None:
            with waiting.computing():
                pass

        waits = pool.submit(call)
        eventually(lambda: broker.slots.wanted, "it waits")
        stop.set()
        with pytest.raises(JobCancelled):
            waits.result(timeout=20)
    stop.clear()
    call()


def test_calls_of_one_engine_share_a_turn_and_those_of_two_do_not() -> None:
    """CPU_SLOTS counts engines that compute, not their calls."""
    broker = LeaseBroker((), Rules(cpu_slots=1))
    one, two = Seat("a", None, broker), Seat("b", None, broker)
    entered = threading.Event()

    def call() -> None:
        with two.computing():
            entered.set()

    with ThreadPoolExecutor(1) as pool:
        with calling(one), calling(one):
            waits = pool.submit(call)
            assert not entered.wait(0.6)
        waits.result(timeout=20)


def test_a_turn_is_not_prolonged_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """When somebody waits, a further call joins those under way only for so long."""
    monkeypatch.setattr(seat_module, "TURN_S", 0.0)
    broker = LeaseBroker((), Rules(cpu_slots=1))
    one, two = Seat("a", None, broker), Seat("b", None, broker)
    order: list[str] = []

    def call(seat: Seat, name: str) -> None:
        with seat.computing():
            order.append(name)

    with ThreadPoolExecutor(2) as pool:
        with calling(one):
            second = pool.submit(call, two, "two")
            eventually(lambda: broker.slots.wanted, "the other waits")
            again = pool.submit(call, one, "one")
        second.result(timeout=20)
        again.result(timeout=20)
    assert sorted(order) == ["one", "two"]
    assert not broker.slots.wanted


def test_a_call_inside_a_call_is_part_of_it() -> None:
    """It does not wait for its own end, on the CPU or while its lease is to be given up."""
    broker = LeaseBroker((), Rules(cpu_slots=1))
    seat = Seat("a", None, broker)
    with seat.computing(), seat.computing():
        pass
    with broker.turn():
        pass


def test_what_no_device_can_hold_takes_turns_on_the_cpu() -> None:
    """It is known before the process starts, so that loading takes its turn too."""
    with a_broker(Card()) as broker:
        seat = Seat("translator", Need("model", 99_000), broker)
        with seat.computing():
            assert seat.admit({}).place.kind == "cpu"
            with ThreadPoolExecutor(1) as pool:
                turn = pool.submit(broker.slots.acquire, cancelled=lambda: True)
                with pytest.raises(JobCancelled):
                    turn.result(timeout=20)
