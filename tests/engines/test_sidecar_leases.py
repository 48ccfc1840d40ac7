"""The speech process under leases: a program that speaks its protocol, a driver of ours."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dubarr_watch.engines.base import EngineSpec, Need, Synthesizer
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.sidecar_process import remove_scratch_of_the_dead
from dubarr_watch.errors import OutOfMemory
from dubarr_watch.gpu.entries import LeaseState
from tests.engines.test_host_leases import (
    CARD,
    ROOT,
    a_host,
    hungry,
    lives,
    speak,
    states,
)
from tests.gpu.fake_driver import FakeDriver, build
from tests.waiting import eventually


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


def voice(driver: FakeDriver, folder: Path, mib: int = 4000) -> EngineSpec:
    """Return the speech engine with the program in place of its interpreter."""
    program = folder / "python"
    program.write_text(
        f"#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} "
        f'{ROOT}/tests/engines/speech_program.py {driver.folder} "$@"\n',
        encoding="utf-8",
    )
    program.chmod(0o755)
    options = {
        "engine": "xtts",
        "models_dir": folder,
        "port": 0,
        "threads": 1,
        "python": program,
    }
    target = "dubarr_watch.engines.sidecar:SidecarSynthesizer"
    return EngineSpec(target, options, owns_process=True, need=Need("xtts", mib))


def say(synthesizer: Synthesizer, folder: Path) -> None:
    synthesizer.synthesize("Hola", language="es", voice="x", speed=1.0, target=folder / "a.wav")


def pid_of(synthesizer: Synthesizer) -> int:
    pid = synthesizer.pid  # type: ignore[attr-defined]
    assert isinstance(pid, int)
    return pid


def test_the_speech_process_runs_under_a_lease(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """Idle between lines, given back at the end, with what it held."""
    with host.engine("synthesizer", voice(driver, tmp_path)) as synthesizer:
        assert states(host.broker) == []
        say(synthesizer, tmp_path)
        assert states(host.broker) == [LeaseState.IDLE]
        arguments = psutil.Process(pid_of(synthesizer)).cmdline()
        assert arguments[arguments.index("--uuid") + 1] == CARD.uuid
        assert arguments[arguments.index("--mib") + 1] == "4000"
        eventually(lambda: host.broker.entries()[0].peak_mib == 3900, "it was measured")
    assert states(host.broker) == []
    assert (host.usage[0].peak_gpu_mib, host.usage[0].left_gpu_mib) == (3900, 0)


def test_the_speech_process_leaves_between_lines_for_one_that_waits(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """Its next line starts it again."""
    with host.engine("synthesizer", voice(driver, tmp_path)) as synthesizer:
        say(synthesizer, tmp_path)
        before = pid_of(synthesizer)
        assert speak(host, hungry(driver, 6000), tmp_path / "a")
        assert not lives(before)
        say(synthesizer, tmp_path)
        assert pid_of(synthesizer) != before


def test_a_killed_speech_process_gives_its_lease_back(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """While nobody speaks, too; the next line does not notice."""
    with host.engine("synthesizer", voice(driver, tmp_path)) as synthesizer:
        say(synthesizer, tmp_path)
        os.kill(pid_of(synthesizer), signal.SIGKILL)
        eventually(lambda: states(host.broker) == [], "the lease is back", deadline_s=5.0)
        say(synthesizer, tmp_path)


def test_a_warm_speech_process_is_taken_over(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """The next language of a job finds the voice loaded."""
    spec = voice(driver, tmp_path)
    spec = EngineSpec(
        spec.target, spec.options, owns_process=True, need=Need("xtts", 4000, keep_alive_s=600.0)
    )
    pids = []
    for _ in range(2):
        with host.engine("synthesizer", spec, job=1) as synthesizer:
            say(synthesizer, tmp_path)
            pids.append(pid_of(synthesizer))
    assert pids[0] == pids[1]
    host.end_job(1)
    assert not lives(pids[0])


def test_speech_that_runs_out_of_memory_is_tried_once_more_alone(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """The second process is frugal, and stays so for the lines that follow."""
    (driver.folder / "burst").touch()
    with host.engine("synthesizer", voice(driver, tmp_path)) as synthesizer:
        say(synthesizer, tmp_path)
        pid = pid_of(synthesizer)
        assert "--frugal" in psutil.Process(pid).cmdline()
        say(synthesizer, tmp_path)
        assert pid_of(synthesizer) == pid
    assert len(host.usage) == 2


def test_speech_that_runs_out_of_memory_twice_fails_with_the_figures(
    host: EngineHost, driver: FakeDriver, tmp_path: Path
) -> None:
    """On which card, how much it was given."""
    (driver.folder / "burst-always").touch()
    with (
        host.engine("synthesizer", voice(driver, tmp_path)) as synthesizer,
        pytest.raises(OutOfMemory, match=r"ran out of memory.*RTX 3090.*given 7488 MiB"),
    ):
        say(synthesizer, tmp_path)
    assert len(host.usage) == 2
    assert states(host.broker) == []


def test_what_a_killed_speech_process_left_is_gone_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of a process that lives stays, and so does everybody else's."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = [f"dubarr-watch-speech-{pid}-x" for pid in (gone.pid, os.getpid(), os.getppid())]
    for name in (*names, "dubarr-watch-speech-x", "other"):
        (tmp_path / name).mkdir()
    remove_scratch_of_the_dead()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {names[2], "dubarr-watch-speech-x", "other"}
