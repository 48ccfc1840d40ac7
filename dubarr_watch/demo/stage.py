"""The scratch library with a real daemon on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from dubarr_watch.demo.listener import PushListener
from dubarr_watch.errors import DubarrError, WrongUsage
from dubarr_watch.settings import Settings, child_environment
from dubarr_watch.store.records import JobRecord
from dubarr_watch.store.store import Store

_STOP_S = 15.0
_POLL_S = 0.25


@dataclass(frozen=True, slots=True)
class Scratch:
    """Folders of one demonstration."""

    root: Path

    @property
    def videos(self) -> Path:
        """The library."""
        return self.root / "videos"

    @property
    def config(self) -> Path:
        """CONFIG_DIR."""
        return self.root / "config"

    @property
    def log(self) -> Path:
        """What the daemon wrote."""
        return self.root / "daemon.log"

    def make(self) -> None:
        """Make the folders anew; what an earlier demonstration left is removed.

        Raises:
            WrongUsage: The folder holds something else.
        """
        stamp = self.root / ".dubarr-watch-demo"
        if self.root.exists() and not stamp.exists() and any(self.root.iterdir()):
            raise WrongUsage(
                "This folder is not empty, and no demonstration made it.",
                hint="Name a new folder: it is emptied at every start.",
                path=self.root,
            )
        shutil.rmtree(self.root, ignore_errors=True)
        for folder in (self.videos, self.config):
            folder.mkdir(parents=True)
        stamp.touch()


class RunningDaemon:
    """`dubarr-watch run` in a process of its own.

    Args:
        scratch: Where it works.
        settings: MODELS_DIR and MOCK_MODE are taken from here.
        languages: TARGET_LANGS.
        push: Receives its notifications.
    """

    def __init__(
        self, scratch: Scratch, settings: Settings, languages: Sequence[str], push: PushListener
    ) -> None:
        self._scratch = scratch
        self._environment = child_environment() | {
            "PROFILE": "embedded",
            "VIDEOS_DIR": os.fspath(scratch.videos),
            "CONFIG_DIR": os.fspath(scratch.config),
            "MODELS_DIR": os.fspath(settings.models_dir),
            "TARGET_LANGS": ",".join(languages),
            "SETTLE_SECONDS": "2",
            "NOTIFY_URLS": push.url,
            "MOCK_MODE": str(settings.mock_mode).lower(),
            "LOG_FORMAT": "json",
            "API_PORT": "0",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._scratch.log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dubarr_watch", "run"],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._wait_until_watching()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def check(self) -> None:
        """Make sure that the daemon lives.

        Raises:
            DubarrError: It ended; the message has its last words.
        """
        if self._process is None or self._process.poll() is not None:
            words = self._scratch.log.read_text(encoding="utf-8", errors="replace").splitlines()
            last = " ".join(words[-3:]) or "It said nothing."
            raise DubarrError(f"The daemon ended: {last}", path=self._scratch.log)

    def _wait_until_watching(self) -> None:
        while b'"event": "library"' not in self._scratch.log.read_bytes():
            self.check()
            time.sleep(_POLL_S)


def follow(
    scratch: Scratch, daemon: RunningDaemon, show: Callable[[JobRecord | None], None]
) -> tuple[JobRecord, Store]:
    """Watch the first job of a daemon until it ends.

    Args:
        scratch: Where the daemon works.
        daemon: The daemon.
        show: Called several times a second with the job, or nothing before there is one.

    Returns:
        The ended job, and the open database to read its results from.

    Raises:
        DubarrError: The daemon died.
    """
    store = Store.open(scratch.config / "dubarr.db")
    while True:
        daemon.check()
        job = next(iter([*store.jobs.running(), *store.jobs.queue(), *store.jobs.recent(1)]), None)
        show(job)
        if job is not None and job.state.ended:
            return job, store
        time.sleep(_POLL_S)


def describe(message: dict[str, Any] | None) -> str:
    """Return a push message as text."""
    if message is None:
        return "No push message came within the time."
    return f"{message.get('title', '')}\n{message.get('message', '')}"
