"""The host under leases: real processes, the real pynvml, a driver of ours, no GPU."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Unpack

import psutil
import pytest

from dubarr_watch.engines.base import EngineSpec, Need
from dubarr_watch.engines.host import EngineHost, Watch
from dubarr_watch.errors import (
    DeviceError,
    EngineCrashed,
    JobCancelled,
    LeaseError,
    OutOfMemory,
)
from dubarr_watch.gpu.entries import LeaseState
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.opening import open_broker
from dubarr_watch.settings import load_settings
from tests.gpu.fake_driver import Card, FakeDriver, build
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
CARD = Card("GPU-11111111-aaaa-4bbb-8ccc-000000000001", total_mib=8000)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[FakeDriver]:
    with build(tmp_path, CARD).installed() as driver:
        yield driver


@pytest.fixture
def host(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[EngineHost]:
    with a_host(monkeypatch, tmp_path) as host:
        yield host


@contextmanager
def a_host(monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: Any) -> Iterator[EngineHost]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    loaded = load_settings(config_dir=folder / "config", models_dir=folder / "models", **settings)
    with open_broker(loaded) as broker:
        host = EngineHost(loaded, broker)
        yield host
        host.close()


def hungry(
    driver: FakeDriver, mib: int = 3000, *, asks: int | None = None, **more: Any
) -> EngineSpec:
    need = Need("hungry", mib if asks is None else asks, **more)
    options = {"driver": driver.folder, "mib": mib}
    return EngineSpec("tests.engines.gpu_engines:HungryDiarizer", options, need=need)


def states(broker: LeaseBroker) -> list[LeaseState]:
    return [entry.state for entry in broker.entries()]


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def working(folder: Path) -> list[int]:
    return [int(path.name.partition("-")[2]) for path in folder.glob("works-*")]


@contextmanager
def in_background(work: Callable[[], object]) -> Iterator[Future[object]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(work)


def speak(host: EngineHost, spec: EngineSpec, audio: Path, **watch: Unpack[Watch]) -> int:
    """Run one call in a block of its own; returns the process that answered."""
    with host.engine("diarizer", spec, **watch) as diarizer:
        return diarizer.diarize(audio, [])[0].speaker


def test_a_process_gets_one_device_and_its_memory_is_back_after_it(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """It is told where it runs, sees nothing else, and its peak and what it left are known."""
    speak(host, hungry(driver, asks=4000), tmp_path / "place_told")
    told = (tmp_path / "place.txt").read_text(encoding="utf-8")
    assert told == f"cuda {CARD.uuid} 4000 False {CARD.uuid}"
    assert states(host.broker) == []
    assert (host.usage[0].peak_gpu_mib, host.usage[0].left_gpu_mib) == (3000, 0)


def test_memory_that_comes_back_late_is_waited_for(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """The block ends when the driver counts the memory as free, and not with the process."""
    spec = hungry(driver)
    late = replace(spec, options={**spec.options, "linger_reads": 4})
    speak(host, late, tmp_path / "a")
    assert states(host.broker) == []
    assert host.usage[0].left_gpu_mib == 0


def test_memory_that_does_not_come_back_is_named_and_not_handed_out(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """After a while the lease ends all the same; what the driver does not call free stays out."""
    spec = hungry(driver)
    speak(host, replace(spec, options={**spec.options, "linger_reads": 10**6}), tmp_path / "a")
    assert host.usage[0].left_gpu_mib == 3000
    speak(host, hungry(driver, 4000), tmp_path / "a")  # 8000 less 3000 less the margin: fits
    stop = threading.Event()
    with in_background(
        lambda: speak(host, hungry(driver, 5000), tmp_path / "a", cancelled=stop.is_set)
    ) as waits:
        eventually(lambda: states(host.broker) == [LeaseState.WAITING], "it waits")
        stop.set()
        with pytest.raises(JobCancelled):
            waits.result()


def test_an_idle_engine_leaves_for_one_that_waits_and_comes_back(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """Two that do not fit together take turns; nothing fails, each call finds a process."""
    with host.engine("diarizer", hungry(driver, 5000)) as first:
        one = first.diarize(tmp_path / "a", [])[0].speaker
        other = speak(host, hungry(driver, 6000), tmp_path / "a")
        assert not lives(one)
        assert not lives(other)
        again = first.diarize(tmp_path / "a", [])[0].speaker
        assert again not in (one, other)
    assert states(host.broker) == []


def test_a_busy_engine_is_not_asked_to_leave(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """Who does not fit beside it waits until its call has ended."""
    spec = hungry(driver, 5000)
    with in_background(lambda: speak(host, spec, tmp_path / "work")) as first:
        eventually(lambda: len(working(tmp_path)) == 1, "the first works")
        pid = working(tmp_path)[0]
        with in_background(lambda: speak(host, hungry(driver, 6000), tmp_path / "a")) as second:
            eventually(lambda: LeaseState.WAITING in states(host.broker), "the second waits")
            assert lives(pid)
            assert not second.done()
            (tmp_path / "enough").touch()
            assert first.result() == pid
            assert second.result() != pid


def test_engines_that_fit_work_side_by_side(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """Two leases of one card at a time, each with its process."""
    spec = hungry(driver, 3000)
    with (
        in_background(lambda: speak(host, spec, tmp_path / "work")) as first,
        in_background(lambda: speak(host, spec, tmp_path / "work")) as second,
    ):
        eventually(lambda: len(working(tmp_path)) == 2, "both work")
        assert states(host.broker) == [LeaseState.BUSY] * 2
        (tmp_path / "enough").touch()
        assert first.result() != second.result()


def test_a_killed_process_gives_its_lease_back(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """In the middle of a call: the call fails, the memory is there for the next one."""
    with in_background(lambda: speak(host, hungry(driver, 6000), tmp_path / "work")) as call:
        eventually(lambda: len(working(tmp_path)) == 1, "it works")
        os.kill(working(tmp_path)[0], signal.SIGKILL)
        with pytest.raises(EngineCrashed, match="SIGKILL"):
            call.result()
    assert states(host.broker) == []
    assert speak(host, hungry(driver, 6000), tmp_path / "a")


def test_a_process_killed_while_idle_gives_its_lease_back_and_is_replaced(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """Nobody has to call it for that; its next call does not notice."""
    with host.engine("diarizer", hungry(driver, 6000)) as diarizer:
        pid = diarizer.diarize(tmp_path / "a", [])[0].speaker
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: states(host.broker) == [], "the lease is back", deadline_s=5.0)
        assert diarizer.diarize(tmp_path / "a", [])[0].speaker != pid


def test_an_engine_is_kept_warm_for_the_next_block(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """A block that asks for the same takes the process over, one that asks for another does not."""
    spec = hungry(driver, 2000, keep_alive_s=600.0)
    pid = speak(host, spec, tmp_path / "a", job=1)
    assert lives(pid)
    assert speak(host, spec, tmp_path / "a", job=1) == pid
    assert speak(host, hungry(driver, 2001, keep_alive_s=600.0), tmp_path / "a", job=2) != pid
    host.end_job(1)
    assert not lives(pid)
    assert states(host.broker) == [LeaseState.IDLE]
    host.close()
    assert states(host.broker) == []


def test_keeping_warm_has_an_end(host: EngineHost, driver: FakeDriver, tmp_path: Path) -> None:
    """After its time an idle engine ends by itself."""
    pid = speak(host, hungry(driver, 2000, keep_alive_s=0.3), tmp_path / "a")
    eventually(lambda: not lives(pid), "it has ended")
    eventually(lambda: states(host.broker) == [], "the lease is back")


def test_a_warm_engine_leaves_for_one_that_waits(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """Staying loaded is a favour that ends when somebody needs the memory."""
    pid = speak(host, hungry(driver, 5000, keep_alive_s=600.0), tmp_path / "a", job=1)
    assert speak(host, hungry(driver, 6000), tmp_path / "a", job=2)
    assert not lives(pid)


def test_an_error_ends_an_engine_that_would_stay_warm(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """What was going on in it nobody knows."""
    spec = hungry(driver, 2000, keep_alive_s=600.0)
    with pytest.raises(ZeroDivisionError), host.engine("diarizer", spec) as diarizer:
        1 / (diarizer.diarize(tmp_path / "a", [])[0].start_s)
    assert states(host.broker) == []


def test_out_of_memory_is_tried_once_more_alone(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """The second process has the device for itself, all of it, and is told to be frugal."""
    warm = speak(host, hungry(driver, 1000, keep_alive_s=600.0), tmp_path / "a")
    with host.engine("diarizer", hungry(driver, 2000)) as diarizer:
        diarizer.diarize(tmp_path / "burst", [])
        diarizer.diarize(tmp_path / "place_told", [])
    assert not lives(warm)
    told = (tmp_path / "place.txt").read_text(encoding="utf-8").split()
    assert told[2:4] == [str(8000 - 512), "True"]


def test_out_of_memory_twice_fails_with_the_figures(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """Asked, given, held and free, and on which card."""
    with pytest.raises(OutOfMemory) as caught:
        speak(host, hungry(driver, 2000), tmp_path / "burst_always")
    for figure in ("ALLOC_FAILED", CARD.name, "8000 MiB", "2000 MiB", "7488 MiB", "free now"):
        assert figure in caught.value.message
    assert len(host.usage) == 2
    assert states(host.broker) == []


def test_what_is_too_large_runs_on_the_cpu_where_it_may(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """And sees no GPU there."""
    speak(host, hungry(driver, 9000), tmp_path / "place_told")
    assert (tmp_path / "place.txt").read_text(encoding="utf-8") == "cpu  0 False "


def test_what_is_too_large_and_may_not_fails_at_once_with_the_figures(
    monkeypatch: pytest.MonkeyPatch, driver: FakeDriver, tmp_path: Path
) -> None:
    """Nobody waits for what can never be."""
    with a_host(monkeypatch, tmp_path, cpu_fallback=False) as host:
        with pytest.raises(LeaseError, match=r"9000 MiB.*RTX 3090.*7488 MiB"):
            speak(host, hungry(driver, 9000), tmp_path / "a")
        with pytest.raises(DeviceError, match="no GPU 3"):
            speak(host, hungry(driver, 100, gpu=3), tmp_path / "a")
        assert host.usage == []


def test_a_process_that_sees_another_card_refuses_to_load(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """It asks CUDA itself; nothing is loaded on a card that was not leased."""
    driver.set(cuda_code=100)
    with pytest.raises(DeviceError):
        speak(host, hungry(driver), tmp_path / "a")
    assert states(host.broker) == []


def test_what_was_measured_is_asked_for_next_time(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """The estimate said 1000 MiB, the driver saw 3000: the next lease is for more than that."""
    known: dict[tuple[str, str], int] = {}

    class Notes:
        def peak_mib(self, model: str, device: str) -> int | None:
            return known.get((model, device))

        def keep(self, model: str, device: str, mib: int) -> None:
            known[model, device] = mib

    host.broker.needs = Notes()
    speak(host, hungry(driver, 3000, asks=1000), tmp_path / "a")
    assert known == {("hungry", CARD.name): 3000}
    speak(host, hungry(driver, 3000, asks=1000), tmp_path / "place_told")
    assert (tmp_path / "place.txt").read_text(encoding="utf-8").split()[2] == "3300"


def test_engines_take_turns_on_the_cpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one slot the second call begins when the first has ended, with two at once."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    spec = EngineSpec("tests.engines.gpu_engines:HungryDiarizer", {"driver": tmp_path, "mib": 0})
    for slots in (1, 2):
        folder = tmp_path / str(slots)
        folder.mkdir()
        host = EngineHost(load_settings(config_dir=folder, cpu_slots=slots))
        with (
            in_background(lambda: speak(host, spec, folder / "work")) as first,  # noqa: B023
            in_background(lambda: speak(host, spec, folder / "work")) as second,  # noqa: B023
        ):
            eventually(lambda: len(working(folder)) == slots, "they work")  # noqa: B023
            assert host.broker.slots.wanted is (slots == 1)
            (folder / "enough").touch()
            assert first.result() != second.result()
