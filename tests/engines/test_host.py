from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from structlog.testing import capture_logs

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.errors import EngineCrashed, EngineError, EngineStuck, JobCancelled, NoAudio
from dubarr_watch.settings import load_settings
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
ODD = EngineSpec("tests.engines.odd_engines:OddDiarizer")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> EngineHost:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return EngineHost(load_settings(config_dir=tmp_path / "config"))


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_an_engine_runs_in_one_process_that_ends_with_the_block(
    host: EngineHost, tmp_path: Path
) -> None:
    """Two calls reach the same process; afterwards it is gone, without a zombie."""
    with host.engine("diarizer", ODD) as diarizer:
        first = diarizer.diarize(tmp_path / "a", [])[0].speaker
        second = diarizer.diarize(tmp_path / "b", [])[0].speaker
        assert first == second != os.getpid()
    assert not psutil.pid_exists(first)
    assert children() == []


def test_blocks_of_one_job_share_an_engine(host: EngineHost, tmp_path: Path) -> None:
    """Two languages at a time need the model once; another job has its own."""
    with host.engine("diarizer", ODD, job=1) as spanish:
        first = spanish.diarize(tmp_path / "a", [])[0].speaker
        with (
            host.engine("diarizer", ODD, job=1) as french,
            host.engine("diarizer", ODD, job=2) as other,
            host.engine("diarizer", ODD) as nobodys,
        ):
            assert french.diarize(tmp_path / "b", [])[0].speaker == first
            others = {one.diarize(tmp_path / "c", [])[0].speaker for one in (other, nobodys)}
            assert len(others | {first}) == 3
        assert psutil.pid_exists(first)
        assert spanish.diarize(tmp_path / "d", [])[0].speaker == first
    assert not psutil.pid_exists(first)


def test_a_block_that_fails_leaves_the_engine_to_the_others(
    host: EngineHost, tmp_path: Path
) -> None:
    with host.engine("diarizer", ODD, job=1) as spanish:
        first = spanish.diarize(tmp_path / "a", [])[0].speaker
        with pytest.raises(EngineError), host.engine("diarizer", ODD, job=1):
            raise EngineError("Nothing came of it.")
        assert spanish.diarize(tmp_path / "b", [])[0].speaker == first
    assert children() == []


def test_blocks_that_begin_at_a_time_open_one_engine(host: EngineHost, tmp_path: Path) -> None:
    speakers: list[int] = []
    together = threading.Barrier(4)

    def work() -> None:
        together.wait(20)
        with host.engine("diarizer", ODD, job=1) as diarizer:
            speakers.append(diarizer.diarize(tmp_path / "a", [])[0].speaker)
            together.wait(20)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(speakers) == 4
    assert len(set(speakers)) == 1


def test_an_engine_that_is_not_called_starts_no_process(host: EngineHost) -> None:
    """A stage whose work turns out to be done costs nothing."""
    with host.engine("diarizer", ODD):
        assert children() == []
    assert host.usage == []


def test_progress_crosses_the_process_boundary(host: EngineHost, tmp_path: Path) -> None:
    """The caller's callback is called in the caller's thread while the engine works."""
    seen: list[tuple[float, float, str]] = []
    with host.engine("diarizer", ODD) as diarizer:
        diarizer.diarize(
            tmp_path / "crawl",
            [],
            progress=lambda done, total: seen.append(
                (done, total, threading.current_thread().name)
            ),
        )
    assert [step[:2] for step in seen] == [(n, 8) for n in range(8)]
    assert {step[2] for step in seen} == {threading.current_thread().name}


def test_an_error_of_ours_arrives_whole(host: EngineHost, tmp_path: Path) -> None:
    """Kind, message, hint and path survive the pipe, and the process lives on."""
    with host.engine("diarizer", ODD) as diarizer:
        with pytest.raises(NoAudio) as caught:
            diarizer.diarize(tmp_path / "refuse", [])
        assert caught.value.hint == "Bring some."
        assert caught.value.path == tmp_path / "refuse"
        assert diarizer.diarize(tmp_path / "a", [])


