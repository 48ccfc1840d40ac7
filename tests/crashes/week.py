"""Many jobs one after another in one daemon: does anything grow that should not?

python -m tests.crashes.week DAY_SECONDS run  is the program with its engines in its own process,
where a day of upkeep passes in so many seconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import psutil

from dubarr_watch import daemon, workshop
from dubarr_watch.cli import main
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.worker import build
from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, JobState
from dubarr_watch.upkeep import Upkeep
from tests.composing import eventually, make_talk
from tests.programs import Program, drop

VIDEOS = 5
VIDEO_S = 2.0
DAY_S = 10.0
HISTORY_DAYS = 20 / 86_400
WORK_GIB = 0.005
_QUEUED = 20
_WARM_UP = 0.4
_DEADLINE_S = 600.0


@dataclass(frozen=True)
class Sample:
    """The daemon at one moment; sizes in KiB."""

    jobs: int
    memory: int
    descriptors: int
    threads: int
    database: int
    work: int
    reports: int


@dataclass(frozen=True)
class Week:
    """What a week of jobs left behind.

    Attributes:
        samples: From the first job to the last.
        ended: How many jobs ended in each state, those that were forgotten since not counted.
        log_kib: What the daemon wrote to standard error, which it leaves to the system to rotate.
    """

    samples: list[Sample]
    ended: dict[str, int]
    log_kib: int

    def growth(self, what: str) -> float:
        """Return the last fifth's median over that of the first fifth after the warm-up."""
        values = [float(getattr(sample, what)) for sample in self.samples]
        warm = values[int(len(values) * _WARM_UP) :]
        fifth = max(1, len(warm) // 5)
        return median(warm[-fifth:]) / max(1.0, median(warm[:fifth]))


def live(folder: Path, jobs: int) -> Week:
    """Let one daemon do so many jobs, and look at it now and then."""
    talk = make_talk(folder / "talk.mkv", VIDEO_S)
    settings = {"HISTORY_DAYS": str(HISTORY_DAYS), "KEEP_WORK_GIB": str(WORK_GIB),
                "NOTIFY_URLS": "json://127.0.0.1:9", "NOTIFY_DIGEST_SECONDS": "1"}  # fmt: skip
    samples: list[Sample] = []
    with Program(folder, **settings) as program:
        process = psutil.Process(program.start(module=f"tests.crashes.week {DAY_S}").pid)
        for number in range(VIDEOS):
            drop(talk, program.videos, f"Film {number}.mkv")
            program.ended(f"Film {number}.mkv")
        with Store.open(program.config / "dubarr.db") as store:
            newest = max(job.id for job in store.jobs.recent())
            videos = [job.video.id for job in store.jobs.recent(VIDEOS)]
            for done in range(0, jobs, _QUEUED):
                for number in range(done, min(done + _QUEUED, jobs)):
                    video = videos[number % VIDEOS]
                    again = JobOptions(again=True)
                    newest = max(newest, store.jobs.enqueue(video, ["es"], again).id)
                    if number % VIDEOS == VIDEOS - 1:
                        eventually(partial(_are_over, store), "jobs", _DEADLINE_S)
                        samples.append(_sample(process, program, number + 1))
            eventually(partial(_are_over, store), "the last jobs", _DEADLINE_S)
            ended = {state.value: n for state, n in store.jobs.counts().items() if n}
        return Week(samples, {**ended, "all": newest}, program.log.stat().st_size // 1024)


def _are_over(store: Store) -> bool:
    counts = store.jobs.counts()
    return not counts[JobState.QUEUED] and not counts[JobState.RUNNING]


def _sample(process: psutil.Process, program: Program, jobs: int) -> Sample:
    database = sum(_kib(path) for path in program.config.glob("dubarr.db*"))
    return Sample(
        jobs,
        process.memory_info().rss // 1024,
        process.num_fds(),
        process.num_threads(),
        database,
        _below(program.config / "work"),
        _below(program.config / "reports"),
    )


def _below(folder: Path) -> int:
    return sum(_kib(Path(where, name)) for where, _, names in os.walk(folder) for name in names)


def _kib(path: Path) -> int:
    try:
        return path.stat().st_size // 1024 if path.is_file() else 0
    except FileNotFoundError:
        return 0


class _InProcess(EngineHost):
    @contextmanager
    def engine(self, kind: str, spec: EngineSpec, **watch: Any) -> Iterator[Any]:
        yield build(spec)


def _run() -> None:
    day_s, begun = float(sys.argv.pop(1)), time.monotonic()

    def today() -> str:
        days = (time.monotonic() - begun) / day_s
        return f"{datetime(2026, 1, 1) + timedelta(days=int(days)):%Y-%m-%d}"  # noqa: DTZ001

    workshop.EngineHost = _InProcess  # type: ignore[attr-defined]
    daemon.Upkeep = partial(Upkeep, today=today, look_every_s=day_s / 10)  # type: ignore[attr-defined,assignment]
    main()


if __name__ == "__main__":
    _run()
