"""`dubarr-watch` as its users run it: a process with an environment, folders and a log."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

import psutil

from dubarr_watch.store.reading import open_for_reading
from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import living_below
from tests.waiting import eventually

ROOT = Path(__file__).parents[1]
STOP_S = 30.0
MAX_STOP_S = 5.0
"""What is promised; a container waits ten."""


def free_port() -> int:
    """Return a port on which nobody listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Program:
    """The program on a scratch library; as a context manager it ends what is left running.

    Args:
        folder: Holds videos/ and config/, made when missing.
        **environment: Settings, on top of MOCK_MODE=true.
    """

    def __init__(self, folder: Path, **environment: str) -> None:
        self.videos, self.config = folder / "videos", folder / "config"
        self.log = folder / "daemon.log"
        for made in (self.videos, self.config):
            made.mkdir(parents=True, exist_ok=True)
        self.environment = {
            "VIDEOS_DIR": str(self.videos),
            "CONFIG_DIR": str(self.config),
            "MODELS_DIR": str(folder / "no-models"),
            "MOCK_MODE": "true",
            "SETTLE_SECONDS": "0.3",
            "TARGET_LANGS": "es",
            "THREADS": "1",
            "LOG_FORMAT": "json",
            "API_PORT": "0",
            **environment,
        }
        self.daemon: subprocess.Popen[bytes] | None = None

    def run(self, *arguments: str | Path, module: str = "dubarr_watch", timeout_s: float = 120,
            **environment: str) -> subprocess.CompletedProcess[str]:  # fmt: skip
        """Run a command to its end."""
        return subprocess.run(
            [
                sys.executable,
                "-m",
                *module.split(),
                *[os.fspath(argument) for argument in arguments],
            ],
            env=self._whole(environment),
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=timeout_s,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    def start(
        self, *, seconds_a_line: float = 0.0, wait: bool = True, module: str = "dubarr_watch"
    ) -> subprocess.Popen[bytes]:
        """Start the daemon, and wait until it watches; `module` may bring arguments of its own."""
        slow = ["tests.slow_fakes", str(seconds_a_line)]
        which = slow if seconds_a_line else module.split()
        begun = self.log.stat().st_size if self.log.exists() else 0
        self.daemon = self.spawn("-m", *which, "run")
        if wait:
            eventually(lambda: self._watches(begun), f"watching: {self.log}")
        return self.daemon

    def spawn(self, *arguments: str, new_group: bool = False) -> subprocess.Popen[bytes]:
        """Start Python with arguments, its output into the log."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *arguments],
                env=self._whole({}),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=new_group,
            )

    def end(self, number: signal.Signals, within_s: float = STOP_S) -> list[psutil.Process]:
        """Send the daemon a signal, wait for its end, and return what it had started.

        Fails when it is not gone within some seconds, which count as in `eventually`.
        """
        assert self.daemon is not None
        daemon, below = self.daemon, living_below(psutil.Process(self.daemon.pid))
        daemon.send_signal(number)
        eventually(lambda: daemon.poll() is not None, f"its end: {self.log}", within_s)
        return below

    def jobs(self) -> list[JobRecord]:
        """Return every job, oldest first."""
        store = open_for_reading(self.config / "dubarr.db")
        if store is None:
            return []
        with store:
            found = [*store.jobs.queue(), *store.jobs.running(), *store.jobs.recent(1000)]
        return sorted({job.id: job for job in found}.values(), key=lambda job: job.id)

    def job(self, name: str, *states: JobState) -> JobRecord | None:
        """Return the newest job of a video, if it is in one of some states (all ends: none)."""
        found = [job for job in self.jobs() if job.video.path.name == name]
        if not found:
            return None
        fits = found[-1].state in states if states else found[-1].state.ended
        return found[-1] if fits else None

    def ended(self, name: str) -> JobRecord:
        """Wait for the end of a video's job."""
        job: JobRecord = eventually(lambda: self.job(name), f"{name}: {self.jobs()}")
        return job

    def takes(self, job: JobRecord, language: str = "es") -> dict[str, int]:
        """Return when each take of a job was made, by file name."""
        folder = self.config / "work" / str(job.id) / "takes" / language
        if not folder.is_dir():
            return {}
        return {p.name: p.stat().st_mtime_ns for p in folder.glob("*.wav") if "-fit" not in p.name}

    def is_sound(self) -> bool:
        """Tell whether SQLite finds the database whole."""
        with closing(sqlite3.connect(self.config / "dubarr.db")) as database:
            return database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]

    def _watches(self, begun: int) -> bool:
        assert self.daemon is not None
        text = self.log.read_bytes()[begun:]
        assert self.daemon.poll() is None, text.decode("utf-8", "replace")
        return b'"event": "library"' in text or b'"event": "lookout"' in text

    def _whole(self, more: dict[str, str]) -> dict[str, str]:
        kept = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "TMPDIR")
        own = {name: os.environ[name] for name in kept if name in os.environ}
        measuring = {k: v for k, v in os.environ.items() if k.startswith("COV")}
        return {**own, **measuring, **self.environment, **more}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.kill()
            self.daemon.wait(STOP_S)


def drop(video: Path, folder: Path, name: str = "") -> Path:
    """Copy a video into a library in small pieces, as a copy over a network comes."""
    target = folder / (name or video.name)
    data = video.read_bytes()
    with target.open("wb") as file:
        for start in range(0, len(data), 65536):
            file.write(data[start : start + 65536])
            file.flush()
    return target


def drop_another(video: Path, folder: Path, name: str) -> Path:
    """Copy a Matroska video into a library, told from all other copies by a Void element.

    A plain copy of one that has changed since would be taken for that one under a new name.
    """
    another = video.with_name("another.mkv")
    mark = name.encode()[-100:]
    another.write_bytes(video.read_bytes() + bytes((0xEC, 0x80 | len(mark))) + mark)
    return drop(another, folder, name)


def all_gone(processes: Sequence[psutil.Process]) -> bool:
    """Tell whether none of some processes runs any more."""
    return not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in processes)
