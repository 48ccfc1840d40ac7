"""The broker on a driver that hangs: a card that dies holds up nobody who wants another."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dubarr_watch.errors import DeviceError
from dubarr_watch.gpu import nvml
from dubarr_watch.gpu.devices import read_inventory
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Rules, Wish
from tests.gpu.fake_driver import FIRST, SECOND, FakeDriver, build
from tests.waiting import DEADLINE_S, eventually


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    monkeypatch.setattr(nvml, "ANSWER_S", 0.4)
    with build(tmp_path).installed() as installed:
        yield installed


def test_leases_of_other_cards_go_on_while_one_hangs(driver: FakeDriver) -> None:
    broker = LeaseBroker(read_inventory().gpus, Rules(margin_mib=0, stall_s=2.0, cpu_slots=1))
    try:
        held = broker.acquire(Wish("llm", 8000, gpu=0))
        held.held_by(os.getpid())
        held.loaded()
        driver.hang(FIRST.uuid)
        for _ in range(3):
            with broker.lease("voice", 20_000) as lease:
                assert lease.gpu is not None
                assert lease.gpu.uuid == SECOND.uuid
        held.release()
        with pytest.raises(DeviceError, match="nothing for"):
            broker.acquire(Wish("voice", 8000, gpu=0))
        assert sum(thread.name == "driver" for thread in threading.enumerate()) == 1
        driver.find_again(FIRST.uuid)
        eventually(lambda: not any(t.name == "driver" for t in threading.enumerate()))
        with broker.lease("voice", 20_000) as lease, broker.lease("voice", 15_000) as other:
            assert {one.gpu.uuid for one in (lease, other) if one.gpu} == {FIRST.uuid, SECOND.uuid}
    finally:
        driver.find_again(FIRST.uuid)
        broker.close()


def test_who_waits_for_a_card_that_hangs_can_be_cancelled(driver: FakeDriver) -> None:
    broker = LeaseBroker(read_inventory().gpus, Rules(margin_mib=0, cpu_slots=1))
    cancelled = threading.Event()
    try:
        driver.hang(FIRST.uuid)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(
                broker.acquire, Wish("voice", 8000, gpu=0), cancelled=cancelled.is_set
            )
            eventually(lambda: any("not answer" in entry.why for entry in broker.entries()))
            cancelled.set()
            assert "cancelled" in str(waiting.exception(DEADLINE_S))
    finally:
        driver.find_again(FIRST.uuid)
        broker.close()
