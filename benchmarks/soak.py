"""Faults by the hundred and jobs by the thousand: a table with zeros where zeros belong.

    python -m benchmarks.soak [--short] [--seed N] [--kills N] [--jobs N] [--save]

First the program, its engines, its speech process, its language model's server and ffmpeg are
killed with SIGKILL at random moments, and the program at every named step of publishing. Then one
daemon does thousands of jobs in a row, each day of a week shortened. All on fake engines with real
files and processes. The seed repeats what is killed; when it happens the machine decides.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from tests.crashes.harness import NAMED, Harness
from tests.crashes.week import Week, live

RESULTS = Path(__file__).parent / "results"
KILLS, JOBS = 240, 5000
SHORT_KILLS, SHORT_JOBS = 20, 30
MOST_GROWTH = 1.05


def deaths(harness: Harness) -> Iterator[str]:
    """Yield the rows of the first half."""
    yield "| killed with SIGKILL | times |"
    yield "| --- | ---: |"
    for target, times in sorted(harness.kills.items()):
        where = f"the program, after `{target}`" if target in NAMED else target
        yield f"| {where} | {times} |"
    yield f"| **all** | **{sum(harness.kills.values())}** |"
    yield ""
    yield "| found afterwards | |"
    yield "| --- | ---: |"
    for what, found in vars(harness.damage).items():
        yield f"| {what.replace('_', ' ')} | {len(found)} |"
    for what, seen in harness.damage.found.items():
        yield from (f"- {what}: {one}" for one in seen)


def growth(week: Week) -> Iterator[str]:
    """Yield the rows of the second half."""
    first, last = week.samples[0], week.samples[-1]
    yield f"{week.ended['all']} jobs in one daemon, which ended so (those that the history keeps):"
    yield ", ".join(f"{count} {state}" for state, count in week.ended.items() if state != "all")
    yield ""
    yield "| the daemon's | first | last | most | after warm-up |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for what, unit in (("memory", " KiB"), ("descriptors", ""), ("threads", ""),
                       ("database", " KiB"), ("work", " KiB"), ("reports", " KiB")):  # fmt: skip
        most = max(getattr(sample, what) for sample in week.samples)
        yield (
            f"| {what} | {getattr(first, what)}{unit} | {getattr(last, what)}{unit} "
            f"| {most}{unit} | x{week.growth(what):.2f} |"
        )
    yield f"| log | | {week.log_kib} KiB | | to standard error, for the system to rotate |"


def main() -> None:
    """Run both halves, print the table, and fail when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kills", type=int)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--save", action="store_true")
    told = parser.parse_args()
    kills = told.kills or (SHORT_KILLS if told.short else KILLS)
    named = NAMED[::3] if kills < 2 * len(NAMED) else NAMED * (kills // (4 * len(NAMED)) or 1)
    print(f"seed {told.seed}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="dubarr-soak-") as scratch:
        for name in ("deaths", "week"):
            (Path(scratch) / name).mkdir()
        harness = Harness(Path(scratch) / "deaths", told.seed, named)
        harness.run(kills)
        week = live(Path(scratch) / "week", told.jobs or (SHORT_JOBS if told.short else JOBS))
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = ["# Faults and long runs", "", f"{datetime.now():%Y-%m-%d}, {machine}, "  # noqa: DTZ005
             f"seed {told.seed}.", "", *deaths(harness), "", *growth(week), ""]  # fmt: skip
    text = "\n".join(lines)
    sys.stdout.write(text)
    if told.save:
        (RESULTS / f"soak-{datetime.now():%Y-%m-%d}.md").write_text(text, encoding="utf-8")  # noqa: DTZ005
    flat = told.short or all(
        week.growth(what) <= MOST_GROWTH for what in ("memory", "descriptors", "threads")
    )
    if harness.damage.found or not flat:
        sys.exit(1)


if __name__ == "__main__":
    main()
