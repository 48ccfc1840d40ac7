"""Many jobs one after another in one daemon: does anything grow that should not?

python -m tests.crashes.week DAY_SECONDS run  is the program with its engines in its own process,
but for one speech process that lives as long as it does; a day of upkeep passes in so many seconds.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import fmean
from typing import Any

import httpx
import psutil

from dubarr_watch import lookout, workshop
from dubarr_watch.cli import main
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs, specs_for
from dubarr_watch.engines.worker import build
from dubarr_watch.settings import Profile, Settings
from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, JobState
from dubarr_watch.upkeep import Upkeep
from tests.composing import living_below, make_talk
from tests.programs import Program, drop_another, free_port
from tests.waiting import eventually
from tests.webhooks.test_daemon import client

VIDEO_S = 2.0
DAY_S = 10.0
HISTORY_DAYS = 20 / 86_400
WORK_GIB = 0.005
_NEW_SHARE = 5
_WARM_UP = 0.4
_DEADLINE_S = 600.0
_LOOKED_AT = ("/health", "/api/v1/status", "/api/v1/jobs", "/api/v1/videos", "/metrics", "/")


@dataclass(frozen=True)
class Sample:
    """The daemon and its speech process at one moment; sizes in KiB."""

    jobs: int
    memory: int
    descriptors: int
    threads: int
    speech_memory: int
    speech_descriptors: int
    database: int
    work: int
    reports: int


@dataclass(frozen=True)
class Week:
    """What a week of jobs left behind.

    Attributes:
        samples: From the first round of jobs to the last.
        jobs: How many there were.
        ended: How many jobs ended in each state.
        log_kib: What the daemon wrote to standard error, which it leaves to the system to rotate.
        untold: Jobs that ended while the push service was away, for the first half of the week.
        told_late: Messages that it then heard until it had heard everything.
        told: Messages that it heard in all.
        seconds: How long it took.
    """

    samples: list[Sample]
    jobs: int
    ended: dict[str, int]
    log_kib: int
    untold: int
    told_late: int
    told: int
    seconds: float

    def growth(self, what: str) -> float:
        """Return the last fifth's mean over that of the first fifth after the warm-up."""
        values = [float(getattr(sample, what)) for sample in self.samples]
        warm = values[int(len(values) * _WARM_UP) :]
        fifth = max(1, len(warm) // 5)
        return fmean(warm[-fifth:]) / max(1.0, fmean(warm[:fifth]))


def live(folder: Path, jobs: int, *, together: int, longest_s: float = math.inf) -> Week:
    """Let one daemon do so many jobs, and look at it now and then.

    Args:
        folder: An empty one.
        jobs: How many at least.
        together: How many are asked for at a time. One of five is a new video, half of those with
            a marker; the videos of the round before are deleted.
        longest_s: After this long there are no more, however few there were.
    """
    begun_s = time.monotonic()
    untold = told_late = 0
    with ExitStack() as stack:
        push = stack.enter_context(_Push())
        port = free_port()
        program = stack.enter_context(
            Program(
                folder, HISTORY_DAYS=str(HISTORY_DAYS), KEEP_WORK_GIB=str(WORK_GIB),
                NOTIFY_URLS=push.url, API_HOST="127.0.0.1", API_PORT=str(port), SCAN_INTERVAL="30",
            )
        )  # fmt: skip
        program.start(module=f"tests.crashes.week {DAY_S}")
        asking = stack.enter_context(client(program, port))
        store = stack.enter_context(Store.open(program.config / "dubarr.db"))
        life = _Life(folder, program, store, asking, together)
        while life.jobs < jobs and (passed_s := time.monotonic() - begun_s) < longest_s:
            is_back = push.away and (life.jobs >= jobs // 2 or passed_s > longest_s / 2)
            if is_back:
                push.away, untold = False, life.jobs
            life.live_a_round()
            if is_back:
                eventually(lambda: not store.notifications.pending(), "all told", _DEADLINE_S)
                told_late = push.messages
        log_kib = program.log.stat().st_size // 1024
    seconds = time.monotonic() - begun_s
    return Week(
        life.samples, life.jobs, life.ended, log_kib, untold, told_late, push.messages, seconds
    )


class _Life:
    """Rounds of jobs in one daemon."""

    def __init__(self, folder: Path, program: Program, store: Store, asking: httpx.Client,
                 together: int) -> None:  # fmt: skip
        self.jobs = 0
        self.samples: list[Sample] = []
        self.ended: dict[str, int] = {}
        self._talk = make_talk(folder / "talk.mkv", VIDEO_S)
        self._program, self._store, self._asking = program, store, asking
        self._new = max(1, together // _NEW_SHARE)
        self._rounds = 0
        assert program.daemon is not None
        self._process = psutil.Process(program.daemon.pid)
        stay = [f"Film {number}.mkv" for number in range(together - self._new)]
        self._drop(stay)
        self._stay = [self._wait_for(name) for name in stay]

    def live_a_round(self) -> None:
        """Ask for old videos again and bring new ones; look at everything when all is done."""
        for path in self._program.videos.glob("Week*"):
            path.unlink()
        self._rounds += 1
        new = [f"Week {self._rounds} {number}.mkv" for number in range(self._new)]
        for name in new[::2]:
            (self._program.videos / f"{name}.dub").write_text("es\n")
        again = [
            self._store.jobs.enqueue(video, ["es"], JobOptions(again=True)).id
            for video in self._stay
        ]
        self._drop(new)
        for name in new:
            self._wait_for(name)
        for job in again:
            self._count(eventually(partial(self._end_of, job), f"job {job}", _DEADLINE_S))
        for address in _LOOKED_AT:
            self._asking.get(address).raise_for_status()
        self.samples.append(self._sample())
        print(self.samples[-1], file=sys.stderr)  # noqa: T201

    def _drop(self, names: list[str]) -> None:
        for name in names:
            drop_another(self._talk, self._program.videos, name)

    def _wait_for(self, name: str) -> int:
        """Wait for the end of a new video's job, and return the video's number."""
        path = self._program.videos / name

        def done() -> int | None:
            job = self._store.jobs.find(path)
            if job is None or not job.state.ended:
                return None
            self._count(job.state)
            return job.video.id

        number: int = eventually(done, name, _DEADLINE_S)
        return number

    def _end_of(self, job: int) -> JobState | None:
        found = self._store.jobs.find(job)
        return found.state if found is not None and found.state.ended else None

    def _count(self, state: JobState) -> None:
        self.jobs += 1
        self.ended[state.value] = self.ended.get(state.value, 0) + 1

    def _sample(self) -> Sample:
        daemon, config = self._process, self._program.config
        (speech,) = filter(_is_speech, living_below(daemon))
        return Sample(
            self.jobs,
            daemon.memory_info().rss // 1024,
            daemon.num_fds(),
            daemon.num_threads(),
            speech.memory_info().rss // 1024,
            speech.num_fds(),
            sum(_kib(path) for path in config.glob("dubarr.db*")),
            _below(config / "work"),
            _below(config / "reports"),
        )


def _is_speech(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # ended since it was listed
        return "tts_sidecar" in process.cmdline()
    return False


def _below(folder: Path) -> int:
    return sum(_kib(Path(where, name)) for where, _, names in os.walk(folder) for name in names)


def _kib(path: Path) -> int:
    try:
        return path.stat().st_size // 1024 if path.is_file() else 0
    except FileNotFoundError:
        return 0


class _Push:
    """A push service that answers with an error until it is back."""

    def __init__(self) -> None:
        self.away = True
        self.messages = 0
        push = self

        class Answer(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                push.messages += not push.away
                self.send_response(503 if push.away else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *said: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self.url = f"json://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> _Push:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Lasting(EngineHost):
    """Runs engines in this process, and one speech process for all jobs."""

    _voice: Any = None

    @contextmanager
    def engine(self, kind: str, spec: EngineSpec, **watch: Any) -> Iterator[Any]:
        if kind != "synthesizer":
            yield build(spec)
            return
        if self._voice is None:
            self._lasting = ExitStack()
            self._voice = self._lasting.enter_context(super().engine("synthesizer", spec))
        yield self._voice

    def close(self) -> None:
        if self._voice is not None:
            self._lasting.close()
        super().close()


def _specs(profile: Profile, settings: Settings) -> EngineSpecs:
    options = {"engine": "fake", "models_dir": settings.models_dir, "port": 0, "threads": 1}
    voice = EngineSpec(
        "dubarr_watch.engines.sidecar:SidecarSynthesizer", options, owns_process=True
    )
    return replace(specs_for(profile, settings), synthesizer=voice)


def _run() -> None:
    day_s, begun = float(sys.argv.pop(1)), time.monotonic()

    def today() -> str:
        days = (time.monotonic() - begun) / day_s
        return f"{datetime(2026, 1, 1) + timedelta(days=int(days)):%Y-%m-%d}"  # noqa: DTZ001

    workshop.EngineHost = _Lasting  # type: ignore[attr-defined]
    workshop.specs_for = _specs  # type: ignore[attr-defined]
    lookout.Upkeep = partial(Upkeep, today=today, look_every_s=day_s / 10)  # type: ignore[attr-defined,assignment]
    main()


if __name__ == "__main__":
    _run()
