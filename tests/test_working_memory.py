"""Who holds memory of a card while a job runs; engines in real processes, on a driver of ours."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.engines.base import EngineSpec, Need
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs
from dubarr_watch.gpu.devices import read_inventory
from dubarr_watch.gpu.opening import open_broker
from dubarr_watch.store.leases import LeaseRecord
from dubarr_watch.store.records import JobState
from tests.composing import Shop, make_talk, open_shop
from tests.gpu.fake_driver import FIRST, FakeDriver, build

KEEP_ALIVE_S = 300.0


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[FakeDriver]:
    folder = tmp_path / "driver"
    folder.mkdir()
    with build(folder, replace(FIRST, total_mib=12_000)).installed() as driver:
        yield driver


@pytest.fixture
def shop(tmp_path: Path, driver: FakeDriver) -> Iterator[Shop]:
    with open_shop(tmp_path, real_processes=True) as opened:
        store, settings = opened.store, opened.settings
        with open_broker(
            settings, inventory=read_inventory(), needs=store.needs, journal=store.leases,
            owner=opened.owner.id,
        ) as broker:  # fmt: skip
            opened.host = EngineHost(settings, broker)
            opened.specs = _placed(driver)
            yield opened
            opened.host.close()


def _placed(driver: FakeDriver) -> EngineSpecs:
    def spec(name: str, mib: int, keep_alive_s: float = 0.0) -> EngineSpec:
        return EngineSpec(
            f"tests.full_fakes:Placed{name}",
            {"driver": driver.folder},
            need=Need(name.lower(), mib, cpu=False, keep_alive_s=keep_alive_s),
        )

    return EngineSpecs(
        transcriber=spec("Transcriber", 3000),
        diarizer=spec("Diarizer", 2000),
        translator=spec("Translator", 8000, KEEP_ALIVE_S),
        synthesizer=spec("Synthesizer", 5000, KEEP_ALIVE_S),
        listener=EngineSpec("dubarr_watch.engines.fakes:FakeTranscriber"),
    )


def leases_of(shop: Shop) -> list[LeaseRecord]:
    """Return every lease there was, oldest first."""
    return shop.store.leases.recent(100)[::-1]


def test_whisper_and_diarization_are_gone_before_anything_is_spoken(shop: Shop) -> None:
    """Their leases end, with their processes, before that of the voice begins."""
    ended = shop.dub(make_talk(shop.videos / "Film.mkv"), "es", "fr")
    assert ended.job.state in (JobState.DONE, JobState.DONE_WITH_WARNINGS), ended.job.reason
    leases = leases_of(shop)
    assert {lease.stage for lease in leases} == {
        "transcriber", "diarizer", "translator", "synthesizer",
    }  # fmt: skip
    speaking = min(lease.granted_at for lease in leases if lease.stage == "synthesizer"
                   and lease.granted_at)  # fmt: skip
    for lease in leases:
        if lease.stage in ("transcriber", "diarizer"):
            assert lease.ended_at is not None
            assert lease.ended_at <= speaking, lease


def test_nothing_is_held_when_the_job_has_ended(shop: Shop, driver: FakeDriver) -> None:
    """What was kept warm for it goes with it."""
    shop.dub(make_talk(shop.videos / "Film.mkv"))
    assert shop.store.leases.current() == []
    (gpu,) = read_inventory().gpus
    assert (gpu.used_mib, gpu.processes) == (0, ())


def test_what_does_not_fit_together_takes_turns(shop: Shop) -> None:
    """8 and 5 GB on a card of 12: the model leaves for the voice, and nobody runs out."""
    shop.dub(make_talk(shop.videos / "Film.mkv"), "es", "fr")
    large = [one for one in leases_of(shop) if one.stage in ("translator", "synthesizer")]
    for one, other in itertools.pairwise(large):
        assert one.ended_at is not None
        assert other.granted_at is not None
        assert one.ended_at <= other.granted_at, (one, other)


def test_each_engine_was_seen_to_hold_what_it_holds(shop: Shop) -> None:
    """It is what the next plan is made with."""
    shop.dub(make_talk(shop.videos / "Film.mkv"))
    assert shop.store.needs.peaks() == {
        "transcriber": 3000, "diarizer": 2000, "translator": 8000, "synthesizer": 5000,
    }  # fmt: skip
