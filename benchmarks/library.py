"""A library of 100,000 files: start-up, idling, and 10,000 videos dropped at once.

    python -m benchmarks.library [--folders N] [--videos N] [--drop N] [--idle S] [--save]

Five files a folder, of which some are videos. The daemon is a process of its own on fakes; its
start is timed from the process's first moment to the end of its first scan, once with an unknown
library and once with a known one (warm). Idling is measured between two scans, and the scans are
added for their share of the time. The dropped videos go through the daemon's own library with a
stand-in for ffprobe, so that what is measured is the bookkeeping; ffprobe is timed beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from pathlib import Path

import psutil
import structlog

from dubarr_watch.library.intake import SCAN_SHARE, Library
from dubarr_watch.media import Probe, probe
from dubarr_watch.settings import load_settings
from dubarr_watch.store.records import JobState
from dubarr_watch.store.store import Store
from tests.composing import make_talk
from tests.library.conftest import film, read_film
from tests.programs import Program
from tests.waiting import eventually

RESULTS = Path(__file__).parent / "results"
FILES_A_FOLDER = 5
BESIDE = ("Film.nfo", "Film.en.srt", "poster.jpg", "fanart.jpg", "Film-thumb.jpg")
DEADLINE_S = 900.0
MiB = 2**20


def fill(root: Path, folders: int, videos: int) -> None:
    """Make folders of five files each."""
    for number in range(folders):
        folder = root / f"{number // 200:03}" / f"Film {number:05} (1999)"
        folder.mkdir(parents=True)
        for part in range(videos):
            (folder / f"Film {number:05} part {part}.mkv").write_bytes(film(f"{number}-{part}"))
        for name in BESIDE[: FILES_A_FOLDER - videos]:
            (folder / name).write_bytes(b"")


class Daemon:
    """The daemon on a large library."""

    def __init__(self, scratch: Path) -> None:
        self.program = Program(scratch, LOG_LEVEL="debug")
        self.seen = 0

    def start(self) -> tuple[float, dict[str, float]]:
        """Start it; returns the seconds until its first scan has ended, and what that says."""
        self.program.log.unlink(missing_ok=True)
        self.seen, started_s = 0, time.monotonic()
        self.program.start(wait=False)
        found: dict[str, float] = eventually(self._scanned, "scanned", DEADLINE_S)
        return time.monotonic() - started_s, found

    def stop(self) -> None:
        """Stop it in order."""
        self.program.end(signal.SIGTERM)

    def processes(self) -> list[psutil.Process]:
        """Return it and its children."""
        assert self.program.daemon is not None
        own = psutil.Process(self.program.daemon.pid)
        return [own, *own.children(recursive=True)]

    def _scanned(self) -> dict[str, float] | None:
        assert self.program.daemon is not None
        assert self.program.daemon.poll() is None, self.program.log.read_text()[-2000:]
        for line in self.program.log.read_text(errors="replace").splitlines():
            if '"event": "scanned"' in line:
                found: dict[str, float] = json.loads(line)
                return found
        return None


def idle(daemon: Daemon, seconds: float) -> tuple[float, list[tuple[str, float, float]]]:
    """Return the share of one core used while idle, and name, CPU share and MiB of each process."""
    before = {p.pid: sum(p.cpu_times()[:2]) for p in daemon.processes()}
    time.sleep(seconds)
    rows = []
    for process in daemon.processes():
        used = (sum(process.cpu_times()[:2]) - before.get(process.pid, 0.0)) / seconds
        rows.append((process.name(), used, process.memory_info().rss / MiB))
    return sum(used for _, used, _ in rows), rows


def library_rows(scratch: Path, folders: int, videos: int, idle_s: float) -> Iterator[str]:
    """Yield the rows of one large library."""
    daemon = Daemon(scratch)
    fill(daemon.program.videos, folders, videos)
    try:
        first_s, _ = daemon.start()
        daemon.stop()
        os.sync()
        warm_s, found = daemon.start()
        time.sleep(5)  # what the start still has to do is no idling
        assert daemon.program.daemon is not None
        share, rows = idle(daemon, idle_s)
        every_s = max(300.0, SCAN_SHARE * found["seconds"])
        whole = share + found["seconds"] / every_s
        known = f"{found['videos']:.0f} videos among {folders * FILES_A_FOLDER} files"
        yield f"| {known} in {folders} folders: first start | {first_s:.1f} s |"
        yield f"| start-up scan, warm (process start to its end) | {warm_s:.1f} s |"
        yield f"| of that the scan | {found['seconds']:.1f} s |"
        yield f"| idle, between scans | {share:.2%} of a core |"
        yield f"| idle, with one scan in {every_s:.0f} s | {whole:.2%} of a core |"
        for name, used, size in rows:
            yield f"| `{name}` idle | {used:.2%}, {size:.0f} MiB |"
    finally:
        if daemon.program.daemon is not None and daemon.program.daemon.poll() is None:
            daemon.program.daemon.kill()
            daemon.program.daemon.wait()


def drop_rows(scratch: Path, count: int) -> Iterator[str]:
    """Yield the rows of many videos that come at once."""
    root, aside = scratch / "videos", scratch / "aside"
    for made in (root, aside, scratch / "config"):
        made.mkdir()
    for number in range(count):
        (aside / f"Film {number:05}.mkv").write_bytes(film(str(number)))
    settings = load_settings(
        videos_dir=root, config_dir=scratch / "config", target_langs="pl", settle_seconds=1,
        scan_interval=3600,
    )  # fmt: skip
    probed: Counter[Path] = Counter()

    def look(path: Path) -> Probe:
        probed[path] += 1
        return read_film(path)

    with Store.open(settings.database_path) as store:
        library = Library(settings, store, lambda: None, probe=look)
        library.start()
        eventually(lambda: library.health().last_scan_at, "first scan", DEADLINE_S)
        own = psutil.Process()
        cpu_s, started_s = sum(own.cpu_times()[:2]), time.monotonic()
        (aside).rename(root / "dropped")
        eventually(
            lambda: store.jobs.counts().get(JobState.QUEUED, 0) >= count, "queued", DEADLINE_S
        )
        took_s = time.monotonic() - started_s
        cpu_s = sum(own.cpu_times()[:2]) - cpu_s
        library.scan()
        before = library.health().last_scan_at
        eventually(lambda: library.health().last_scan_at != before, "scan", DEADLINE_S)
        eventually(lambda: not library.health().settling, "settled", DEADLINE_S)
        jobs = Counter(job.video.path for job in store.jobs.queue())
        library.stop()
    once = sum(1 for times in jobs.values() if times == 1)
    yield f"| {count} videos dropped at once: until all are queued | {took_s:.0f} s |"
    yield f"| of that on the CPU | {cpu_s:.0f} s |"
    yield f"| of them queued exactly once | {once} |"
    yield f"| queued more than once, or not at all | {count - once} |"
    yield f"| looked into more than once | {sum(times > 1 for times in probed.values())} |"
    real = make_talk(scratch / "Real.mkv", 8.0)
    started_s = time.monotonic()
    for _ in range(20):
        probe(real)
    yield f"| one look with ffprobe | {(time.monotonic() - started_s) / 20 * 1000:.0f} ms |"
    assert threading.active_count() < 20


def main() -> None:
    """Run all, print the table, and save it when asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", type=int, default=20_000)
    parser.add_argument("--videos", type=int, default=1, help="of the five files of a folder")
    parser.add_argument("--drop", type=int, default=10_000)
    parser.add_argument("--idle", type=float, default=60.0, help="seconds to measure")
    parser.add_argument("--save", action="store_true")
    told = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    rows: list[str] = []
    scratch = Path(tempfile.mkdtemp(prefix="dubarr-library-"))
    try:
        for name in ("idle", "drop"):
            (scratch / name).mkdir()
        for row in chain(
            library_rows(scratch / "idle", told.folders, told.videos, told.idle),
            drop_rows(scratch / "drop", told.drop),
        ):
            rows.append(row)
            print(row, file=sys.stderr, flush=True)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    load = f"load average {os.getloadavg()[0]:.1f} at the end"
    text = "\n".join([
        "# A large library", "", f"{datetime.now():%Y-%m-%d}, {machine}, {load}.", "",  # noqa: DTZ005
        "| what | |", "| --- | ---: |", *rows, "",
    ])  # fmt: skip
    sys.stdout.write(text)
    if told.save:
        (RESULTS / f"library-{datetime.now():%Y-%m-%d}.md").write_text(text, encoding="utf-8")  # noqa: DTZ005


if __name__ == "__main__":
    main()