def test_any_other_error_becomes_an_engine_error(host: EngineHost, tmp_path: Path) -> None:
    """The message names the error; the log has the child's traceback."""
    with (
        capture_logs() as logs,
        host.engine("diarizer", ODD) as diarizer,
        pytest.raises(EngineError, match="ZeroDivisionError: nothing is left"),
    ):
        diarizer.diarize(tmp_path / "stumble", [])
    lines = [entry["line"] for entry in logs if entry["event"] == "engine output"]
    assert any("in _stumble" in line for line in lines)


def test_an_engine_that_cannot_be_built_says_why(host: EngineHost, tmp_path: Path) -> None:
    """A wrong argument is an EngineError, and the next call does not pretend that it works."""
    spec = EngineSpec(ODD.target, {"colour": "red"})
    with host.engine("diarizer", spec) as diarizer:
        for _ in range(2):
            with pytest.raises(EngineError, match="colour"):
                diarizer.diarize(tmp_path / "a", [])


def test_a_crash_tells_its_exit_code_and_last_words(host: EngineHost, tmp_path: Path) -> None:
    """What the process wrote last is in the message; the next call reaches a new process."""
    with host.engine("diarizer", ODD) as diarizer:
        with pytest.raises(EngineCrashed, match=r"exit code 7.*the last straw"):
            diarizer.diarize(tmp_path / "exit", [])
        assert diarizer.diarize(tmp_path / "a", [])
    assert len(host.usage) == 2


def test_a_killed_engine_is_probably_out_of_memory(host: EngineHost, tmp_path: Path) -> None:
    """SIGKILL from outside is what the kernel does when memory runs out."""

    def kill_it() -> None:
        eventually(lambda: len(children()) == 1, "the engine runs")
        children()[0].send_signal(signal.SIGKILL)

    killer = threading.Thread(target=kill_it)
    with host.engine("diarizer", ODD) as diarizer:
        killer.start()
        with pytest.raises(EngineCrashed, match=r"SIGKILL.*ran out of memory"):
            diarizer.diarize(tmp_path / "pretend", [])
        killer.join()
    assert children() == []


def test_cancelling_ends_a_call_and_the_process(host: EngineHost, tmp_path: Path) -> None:
    """A call that works on is left when the job is cancelled, and its process is killed."""
    cancel = threading.Event()
    with (
        host.engine("diarizer", ODD, cancelled=cancel.is_set) as diarizer,
        pytest.raises(JobCancelled),
    ):
        diarizer.diarize(tmp_path / "pretend", [], progress=lambda done, total: cancel.set())
    assert children() == []


def test_a_cancelled_job_starts_nothing(host: EngineHost, tmp_path: Path) -> None:
    """When the job is cancelled already, no process starts."""
    with (
        host.engine("diarizer", ODD, cancelled=lambda: True) as diarizer,
        pytest.raises(JobCancelled),
    ):
        diarizer.diarize(tmp_path / "a", [])
    assert host.usage == []


def test_saying_the_same_again_is_no_progress(host: EngineHost, tmp_path: Path) -> None:
    """An engine whose progress stands still is stuck, however often it reports."""
    with (
        host.engine("diarizer", ODD, stall_s=1.5) as diarizer,
        pytest.raises(EngineStuck, match="no progress"),
    ):
        diarizer.diarize(tmp_path / "pretend", [])
    assert children() == []


def test_a_slow_engine_that_moves_is_not_stuck(host: EngineHost, tmp_path: Path) -> None:
    """A call may last longer than the limit as long as progress arrives within it."""
    with host.engine("diarizer", ODD, stall_s=1.5) as diarizer:
        assert diarizer.diarize(tmp_path / "crawl", [], progress=lambda done, total: None)


def test_a_process_that_will_not_end_is_ended(host: EngineHost, tmp_path: Path) -> None:
    """A thread that the engine left behind does not keep its process alive."""
    with host.engine("diarizer", ODD) as diarizer:
        diarizer.diarize(tmp_path / "thread", [])
    assert children() == []


