"""The rules of leases hold on every machine, whatever its engines do."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubarr_watch.gpu.entries import AGEING_S, Figures, LeaseState, Peer, Request
from dubarr_watch.gpu.queue import QUIET_S, TURN_S, LeaseQueue
from tests.gpu.simulated import MARGIN, Engine, Machine, a_gpu, machines


@given(machines())
@settings(max_examples=300, deadline=None)
def test_any_work_ends_and_no_rule_is_broken(machine: Machine) -> None:
    """Never over-committed, one load at a time, nobody overtaken, every lease taken back, no
    deadlock: with one to three daemons, several cards, memory of others, late figures, kills.
    """
    machine.run()


@given(machines(daemons=1), st.booleans())
@settings(max_examples=100, deadline=None)
def test_no_rule_is_broken_where_nobody_tells_what_a_process_holds(
    machine: Machine, full: bool
) -> None:
    """A driver that hides processes, as in a container: leases themselves are the bound."""
    machine.exact = False
    if full:  # every process takes all that it was granted as soon as it has loaded
        machine.engines = [replace(engine, holds=(1.0, 1.0)) for engine in machine.engines]
    machine.foreign = [0 for _ in machine.foreign]
    machine.__post_init__()
    machine.run()


def asked(
    queue: LeaseQueue, at_s: float, mib: int, *, priority: int = 0, alone: bool = False
) -> int:
    """Ask for memory of any card; returns the number."""
    request = Request("stage", at_s, dict.fromkeys(queue.gpus, mib), priority, alone=alone)
    return queue.ask(request).number


def one_card(total_mib: int = 10_500) -> LeaseQueue:
    gpu = a_gpu(0, total_mib)
    return LeaseQueue({gpu.uuid: gpu}, MARGIN)


def decide(
    queue: LeaseQueue, now_s: float, *peers: Peer, free_mib: int | None = 10_500
) -> list[int]:
    """Let time pass, with figures of this moment; returns the numbers that were granted."""
    figures = {uuid: Figures(now_s, free_mib, peers) for uuid in queue.gpus}
    return [entry.number for entry in queue.decide(figures, now_s).granted]


def settle(queue: LeaseQueue, number: int, now_s: float) -> None:
    """Let a holder load, compute, and be idle."""
    entry = queue.entries[number]
    entry.may_leave = True
    queue.idle(entry, now_s)


def test_the_margin_is_never_handed_out() -> None:
    """One MiB more than a card has to give waits, that MiB less is granted."""
    queue = one_card()
    asked(queue, 1, 10_001)
    assert decide(queue, 2) == []
    queue = one_card()
    number = asked(queue, 1, 10_000)
    assert decide(queue, 2) == [number]


def test_memory_of_others_is_not_handed_out() -> None:
    """What a driver does not call free is not there, leased or not."""
    queue = one_card()
    number = asked(queue, 1, 6000)
    assert decide(queue, 2, free_mib=6499) == []
    assert decide(queue, 2, free_mib=None) == []
    assert decide(queue, 2, free_mib=6500) == [number]


def test_what_a_holder_may_still_take_is_not_handed_out() -> None:
    """A model that has loaded takes more when it computes: that is kept for it."""
    queue = one_card()
    first = asked(queue, 1, 4000)
    assert decide(queue, 2) == [first]
    settle(queue, first, 3)
    queue.entries[first].held_mib = 1000
    second = asked(queue, 4, 4000)
    # 9500 less 3000 of others, 3000 that the first may still take, and the margin: 3000 are left.
    assert decide(queue, 4.5, free_mib=6500) == []
    assert decide(queue, 4.5, free_mib=7500) == [second]


def test_priority_goes_first_and_age_outweighs_it_in_time() -> None:
    """A request is overtaken by one of a higher priority for five minutes, and no longer."""
    for later_s, first_is_old in ((AGEING_S - 1, False), (AGEING_S + 1, True)):
        queue = one_card()
        old = asked(queue, 1, 10_000)
        urgent = asked(queue, 1 + later_s, 10_000, priority=1)
        assert decide(queue, 2 + later_s) == [old if first_is_old else urgent]


def test_a_small_request_does_not_overtake_a_large_one() -> None:
    """The card is kept for the first in line, though there would be room for the second."""
    queue = one_card()
    holder = asked(queue, 1, 5000)
    assert decide(queue, 2) == [holder]
    queue.loaded(queue.entries[holder], 3)
    large, small = asked(queue, 4, 8000), asked(queue, 5, 1000)
    assert decide(queue, 6, free_mib=5500) == []
    queue.gone(queue.entries[holder], 7)
    queue.end(queue.entries[holder], 8)
    assert decide(queue, 9) == [large]
    queue.loaded(queue.entries[large], 10)
    assert decide(queue, 11, free_mib=2500) == [small]


def test_another_card_is_not_kept_for_one_who_waits() -> None:
    """Who waits keeps one card; what is behind may go to the others."""
    queue = LeaseQueue({gpu.uuid: gpu for gpu in (a_gpu(0, 10_500), a_gpu(1, 4500))}, MARGIN)
    holder = queue.ask(Request("stage", 1, {"GPU-0": 8000}))
    assert decide(queue, 2) == [holder.number]
    queue.loaded(holder, 3)
    waits = queue.ask(Request("stage", 4, {"GPU-0": 8000}))
    goes = queue.ask(Request("stage", 5, {"GPU-0": 2000, "GPU-1": 2000}))
    assert decide(queue, 6, free_mib=4500) == [goes.number]
    assert (goes.device, waits.state) == ("GPU-1", LeaseState.WAITING)


def test_the_longest_idle_are_asked_to_leave_and_no_more_than_needed() -> None:
    """Three are idle: one that is large enough alone spares a smaller one that idled longer."""
    queue = one_card()
    numbers = []
    for at_s, mib in ((1, 1000), (2, 3000), (3, 3000)):
        numbers.append(asked(queue, at_s, mib))
        assert decide(queue, at_s + 0.5) == numbers[-1:]
        settle(queue, numbers[-1], at_s + 0.6)
    asked(queue, 10, 6000)
    decide(queue, 10 + QUIET_S, free_mib=10_500 - 7000)
    states = [queue.entries[number].state for number in numbers]
    assert states == [LeaseState.IDLE, LeaseState.LEAVING, LeaseState.IDLE]


def test_a_holder_between_two_calls_stays_until_it_had_its_turn() -> None:
    """Loading takes seconds: nobody is sent away after each line."""
    for age_s, leaves in ((TURN_S - 2, False), (TURN_S, True)):
        queue = one_card()
        holder = asked(queue, 1, 8000)
        decide(queue, 1)
        queue.loaded(queue.entries[holder], 2)
        queue.entries[holder].may_leave = True
        asked(queue, 3, 8000)
        queue.idle(queue.entries[holder], 1 + age_s)
        decide(queue, 1 + age_s, free_mib=2500)
        assert (queue.entries[holder].state is LeaseState.LEAVING) is leaves


def test_a_holder_whose_calls_overlap_gives_way_in_the_end() -> None:
    """After its turn no further call joins those under way, and with the last of them it goes."""
    queue = one_card()
    holder = asked(queue, 1, 8000)
    decide(queue, 1)
    entry = queue.entries[holder]
    entry.may_leave = True
    queue.loaded(entry, 2)
    assert queue.busy(entry, 3)
    asked(queue, 3, 8000)
    decide(queue, 1 + TURN_S, free_mib=2500)
    assert not queue.busy(entry, 1 + TURN_S)
    queue.idle(entry, 2 + TURN_S)
    assert entry.state is LeaseState.LEAVING


def test_one_who_wants_a_card_alone_gets_all_of_it() -> None:
    """Everybody else has to leave first; then it is given what is free."""
    queue = one_card()
    holder = asked(queue, 1, 1000)
    decide(queue, 2)
    settle(queue, holder, 3)
    alone = asked(queue, 4, 2000, alone=True)
    assert decide(queue, 10, free_mib=9500) == []
    assert queue.entries[holder].state is LeaseState.LEAVING
    queue.gone(queue.entries[holder], 11)
    queue.end(queue.entries[holder], 12)
    assert decide(queue, 13, free_mib=10_200) == [alone]
    assert queue.entries[alone].mib == 9700


def test_other_daemons_count_and_are_not_overtaken() -> None:
    """What they leased is not there, they load one at a time with us, and age goes before."""
    queue = one_card()
    number = asked(queue, 100, 6000)
    assert decide(queue, 101, Peer(leased_mib=4001)) == []
    assert decide(queue, 101, Peer(loading=True)) == []
    assert decide(queue, 101, Peer(waiting_rank=99.0, waiting_mib=9000)) == []
    assert decide(queue, 101, Peer(leased_mib=4000, waiting_rank=101.0)) == [number]


def test_idle_holders_leave_for_another_daemon_too() -> None:
    """Somebody who waits elsewhere is as good a reason as somebody who waits here."""
    queue = one_card()
    holder = asked(queue, 1, 6000)
    decide(queue, 2)
    settle(queue, holder, 3)
    decide(queue, 10, Peer(waiting_rank=9.0, waiting_mib=4000), free_mib=4500)
    assert queue.entries[holder].state is LeaseState.IDLE  # there is room for both
    decide(queue, 10, Peer(waiting_rank=9.0, waiting_mib=6000), free_mib=4500)
    assert queue.entries[holder].state is LeaseState.LEAVING


@pytest.mark.parametrize("loaded", [False, True])
def test_figures_from_before_the_end_of_a_load_are_not_trusted(loaded: bool) -> None:
    """What was read while a model was loading does not count all of it."""
    queue = one_card(20_500)
    first = asked(queue, 1, 4000)
    decide(queue, 2)
    if loaded:
        queue.loaded(queue.entries[first], 5)
    second = asked(queue, 3, 4000)
    figures = {"GPU-0": Figures(4.0, 20_500)}
    assert not queue.decide(figures, 6).granted
    if loaded:
        assert decide(queue, 6.5, free_mib=16_500) == [second]


def test_engine_scripts_say_what_they_do() -> None:
    """The machine of these tests runs out of memory when an engine takes more than its lease."""
    greedy = Engine(0, 0, 1.0, (0,), holds=(1.0, 1.5), calls=((3, 1),))
    with pytest.raises(AssertionError, match="out of memory"):
        Machine([8000], [0], [greedy]).run()
