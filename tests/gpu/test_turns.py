"""Who computes on the CPU, as onlookers see it."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.errors import StoreError
from dubarr_watch.gpu import turns
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Rules
from dubarr_watch.settings import load_settings
from dubarr_watch.store.turns import TurnRecord
from tests.waiting import DEADLINE_S, eventually

Seen = list[tuple[str, int | None, bool]]


class Pages:
    """A journal on paper; its first page is torn when told to."""

    def __init__(self, torn: int = 0) -> None:
        self.pages: list[Seen] = []
        self._torn = torn

    def save(self, owner: str, turns: Iterable[TurnRecord]) -> None:
        if self._torn:
            self._torn -= 1
            raise StoreError("The page is torn.")
        self.pages.append([(one.stage, one.job_id, one.computes) for one in turns])

    @property
    def now(self) -> Seen:
        return self.pages[-1] if self.pages else []


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_EVERY_S", 0.02)
    monkeypatch.setattr(turns, "LINGERS_S", 0.3)


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def broker(pages: Pages) -> Iterator[LeaseBroker]:
    opened = LeaseBroker((), Rules(cpu_slots=1), turn_journal=pages, owner="me")
    yield opened
    opened.close()


def keepers() -> int:
    return sum(thread.name == "turns" for thread in threading.enumerate())


def test_who_computes_and_who_waits_is_written_down(broker: LeaseBroker, pages: Pages) -> None:
    """And nothing stays when it is over; then no thread looks any more."""
    first = broker.slots.acquire(stage="translator", job=1)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(broker.slots.acquire, stage="synthesizer", job=2)
        both = [("translator", 1, True), ("synthesizer", 2, False)]
        eventually(lambda: pages.now == both)
        broker.slots.release(first)
        place = second.result(DEADLINE_S)
    eventually(lambda: pages.now == [("synthesizer", 2, True)])
    broker.slots.release(place)
    eventually(lambda: pages.now == [] and not keepers())
    with broker.turn():
        eventually(lambda: len(pages.now) == 1)


def test_many_calls_are_one_entry(broker: LeaseBroker, pages: Pages) -> None:
    """A line of speech takes a second; nobody wants to read of each."""
    first = broker.slots.acquire(stage="synthesizer", job=1)
    eventually(lambda: pages.now)
    broker.slots.release(first)
    for _ in range(50):
        broker.slots.release(broker.slots.acquire(stage="synthesizer", job=1))
    eventually(lambda: pages.now == [])
    assert pages.pages == [[("synthesizer", 1, True)], []]


def test_who_gives_up_waits_no_more(broker: LeaseBroker, pages: Pages) -> None:
    cancelled = threading.Event()
    with broker.turn(), ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(broker.slots.acquire, stage="diarizer", cancelled=cancelled.is_set)
        eventually(lambda: ("diarizer", None, False) in pages.now)
        cancelled.set()
        assert waiting.exception(DEADLINE_S) is not None
        eventually(lambda: ("diarizer", None, False) not in pages.now)


def test_a_journal_that_fails_is_tried_again() -> None:
    pages = Pages(torn=2)
    broker = LeaseBroker((), Rules(cpu_slots=1), turn_journal=pages, owner="me")
    with broker.turn():
        eventually(lambda: len(pages.now) == 1)
    broker.close()
    assert pages.now == []
    assert not keepers()


def test_an_engine_on_the_cpu_is_named_with_its_job(
    broker: LeaseBroker, pages: Pages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    host = EngineHost(load_settings(config_dir=tmp_path), broker)
    spec = EngineSpec("tests.engines.odd_engines:OddDiarizer")
    with host.engine("diarizer", spec, job=7) as diarizer:
        diarizer.diarize(tmp_path / "crawl", [])
    assert [("diarizer", 7, True)] in pages.pages