def test_what_an_engine_started_ends_with_it(host: EngineHost, tmp_path: Path) -> None:
    """Processes of the engine's own are ended too."""
    note = tmp_path / "grandchild.txt"
    with (
        host.engine(
            "diarizer", ODD, cancelled=lambda: note.exists() and bool(note.read_text())
        ) as diarizer,
        pytest.raises(JobCancelled),
    ):
        diarizer.diarize(tmp_path / "spawn", [])
    eventually(lambda: gone(int(note.read_text())), "the grandchild is gone")


def test_secrets_stay_out_of_the_process(
    host: EngineHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only a short list of variables is inherited."""
    for name in ("OPENAI_API_KEY", "HF_TOKEN", "API_PASS", "NOTIFY_URLS", "AWS_SECRET"):
        monkeypatch.setenv(name, "hunter2")
    with host.engine("diarizer", ODD) as diarizer:
        diarizer.diarize(tmp_path / "environment", [])
    names = set((tmp_path / "environment.txt").read_text(encoding="utf-8").split("\n"))
    assert not names & {"OPENAI_API_KEY", "HF_TOKEN", "API_PASS", "NOTIFY_URLS", "AWS_SECRET"}
    assert {"HF_HUB_OFFLINE", "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "PATH"} <= names


def test_output_is_logged_line_by_line(host: EngineHost, tmp_path: Path) -> None:
    """Both streams reach the log, even bytes that are no text."""
    with capture_logs() as logs, host.engine("diarizer", ODD) as diarizer:
        diarizer.diarize(tmp_path / "talk", [])
    lines = [entry["line"] for entry in logs if entry["event"] == "engine output"]
    assert "hello from inside" in lines
    assert "raw \\xff bytes" in lines
    assert {entry["log_level"] for entry in logs if entry["event"] == "engine output"} == {"debug"}


def test_usage_tells_time_and_memory(host: EngineHost, tmp_path: Path) -> None:
    """What a process held at most, and how long it loaded, is known after its end."""
    with host.engine("diarizer", EngineSpec(ODD.target, {"load_s": 0.5})) as diarizer:
        diarizer.diarize(tmp_path / "grow", [])
    usage = host.usage[0]
    assert usage.kind == "diarizer"
    assert usage.load_s >= 0.5
    assert usage.lived_s >= usage.load_s
    assert 150 < usage.peak_rss_mib < 400
    assert host.peak_rss_mib == usage.peak_rss_mib


def test_only_of_the_last_processes_is_remembered_what_they_have_cost(
    host: EngineHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A daemon that lives for a year starts many thousands."""
    monkeypatch.setattr("dubarr_watch.engines.host.KEPT_USAGE", 1)
    for load_s in (0.01, 0.5):
        with host.engine("diarizer", EngineSpec(ODD.target, {"load_s": load_s})) as diarizer:
            diarizer.diarize(tmp_path / "talk", [])
    (usage,) = host.usage
    assert usage.load_s >= 0.5


def test_an_engine_outlives_no_daemon(tmp_path: Path) -> None:
    """When the daemon is killed in the middle of a call, its engine ends by itself."""
    daemon = subprocess.Popen(
        [sys.executable, "-c", _DAEMON, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually((tmp_path / "started").exists, "the engine works")
        engine = psutil.Process(daemon.pid).children()[0]
        daemon.kill()
        daemon.wait()
        eventually(lambda: gone(engine.pid), "the engine is gone")
    finally:
        daemon.kill()
        daemon.wait()


_DAEMON = """
import sys
from pathlib import Path
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.settings import load_settings

folder = Path(sys.argv[1])
spec = EngineSpec("tests.engines.odd_engines:OddDiarizer")
with EngineHost(load_settings(config_dir=folder)).engine("diarizer", spec) as diarizer:
    diarizer.diarize(
        folder / "pretend", [], progress=lambda done, total: (folder / "started").touch()
    )
"""
