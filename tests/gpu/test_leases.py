"""The broker, with real threads and a card that is simulated."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from dubarr_watch.errors import DeviceError, JobCancelled, LeaseError
from dubarr_watch.gpu.entries import LeaseState
from dubarr_watch.gpu.inventory import GpuProcess, Memory
from dubarr_watch.gpu.leases import Lease, LeaseBroker
from dubarr_watch.gpu.slots import CpuSlots
from dubarr_watch.gpu.wishes import Rules, Wish
from dubarr_watch.store.leases import LeaseRecord
from tests.gpu.simulated import a_gpu
from tests.waiting import eventually

TOTAL = 10_000


class Card:
    """A driver of cards whose memory a test takes and gives back."""

    def __init__(self) -> None:
        self.foreign = 0
        self.held: dict[int, int] = {}
        self.broken = False
        self.lock = threading.Lock()
        self.least_free = TOTAL
        self.looks = 0

    def memory(self, uuid: str) -> Memory:
        self.looks += 1
        if self.broken:
            raise DeviceError(f"{uuid} does not answer: it fell off the bus.")
        with self.lock:
            used = self.foreign + sum(self.held.values())
        return Memory(TOTAL, used, TOTAL - used)

    def processes(self, uuid: str) -> tuple[GpuProcess, ...]:
        with self.lock:
            return tuple(GpuProcess(pid, mib) for pid, mib in self.held.items())

    def take(self, pid: int, mib: int) -> None:
        with self.lock:
            self.held[pid] = mib
            self.least_free = min(self.least_free, TOTAL - self.foreign - sum(self.held.values()))

    def give(self, pid: int) -> None:
        with self.lock:
            self.held.pop(pid, None)


class Pages:
    """A journal on paper."""

    def __init__(self) -> None:
        self.rows: list[LeaseRecord] = []

    def save(self, leases: Iterable[LeaseRecord]) -> None:
        self.rows += list(leases)


@contextmanager
def a_broker(card: Card, *, cards: int = 1, **rules: object) -> Iterator[LeaseBroker]:
    known = {"margin_mib": 500, "stall_s": 30.0, **rules}
    broker = LeaseBroker([a_gpu(i, TOTAL) for i in range(cards)], Rules(**known), driver=card)  # type: ignore[arg-type]
    try:
        yield broker
    finally:
        broker.close()


@contextmanager
def asking(broker: LeaseBroker, wish: Wish, **more: object) -> Iterator[Future[Lease]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(broker.acquire, wish, **more)  # type: ignore[arg-type]


def rounds(card: Card, count: int = 2) -> None:
    """Wait until the broker has looked at the card so often again."""
    seen = card.looks
    eventually(lambda: card.looks >= seen + count, f"{count} more rounds")


def test_a_lease_lasts_as_long_as_its_block() -> None:
    """It names its device, and nothing is left of it."""
    with a_broker(Card()) as broker:
        with broker.lease("transcriber", 4000, job=3) as lease:
            assert lease.gpu == broker.gpus[0]
            assert (lease.mib, lease.state) == (4000, LeaseState.LOADING)
            assert [entry.request.job for entry in broker.entries()] == [3]
        assert broker.entries() == []


def test_a_second_load_waits_for_the_first() -> None:
    """There is room for both; the driver's figure lags behind what loads."""
    with (
        a_broker(Card()) as broker,
        broker.lease("a", 3000) as first,
        asking(broker, Wish("b", 3000)) as asked,
    ):
        eventually(lambda: bool(broker.entries()[-1].why), "the second waits")
        assert not asked.done()
        first.loaded()
        asked.result(timeout=20).release()


def test_waiting_can_be_cancelled_and_leaves_nothing() -> None:
    """Whoever is next does not wait for somebody who went away."""
    stop = threading.Event()
    with a_broker(Card()) as broker, broker.lease("a", 9000) as first:
        first.loaded()
        with asking(broker, Wish("b", 9000), cancelled=stop.is_set) as asked:
            eventually(lambda: len(broker.entries()) == 2, "it waits")
            stop.set()
            with pytest.raises(JobCancelled):
                asked.result()
        eventually(lambda: len(broker.entries()) == 1, "the request is gone")


def test_what_it_waits_for_is_said_once() -> None:
    """In the log and for status, with the figures."""
    card = Card()
    with (
        capture_logs() as logs,
        a_broker(card) as broker,
        broker.lease("a", 9000, job=5) as first,
    ):
        first.loaded()
        with asking(broker, Wish("b", 2000)) as asked:
            eventually(lambda: "a 9000 MiB (job 5)" in broker.entries()[-1].why, "it says why")
            rounds(card)
            first.release()
            asked.result().release()
    said = [entry for entry in logs if entry["event"] == "waiting for memory"]
    assert len(said) == 1
    assert "waits for 2000 MiB of Card 0" in said[0]["why"]


