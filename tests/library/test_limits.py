"""The real daemon where the kernel allows it only a few watches."""

from __future__ import annotations

import socket
from pathlib import Path

import httpx
import pytest

from dubarr_watch.store.records import JobState
from tests.composing import make_talk
from tests.programs import Program
from tests.waiting import eventually

# A user namespace has limits of its own.
LIMITED = """
import os, sys
script = 'echo 3 > /proc/sys/user/max_inotify_watches || exit 77; exec "$0" -m dubarr_watch run'
os.execvp("unshare", ["unshare", "-Ur", "sh", "-c", script, sys.executable])
"""


def test_without_watches_it_says_so_and_polls(tmp_path: Path) -> None:
    """In the log and in /health; what comes into an unwatched folder is dubbed all the same."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Program(
        tmp_path, API_PORT=str(port), API_HOST="127.0.0.1", SCAN_INTERVAL="1", WATCH_MODE="events"
    ) as program:
        for number in range(10):
            (program.videos / f"Film {number}").mkdir()
        program.daemon = program.spawn("-c", LIMITED)

        def ready() -> bool:
            assert program.daemon is not None
            if program.daemon.poll() is not None:
                pytest.skip("user namespaces are not to be had here")
            return b"watching_incomplete" in program.log.read_bytes()

        eventually(ready, "told")
        assert b"max_user_watches" in program.log.read_bytes()
        asked = eventually(lambda: answer(f"http://127.0.0.1:{port}/health"), "health")
        assert asked.status_code == 200
        watcher = asked.json()["watcher"]
        assert watcher["ok"]
        assert "the library is polled" in watcher["detail"]
        eventually(lambda: b'"baseline"' in program.log.read_bytes(), "first scan")
        make_talk(program.videos / "Film 9" / "Film.mkv", 4.0)
        assert program.ended("Film.mkv").state is JobState.DONE


def answer(address: str) -> httpx.Response | None:
    try:
        return httpx.get(address, timeout=10)
    except httpx.TransportError:
        return None
