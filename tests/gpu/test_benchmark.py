"""The GPU benchmark where there is no GPU, and its lease part on a driver that tests compile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import soundfile

from benchmarks import gpu
from benchmarks.gpu_leases import Card as CardUnderTest
from benchmarks.gpu_leases import killed, two_at_once
from benchmarks.gpu_models import Load
from benchmarks.gpu_table import EngineRow, Fact, as_page, file_name
from benchmarks.gpu_watch import seconds_until_free, watched
from dubarr_watch.engines.base import EngineSpec, Transcriber
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.errors import EngineCrashed
from dubarr_watch.gpu.devices import read_inventory
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Rules
from dubarr_watch.settings import load_settings
from tests.gpu.fake_driver import FIRST, SECOND, FakeDriver, build, no_driver
from tests.tiny import speech


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeDriver]:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with build(tmp_path).installed() as installed:
        yield installed


@pytest.fixture
def card(driver: FakeDriver, tmp_path: Path) -> Iterator[CardUnderTest]:
    settings = load_settings(config_dir=tmp_path / "config")
    first = read_inventory().gpus[0]
    broker = LeaseBroker([first], Rules.of(settings))
    host = EngineHost(settings, broker=broker)
    yield CardUnderTest(host, broker, first, tmp_path)
    host.close()
    broker.close()


def test_without_a_gpu_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """And ends at once, with nothing written."""
    with no_driver():
        assert gpu.main(["--save"]) == 4
    said = capsys.readouterr()
    assert said.out == ""
    assert "No NVIDIA GPU to measure: There is no NVIDIA driver" in said.err


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        gpu.main(["--only", "devices,everything"])
    assert "devices, leases, engines, voice" in capsys.readouterr().err


def test_devices_are_mapped(driver: FakeDriver, capsys: pytest.CaptureFixture[str]) -> None:
    """CUDA may count them in another order than NVML."""
    driver.set(cuda_order=[SECOND.uuid, FIRST.uuid])
    assert gpu.main(["--only", "devices"]) == 0
    page = capsys.readouterr().out
    assert f"| CUDA device 0: NVIDIA GeForce RTX 3090 | NVML 1, {SECOND.uuid} |" in page
    assert f"| CUDA device 1: NVIDIA GeForce RTX 3090 | NVML 0, {FIRST.uuid} |" in page


def test_a_device_that_nvml_does_not_know_is_a_failure(
    driver: FakeDriver, capsys: pytest.CaptureFixture[str]
) -> None:
    driver.set(cuda_code=999)
    assert gpu.main(["--only", "devices"]) == 1
    assert "| devices | failed: CUDA does not start" in capsys.readouterr().out


def test_the_page_names_card_and_goals(driver: FakeDriver) -> None:
    """Every figure has its unit, every goal whether it was reached."""
    inventory = read_inventory()
    rows = [EngineRow("whisper base", 1.25, 700, 0, 600.0, 12.0)]
    facts = [Fact("batched", "6.1 times", "at least 5 times", True), Fact("left", "9", "0", False)]
    page = as_page(inventory, inventory.gpus[0], rows, facts)
    assert "NVIDIA GeForce RTX 3090, 24000 MiB, driver 580.65.06" in page
    assert "| whisper base | 1.2 | 700 | 0 | 600 | 12.0 | 0.020 |" in page
    assert "| batched | 6.1 times | at least 5 times: reached |" in page
    assert "| left | 9 | 0: MISSED |" in page
    assert file_name(inventory.gpus[0]).startswith("gpu-nvidia-geforce-rtx-3090-2")


def test_one_part_that_fails_leaves_the_others() -> None:
    """The page says what failed, and the exit code that something did."""
    results = gpu.Results()

    def broken() -> None:
        raise EngineCrashed("It died.")

    results.attempt("pyannote", broken)

    def other() -> None:
        raise ValueError("No such\nshape.")

    results.attempt("htdemucs", other)
    results.attempt("whisper", lambda: results.facts.append(Fact("whisper", "fine")))
    assert [fact.value for fact in results.facts] == [
        "failed: It died.",
        r"failed: ValueError('No such\nshape.')",
        "fine",
    ]
    assert results.missed()


def test_an_engine_is_measured_from_its_start_to_its_end(
    driver: FakeDriver, tmp_path: Path
) -> None:
    """Loading is told apart from work, and memory that stays behind is seen."""
    recording = tmp_path / "speech.wav"
    soundfile.write(recording, speech.speak(1.0), speech.RATE)
    spec = EngineSpec("dubarr_watch.engines.fakes:FakeTranscriber")

    def work(engine: Transcriber) -> None:
        engine.transcribe(recording)
        driver.set_used(FIRST.uuid, 70)

    load = Load("fake", "transcriber", lambda: spec, 10.0, work)
    host = EngineHost(load_settings(config_dir=tmp_path / "config"))
    row = gpu.run(host, read_inventory().gpus[0], load)
    assert row.load_s > 0
    assert row.left_mib == 70
    assert row.real_time_factor == row.busy_s / 10.0


def test_memory_is_watched(driver: FakeDriver) -> None:
    """What was used before does not count, what stays behind does."""
    driver.set_used(FIRST.uuid, 1000)
    with watched(FIRST.uuid) as seen:
        driver.set_used(FIRST.uuid, 5000)
        assert seconds_until_free(FIRST.uuid, 4999, longest_s=0.3) >= 0.3
        driver.set_used(FIRST.uuid, 1100)
    assert (seen.before_mib, seen.peak_mib, seen.left_mib) == (1000, 4000, 100)


def test_of_two_requests_for_more_than_a_card_holds_one_waits(card: CardUnderTest) -> None:
    """Through real worker processes that hold memory of the card."""
    (fact,) = two_at_once(card)
    assert fact.reached, fact


def test_the_lease_of_a_killed_worker_comes_back(card: CardUnderTest, driver: FakeDriver) -> None:
    """In mid-run, with signal 9; the driver shows its memory as free some reads later."""
    driver.set(cuda_linger=4)
    free, granted = killed(card)
    assert granted.reached, granted
    assert free.value.endswith(" s")
