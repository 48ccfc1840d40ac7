"""Faults by the hundred and jobs by the thousand: a table with zeros where zeros belong.

    python -m benchmarks.soak [--short] [--seed N] [--kills N] [--jobs N] [--minutes N] [--save]

First the program, its engines, its speech process, its language model's server and ffmpeg are
killed with SIGKILL at random moments, and the program at every named step of publishing. Then one
daemon does thousands of jobs in a row, each day of a week shortened. All on fake engines with real
files and processes. The seed repeats what is killed; when it happens the machine decides.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tests.crashes.harness import NAMED, Harness
from tests.crashes.week import Week, live

RESULTS = Path(__file__).parent / "results"
KILLS, JOBS, TOGETHER = 240, 5000, 40
SHORT_KILLS, SHORT_JOBS, SHORT_TOGETHER = 20, 30, 10
MOST_GROWTH = 1.05
FLAT = ("memory", "descriptors", "threads", "speech_memory", "speech_descriptors", "database")
"""What must not be more at the end than after the warm-up, but for a twentieth."""

_CAPPED = ("work", "reports")


@dataclass(frozen=True)
class Kills:
    """What was killed, and what was found to be wrong afterwards.

    Attributes:
        times: How often each target was killed with SIGKILL; `track written`, say, is the program
            after that step of publishing.
        found: What was seen of each kind of damage; every list should be empty.
        published: Files that were looked at in the moment in which they got their final name.
    """

    times: Mapping[str, int]
    found: Mapping[str, Sequence[str]]
    published: int


def kill(kills: int, seed: int) -> Kills:
    """Kill so often, let everything end, and look for damage."""
    named = NAMED[::3] if kills < 2 * len(NAMED) else NAMED * (kills // (4 * len(NAMED)) or 1)
    with tempfile.TemporaryDirectory(prefix="dubarr-soak-") as scratch:
        harness = Harness(Path(scratch), seed, named)
        harness.run(kills)
    return Kills(harness.kills, vars(harness.damage), harness.published)


def week(jobs: int, *, together: int = TOGETHER, longest_s: float = math.inf) -> Week:
    """Let one daemon do so many jobs; see `tests.crashes.week.live`."""
    with tempfile.TemporaryDirectory(prefix="dubarr-soak-") as scratch:
        return live(Path(scratch), jobs, together=together, longest_s=longest_s)


def is_flat(lived: Week) -> bool:
    """Tell whether nothing has grown with the number of jobs."""
    return all(lived.growth(what) <= MOST_GROWTH for what in FLAT)


def deaths(killed: Kills) -> Iterator[str]:
    """Yield the rows of the first half."""
    yield "| killed with SIGKILL | times |"
    yield "| --- | ---: |"
    for target, times in sorted(killed.times.items()):
        where = f"the program, after `{target}`" if target in NAMED else target
        yield f"| {where} | {times} |"
    yield f"| **all** | **{sum(killed.times.values())}** |"
    yield ""
    yield "| found afterwards | |"
    yield "| --- | ---: |"
    for what, seen in killed.found.items():
        yield f"| {what.replace('_', ' ')} | {len(seen)} |"
    yield ""
    yield f"{killed.published} files were opened in the moment in which they got their final name."
    for what, seen in killed.found.items():
        yield from (f"- {what}: {one}" for one in seen)


def growth(lived: Week) -> Iterator[str]:
    """Yield the rows of the second half."""
    first, last = lived.samples[0], lived.samples[-1]
    yield (
        f"{lived.jobs} jobs in one daemon in {lived.seconds / 60:.0f} minutes, which ended so: "
        + ", ".join(f"{count} {state}" for state, count in lived.ended.items())
        + "."
    )
    yield ""
    yield "| the daemon's | first | last | most | after warm-up |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    for what in (*FLAT, *_CAPPED):
        unit = "" if what.endswith(("descriptors", "threads")) else " KiB"
        most = max(getattr(sample, what) for sample in lived.samples)
        yield (
            f"| {what.replace('_', ' ')} | {getattr(first, what)}{unit} "
            f"| {getattr(last, what)}{unit} | {most}{unit} | x{lived.growth(what):.2f} |"
        )
    yield f"| log | | {lived.log_kib} KiB | | to standard error, for the system to rotate |"
    yield ""
    yield (
        f"{lived.untold} jobs ended while the push service was away; once it was back it heard "
        f"{lived.told_late} messages until it had heard all, and {lived.told} in the whole week."
    )


def main() -> None:
    """Run both halves, print the table, and fail when anything was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--kills", type=int)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--minutes", type=float, default=math.inf, help="the longest week")
    parser.add_argument("--save", action="store_true")
    told = parser.parse_args()
    print(f"seed {told.seed}", file=sys.stderr)
    killed = kill(told.kills or (SHORT_KILLS if told.short else KILLS), told.seed)
    lived = week(
        told.jobs or (SHORT_JOBS if told.short else JOBS),
        together=SHORT_TOGETHER if told.short else TOGETHER,
        longest_s=60 * told.minutes,
    )
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    lines = ["# Faults and long runs", "", f"{datetime.now():%Y-%m-%d}, {machine}, "  # noqa: DTZ005
             f"seed {told.seed}.", "", *deaths(killed), "", *growth(lived), ""]  # fmt: skip
    text = "\n".join(lines)
    sys.stdout.write(text)
    if told.save:
        (RESULTS / f"soak-{datetime.now():%Y-%m-%d}.md").write_text(text, encoding="utf-8")  # noqa: DTZ005
    if any(killed.found.values()) or not (told.short or is_flat(lived)):
        sys.exit(1)


if __name__ == "__main__":
    main()
