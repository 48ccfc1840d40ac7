"""The fit planner alone: 10,000 lines, in a film of so many hours.

    python -m benchmarks.fit_planner [--lines 10000] [--save]

Goal: under a second.
"""

from __future__ import annotations

import argparse
import random
import time
from datetime import UTC, datetime

from benchmarks.embedded import RESULTS, Measured, as_table
from dubarr_watch.dubbing.fit_planner import FitLine, plan_in_slots, slots_of
from dubarr_watch.engines.base import Span

RUNS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=10_000)
    parser.add_argument("--save", action="store_true")
    arguments = parser.parse_args()
    table = as_table(measure(arguments.lines), "Fit planner")
    print(table)
    if arguments.save:
        day = datetime.now(UTC).date().isoformat()
        (RESULTS / f"fit-planner-{day}.md").write_text(table + "\n", "utf-8")


def measure(count: int) -> list[Measured]:
    """Plan as many lines, a few times, and return the best and the worst time."""
    lines = film(count)
    video_end_s = lines[-1].end_s + 5
    seconds: list[float] = []
    for _ in range(RUNS):
        started = time.perf_counter()
        plans = plan_in_slots(lines, slots_of(lines, video_end_s), 1.25)
        seconds.append(time.perf_counter() - started)
    changed = sum(plan.speed != 1 or bool(plan.cuts) for plan in plans)
    return [
        Measured("lines", f"{count}"),
        Measured("of these changed", f"{changed}"),
        Measured(f"time, best of {RUNS}", f"{min(seconds):.3f} s", "under 1 s"),
        Measured(f"time, worst of {RUNS}", f"{max(seconds):.3f} s", "under 1 s"),
    ]


def film(count: int) -> list[FitLine]:
    """Return lines as in a film: a tenth of them over the end of another, takes of all lengths."""
    chance = random.Random(7)
    lines: list[FitLine] = []
    start_s = 0.0
    for _ in range(count):
        length_s = chance.uniform(0.5, 8)
        take_s = length_s * chance.uniform(0.5, 1.6)
        pauses = tuple(Span(at * take_s, at * take_s + 0.3) for at in (0.2, 0.5))
        words = tuple(take_s * n / 12 for n in range(1, 12))
        lane = int(chance.random() < 0.1)
        if lane and lines and not lines[-1].lane:
            start_s = lines[-1].end_s - 0.4
        lines.append(FitLine(start_s, start_s + length_s, take_s, 0.0, pauses, words, lane))
        start_s += length_s + chance.uniform(0, 1)
    return lines


if __name__ == "__main__":
    main()
