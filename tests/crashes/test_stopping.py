"""SIGTERM in each stage of a job, while webhooks come in: soon, whole, and with exit code 0."""

from __future__ import annotations

import ctypes
import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from dubarr_watch.store.records import JobState
from tests.composing import make_talk
from tests.programs import MAX_STOP_S, Program, all_gone, drop, free_port
from tests.waiting import eventually
from tests.webhooks.test_daemon import client

STAGES = ("extract", "transcribe", "diarize", "translate", "synthesize", "mix", "publish")


def test_asked_to_stop_in_any_stage_it_stops_soon_and_goes_on_where_it_was(tmp_path: Path) -> None:
    port = free_port()
    settings = {"API_PORT": str(port), "API_HOST": "127.0.0.1", "OUTPUT_MODE": "both"}
    with Program(tmp_path, **settings) as program:
        for number, stage in enumerate(STAGES):
            begun = program.log.stat().st_size if program.log.exists() else 0
            daemon = program.start(seconds_a_line=0.05)
            if not number:
                drop(make_talk(tmp_path / "talk.mkv", 30.0), program.videos, "Film.mkv")
            with calls(program, port):
                eventually(lambda: stage in stages(program, begun), stage)  # noqa: B023
                below = program.end(signal.SIGTERM, MAX_STOP_S)
            assert daemon.returncode == 0, stage
            assert all_gone(below), stage
            (job,) = program.jobs()
            assert job.state is JobState.QUEUED, (stage, job.reason)
            assert job.attempts == 0
        program.start()
        assert program.ended("Film.mkv").state is JobState.DONE
        assert program.is_sound()


def test_a_signal_that_another_thread_catches_stops_it_too(tmp_path: Path) -> None:
    """The system may give a signal to any thread; Python heeds it when the main one moves."""
    with Program(tmp_path) as program:
        daemon = program.start()
        folder = Path("/proc") / str(daemon.pid) / "task"
        other = max(int(task.name) for task in folder.iterdir())
        assert other != daemon.pid
        ctypes.CDLL(None).tgkill(daemon.pid, other, int(signal.SIGTERM))
        assert eventually(lambda: daemon.poll() is not None, "its end", MAX_STOP_S)
        assert daemon.returncode == 0


def stages(program: Program, begun: int) -> set[str]:
    """Return the stages that a daemon has told since a place in its log."""
    lines = program.log.read_bytes()[begun:].splitlines()
    told = [json.loads(line) for line in lines if b'"event": "stage"' in line]
    return {one["stage"].split()[0] for one in told}


@contextmanager
def calls(program: Program, port: int) -> Iterator[None]:
    """Have somebody look at the page's figures and send webhooks all the time."""
    over = threading.Event()

    def call() -> None:
        with client(program, port) as asking, suppress(httpx.HTTPError):
            while not over.is_set():
                asking.get("/api/v1/status")
                asking.post("/webhook", json={"eventType": "Test"})

    thread = threading.Thread(target=call)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