def test_memory_that_others_hold_is_waited_for_and_then_named() -> None:
    """When nothing moves and nobody of ours is in the way, waiting has an end."""
    card = Card()
    card.foreign = 5000
    card.held = {os.getpid(): 4000}
    with a_broker(card, stall_s=0.5, cpu_fallback=True) as broker:
        with pytest.raises(LeaseError, match=r"2000 MiB.*1000 MiB are free.*nobody") as caught:
            broker.acquire(Wish("b", 2000))
        assert f"process {os.getpid()}, 4000 MiB" in caught.value.hint
        assert broker.acquire(Wish("b", 2000, cpu=True)).gpu is None


def test_waiting_for_somebody_who_works_has_no_end() -> None:
    """A long film is no lack of progress."""
    card, stall_s = Card(), 0.3
    with a_broker(card, stall_s=stall_s) as broker, broker.lease("a", 9000) as first:
        first.loaded()
        with asking(broker, Wish("b", 9000)) as asked:
            eventually(lambda: len(broker.entries()) == 2, "it waits")
            since_s = time.monotonic()
            eventually(lambda: time.monotonic() > since_s + 2 * stall_s, "twice the patience")
            rounds(card)
            assert not asked.done()
            first.release()
            asked.result(timeout=20).release()


def test_a_card_that_falls_off_the_bus_is_named() -> None:
    """Nothing is handed out of it; who waits for it hears what the driver said."""
    card = Card()
    with a_broker(card, stall_s=0.5) as broker:
        card.broken = True
        with pytest.raises(DeviceError, match="fell off the bus"):
            broker.acquire(Wish("b", 2000))
        card.broken = False
        broker.acquire(Wish("b", 2000)).release()


def test_a_lease_ends_with_its_process() -> None:
    """Also when nobody waits for that process's end: a zombie holds nothing."""
    card = Card()
    with a_broker(card) as broker:
        lease = broker.acquire(Wish("a", 9000, model="m"))
        process = subprocess.Popen(["sleep", "600"])
        try:
            lease.held_by(process.pid)
            card.take(process.pid, 8000)
            lease.loaded()
            eventually(lambda: lease.peak_mib == 8000, "the driver was asked")
            process.kill()
            eventually(lambda: lease.state is LeaseState.RECLAIMING, "the death was noticed")
            rounds(card)
            assert lease.state is LeaseState.RECLAIMING  # its memory is still there
            card.give(process.pid)
            eventually(lambda: lease.state is LeaseState.ENDED, "the lease is back")
            assert lease.release() == 0
        finally:
            process.kill()
            process.wait()


def test_where_nobody_tells_what_a_process_holds_the_difference_counts() -> None:
    """As in a container: the driver names processes of the host, or none."""
    card = Card()
    card.foreign = 1000
    with a_broker(card) as broker:
        lease = broker.acquire(Wish("a", 5000))
        lease.held_by(os.getpid())
        card.foreign = 4000
        lease.loaded()
        eventually(lambda: lease.peak_mib == 3000, "the difference was noted")
        card.foreign = 1200
        assert lease.release() == 200


def test_the_preferred_device_is_taken_while_it_has_room() -> None:
    """The plan says which; then the next one that would do."""
    with a_broker(Card(), cards=3) as broker:
        broker._prefer = lambda stage, gpus: sorted(gpus, key=lambda gpu: -gpu.index)
        first, second = broker.acquire(Wish("a", 9000)), broker.acquire(Wish("b", 9000))
        assert [lease.gpu.index for lease in (first, second) if lease.gpu] == [2, 1]
        fixed = broker.acquire(Wish("c", 9000, gpu=0))
        assert fixed.gpu is not None
        assert fixed.gpu.index == 0
        for lease in (first, second, fixed):
            lease.release()


@pytest.mark.parametrize(("mib", "fits"), [(9500, True), (9501, False)])
def test_a_request_larger_than_any_card_fails_at_once(mib: int, fits: bool) -> None:
    """Both sides of the limit; what the user says about an engine goes before the estimate."""
    with a_broker(Card(), engine_mib={"told": mib}) as broker:
        for wish in (Wish("a", mib), Wish("told", 1)):
            assert broker.has_gpu_for(wish) is fits
            if fits:
                broker.acquire(wish).release()
            else:
                with pytest.raises(LeaseError, match=r"9501 MiB.*9500 MiB to give"):
                    broker.acquire(wish)


