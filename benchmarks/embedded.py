"""The embedded profile on a three-minute talk: wall time, memory, and where the time goes.

    python -m benchmarks.embedded [--lang es] [--file talk.mkv] [--voices FOLDER] [--save]

--voices takes a folder of recordings of people speaking English and joins them to three minutes.
Prints a table; --save also keeps it in benchmarks/results/. Goals: wall time at most 1.0 times the
video's length, at most 4 GB for all processes together, at most 10 % of the time outside of the
engines; the idle daemon under 150 MB and 1 % of a core; a closed file queued within SETTLE_SECONDS
and one second.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import psutil

from benchmarks.talk import TALK
from dubarr_watch.demo.clip import film_speech, join_recordings, speak_clip
from dubarr_watch.dubbing.pipeline import Pipeline
from dubarr_watch.dubbing.report import Summary
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.logs import configure_logging
from dubarr_watch.media import probe
from dubarr_watch.runner import JobRunner
from dubarr_watch.settings import Profile, Settings, load_settings
from dubarr_watch.store.owners import Owner
from dubarr_watch.store.records import JobOptions, VideoState
from dubarr_watch.store.store import Store

RESULTS = Path(__file__).parent / "results"
IDLE_S = 20.0
SETTLE_S = 2.0
TALK_S = 176.0


@dataclass(frozen=True)
class Measured:
    """One row of the table."""

    what: str
    value: str
    goal: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lang", default="es")
    parser.add_argument("--file", type=Path)
    parser.add_argument("--voices", type=Path)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dubarr-bench-") as name:
        folder = Path(name)
        video = arguments.file or (
            people(arguments.voices, folder) if arguments.voices else talk(folder)
        )
        rows = [*dub(video, arguments.lang, folder), *idle(folder)]
    table = as_table(rows)
    print(table)
    if arguments.save:
        day = datetime.now(UTC).date().isoformat()
        name = f"embedded-{'people-' if arguments.voices else ''}{arguments.lang}-{day}.md"
        (RESULTS / name).write_text(table + "\n", "utf-8")


def talk(folder: Path) -> Path:
    """Return the talk, spoken once and kept beside the models."""
    settings = load_settings(config_dir=folder)
    kept = settings.models_dir.parent / "benchmark-talk.mkv"
    if not kept.exists():
        spec = specs_for(Profile.EMBEDDED, settings).synthesizer
        with EngineHost(settings).engine("synthesizer", spec) as synthesizer:
            made = speak_clip(synthesizer, folder, "talk.mkv", TALK)
        shutil.move(made, kept)
    return kept


def people(voices: Path, folder: Path) -> Path:
    """Return a video in which recorded people speak in turn for three minutes."""
    recordings = sorted(path for path in voices.iterdir() if path.suffix in {".flac", ".wav"})
    return film_speech(join_recordings(recordings, TALK_S), folder, "people.mkv")


def dub(video: Path, language: str, folder: Path) -> list[Measured]:
    """Run one job in this process, as `dubarr-watch dub` does."""
    settings = load_settings(
        profile=Profile.EMBEDDED, config_dir=folder / "config", videos_dir=folder,
        log_level="error", dub_songs=True,  # recordings that are repeated are no refrains
    )  # fmt: skip
    configure_logging(settings)
    target = folder / "Talk.mkv"
    shutil.copy(video, target)
    duration_s = probe(target).duration_s
    host = TimedHost(settings)
    with Store.open(settings.database_path) as store, Owner.acquire(settings.config_dir) as owner:
        stat = target.stat()
        known = store.videos.record(
            target, stat.st_size, stat.st_mtime_ns, fingerprint(target), VideoState.ARRIVED
        )
        store.jobs.enqueue(known.id, (language,), JobOptions())
        job = store.jobs.claim(owner.id)
        if job is None:
            raise SystemExit("the job could not be claimed")
        specs = specs_for(Profile.EMBEDDED, settings)
        pipeline = Pipeline(settings, store, cast(EngineHost, host), specs)
        ended = JobRunner(settings, store, pipeline).run(job)
    report = ended.result.languages[0].report if ended.result else None
    if report is None:
        raise SystemExit(f"the job ended {ended.job.state}: {ended.job.reason}")
    return _rows(report.summary, ended.seconds, duration_s, host.inside_s)


class TimedHost:
    """An EngineHost that adds up the time from asking an engine to its answer."""

    def __init__(self, settings: Settings) -> None:
        self._host = EngineHost(settings)
        self.inside_s = 0.0

    @contextmanager
    def engine(self, *what: Any, **watch: Any) -> Iterator[Any]:
        """Run an engine whose every call is timed; starting and ending it count too."""
        manager = self._host.engine(*what, **watch)
        engine = self._timed(manager.__enter__)
        try:
            yield _Timed(engine, self._timed)
        finally:
            self._timed(manager.__exit__, *sys.exc_info())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._host, name)

    def _timed(self, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
        started = time.monotonic()
        try:
            return call(*given, **named)
        finally:
            self.inside_s += time.monotonic() - started


class _Timed:
    def __init__(self, engine: Any, timed: Callable[..., Any]) -> None:
        self._engine = engine
        self._timed = timed

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._engine, name)
        return partial(self._timed, found) if callable(found) else found


def _rows(summary: Summary, wall_s: float, duration_s: float, inside_s: float) -> list[Measured]:
    outside = 1 - inside_s / wall_s
    rows = [
        Measured("length of the video", f"{duration_s:.0f} s"),
        Measured("wall time", f"{wall_s:.0f} s"),
        Measured("wall time / length", f"{wall_s / duration_s:.2f}", "at most 1.00"),
        Measured("peak memory, all processes", f"{summary.peak_rss_mib} MiB", "at most 4096 MiB"),
        Measured("time outside the engines", f"{outside:.1%}", "at most 10 %"),
    ]
    rows += [
        Measured(f"stage {name}", f"{seconds:.1f} s")
        for name, seconds in summary.stage_seconds.items()
    ]
    rows += [
        Measured("lines", str(summary.lines)),
        Measured("lines within their slot", f"{summary.within_slot:.1%}", "(at least 95 %)"),
        Measured("speed p50, p95, max",
                 f"{summary.speed_p50:.2f}, {summary.speed_p95:.2f}, {summary.speed_max:.2f}",
                 "1.00, at most 1.15, at most 1.25"),
        Measured("starts within -45 and +125 ms", f"{summary.starts_within:.1%}", "at least 95 %"),
        Measured("takes per line", f"{summary.takes_per_line:.2f}", "at most 1.3"),
        Measured("overlaps", str(summary.overlaps), "0"),
        Measured("speech overlap (IoU)", f"{summary.speech_iou:.2f}", "(at least 0.75)"),
        Measured("loudness", f"{summary.loudness_lufs} LUFS, {summary.true_peak_dbtp} dBTP",
                 "-23 +-0.5, at most -1.5"),
        Measured("speakers found", str(summary.speakers)),
    ]  # fmt: skip
    return rows


def idle(folder: Path) -> list[Measured]:
    """Measure the real daemon doing nothing, and how soon a dropped file is queued."""
    videos, config = folder / "library", folder / "idle"
    videos.mkdir()
    settings = load_settings(config_dir=config, videos_dir=videos)
    environment = dict(os.environ) | {
        "PROFILE": "embedded", "VIDEOS_DIR": str(videos), "CONFIG_DIR": str(config),
        "SETTLE_SECONDS": str(SETTLE_S), "LOG_LEVEL": "error", "TARGET_LANGS": "es",
    }  # fmt: skip
    daemon = subprocess.Popen([sys.executable, "-m", "dubarr_watch", "run"], env=environment)
    try:
        process = psutil.Process(daemon.pid)
        time.sleep(5)
        before = process.cpu_times()
        time.sleep(IDLE_S)
        after = process.cpu_times()
        cpu = (after.user + after.system - before.user - before.system) / IDLE_S
        rss_mib = process.memory_info().rss / 2**20
        queued_s = _closed_to_queued(folder / "Talk.mkv", videos, settings)
    finally:
        daemon.terminate()
        daemon.wait()
    return [
        Measured("idle daemon, memory", f"{rss_mib:.0f} MiB", "under 150 MB"),
        Measured("idle daemon, one core", f"{cpu:.2%}", "under 1 %"),
        Measured("file closed to queued", f"SETTLE_SECONDS + {queued_s - SETTLE_S:.2f} s",
                 "at most + 1 s"),
    ]  # fmt: skip


def _closed_to_queued(video: Path, videos: Path, settings: Settings) -> float:
    shutil.copy(video, videos / "Dropped.mkv")
    closed = time.monotonic()
    with Store.open(settings.database_path) as store:
        while not (store.jobs.queue() or store.jobs.running()):
            if time.monotonic() - closed > SETTLE_S + 30:
                raise SystemExit("the dropped file was never queued")
            time.sleep(0.02)
    return time.monotonic() - closed


def as_table(rows: list[Measured], what: str = "Embedded profile") -> str:
    """Return the rows as a Markdown table with machine and date above it."""
    cpu = platform.processor() or platform.machine()
    head = (
        f"{what}, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores ({cpu}), "
        f"{psutil.virtual_memory().total / 2**30:.0f} GiB, Python {platform.python_version()}\n\n"
        "| what | measured | goal |\n| --- | --- | --- |\n"
    )
    return head + "\n".join(f"| {row.what} | {row.value} | {row.goal} |" for row in rows)


if __name__ == "__main__":
    main()