def test_without_a_gpu_everything_runs_on_the_cpu_where_it_may() -> None:
    """And what cannot says that it needs one."""
    broker = LeaseBroker()
    lease = broker.acquire(Wish("a", 5000, cpu=True))
    assert (lease.gpu, lease.mib, lease.busy(), lease.release()) == (None, 0, True, 0)
    with pytest.raises(DeviceError, match="needs a GPU"):
        broker.acquire(Wish("a", 5000))
    with pytest.raises(DeviceError, match="needs a GPU"):
        LeaseBroker((), Rules(cpu_fallback=False)).acquire(Wish("a", 5000, cpu=True))


def test_a_holder_that_cannot_leave_stays_and_is_not_asked_again() -> None:
    """An error in its ending is logged; the lease goes on."""
    asked: list[int] = []

    def fail() -> None:
        asked.append(1)
        raise RuntimeError("no")

    card, stop = Card(), threading.Event()
    with capture_logs(), a_broker(card) as broker, broker.lease("a", 9000) as first:
        first.on_leave(fail)
        first.idle()
        with asking(broker, Wish("b", 9000), cancelled=stop.is_set) as second:
            eventually(lambda: bool(asked), "it was asked")
            eventually(lambda: first.state is LeaseState.IDLE, "it stays")
            assert first.busy()
            first.idle()
            rounds(card, 4)
            assert asked == [1]
            stop.set()
            with pytest.raises(JobCancelled):
                second.result()


def test_the_journal_tells_the_life_of_a_lease() -> None:
    """Asked, granted, computing, ended, with its peak."""
    card, pages = Card(), Pages()
    broker = LeaseBroker(
        [a_gpu(0, TOTAL)],
        Rules(),
        driver=card,
        journal=pages,
        owner="me",
    )
    with broker.lease("a", 3000, job=4) as lease:
        lease.held_by(os.getpid())
        card.take(os.getpid(), 2500)
        lease.loaded()
        eventually(lambda: any(row.peak_mib == 2500 for row in pages.rows), "the peak is written")
        card.give(os.getpid())
    broker.close()
    last = pages.rows[-1]
    assert [pages.rows[0].state, last.state] == ["loading", "ended"]
    assert (last.owner, last.job_id, last.device_name, last.mib) == ("me", 4, "Card 0", 3000)
    assert last.granted_at is not None
    assert last.ended_at is not None
    assert last.asked_at <= last.granted_at <= last.ended_at


def test_many_threads_never_take_more_than_there_is() -> None:
    """Real threads, random work, leases that rotate: all end, the card is never overdrawn."""
    card = Card()
    chance = random.Random(5)

    def work(number: int) -> None:
        for turn in range(3):
            mib = chance.randrange(500, 9000)
            lease = broker.acquire(Wish(f"w{number}", mib, priority=chance.randrange(-1, 2)))
            pid = 10_000_000 + number * 10 + turn
            lease.held_by(pid)  # dies at once: no such process
            card.take(pid, mib // 2)
            lease.loaded()
            card.take(pid, mib)
            time.sleep(chance.random() * 0.03)
            card.give(pid)
            lease.release()

    with a_broker(card) as broker:
        with ThreadPoolExecutor(8) as pool:
            for done in [pool.submit(work, number) for number in range(8)]:
                done.result(timeout=120)
        assert broker.entries() == []
    assert card.least_free >= 500


def test_turns_on_the_cpu_go_by_priority_and_then_by_age() -> None:
    """One at a time; who came first goes first among equals."""
    slots = CpuSlots(1)
    order: list[int] = []
    first = slots.acquire()
    threads = []

    def take(number: int, priority: int) -> None:
        with slots.turn(priority=priority):
            order.append(number)

    for number, priority in enumerate((0, 0, 1, -1)):
        threads.append(threading.Thread(target=take, args=(number, priority)))
        threads[-1].start()
        eventually(lambda: len(slots._waiting) == len(threads), "it waits")
    assert slots.wanted
    slots.release(first)
    for thread in threads:
        thread.join()
    assert order == [2, 0, 1, 3]
    assert not slots.wanted


def test_waiting_for_a_turn_can_be_cancelled() -> None:
    """The turn stays with whoever has it, and the next one still gets it."""
    slots = CpuSlots(1)
    with slots.turn(), pytest.raises(JobCancelled):
        slots.acquire(cancelled=lambda: True)
    with slots.turn():
        assert not slots.wanted
