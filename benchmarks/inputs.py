"""What becomes of whole, damaged and cut videos: `python -m benchmarks.inputs [--save]`.

Each goes through the library's look at it and through a job on fakes. Prints a table of how each
kind ended, and what it left behind; exits with 1 when anything ended unforeseen.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog

from dubarr_watch.errors import DubarrError
from dubarr_watch.media import probe
from tests.composing import make_talk, open_shop
from tests.corpus import making
from tests.corpus.ending import UNEXPECTED, Held, end_of

RESULTS = Path(__file__).parent / "results"
LONGEST_S = 60.0


@dataclass
class Tried:
    """What became of them.

    Attributes:
        endings: How often each state ended which kind; `unforeseen` should be zero.
        left: Files, threads, processes or temporary files that were left; empty: none.
        slowest_s: The longest that one took.
        told: What ended unforeseen, after its kind.
    """

    endings: dict[str, Counter[str]] = field(default_factory=dict)
    left: str = ""
    slowest_s: float = 0.0
    told: list[str] = field(default_factory=list)


def try_inputs(folder: Path, each: int) -> Tried:
    """Dub them all in one shop, so that what leaks adds up.

    Args:
        folder: Empty.
        each: How many damaged and how many cut ones of every video.
    """
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    tried = Tried()
    kept, tempfile.tempdir = tempfile.tempdir, str(folder / "temporary")
    (folder / "temporary").mkdir()
    try:
        with open_shop(folder, max_attempts=1) as shop:
            for number in range(2):
                shop.dub(make_talk(shop.videos / f"Warm-up {number}.mkv", 4.0))
            making.make("h264-aac.mp4", shop.videos)  # its cache is a temporary folder, too
            held = Held.now()
            for kind, make in _inputs(shop.videos, each):
                path = make()
                ending = end_of(shop, path)
                hung = ending.seconds > patience_s(path)
                foreseen = UNEXPECTED not in ending.reason and ending.state.ended and not hung
                state = ending.state.value if foreseen else "unforeseen"
                tried.endings.setdefault(kind, Counter())[state] += 1
                tried.slowest_s = max(tried.slowest_s, ending.seconds)
                if not foreseen:
                    tried.told.append(f"{kind}: {path.name}: {ending}")
                path.unlink()
            now = Held.now()
            tried.left = "" if now == held else f"{held} before, {now} after"
    finally:
        tempfile.tempdir = kept
    return tried


def patience_s(path: Path) -> float:
    """Return how long a video may take: damage can make one of seconds claim to last for hours."""
    try:
        return LONGEST_S + probe(path).duration_s / 10
    except DubarrError:
        return LONGEST_S


def _inputs(folder: Path, each: int) -> Iterator[tuple[str, Callable[[], Path]]]:
    for name in making.RECIPES:
        yield "whole", partial(making.make, name, folder)
        for number in range(each):
            yield "damaged", partial(making.damaged, name, folder, number)
            yield "cut", partial(making.cut, name, folder, (number + 0.5) / each)


def main() -> int:
    """Try them, print the table, and fail when anything ended unforeseen or is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=20, help="damaged and cut ones of each video")
    parser.add_argument("--save", action="store_true")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        tried = try_inputs(Path(scratch), told.each)
    states = sorted({state for found in tried.endings.values() for state in found} | {"unforeseen"})
    lines = [f"# Inputs, {datetime.now(UTC):%Y-%m-%d}", "",
             f"`python -m benchmarks.inputs --each {told.each}`, on fakes with real files.", "",
             f"| kind | tried | {' | '.join(states)} |",
             f"| --- |{' ---: |' * (len(states) + 1)}"]  # fmt: skip
    for kind, found in tried.endings.items():
        row = " | ".join(str(found[state]) for state in states)
        lines.append(f"| {kind} | {sum(found.values())} | {row} |")
    lines += ["", f"Files, threads, processes or temporary files left: {tried.left or 0}.",
              f"The slowest took {tried.slowest_s:.0f} s.",
              *(f"- {one}" for one in tried.told), ""]  # fmt: skip
    text = "\n".join(lines)
    sys.stdout.write(text)
    if told.save:
        name = f"inputs-{datetime.now(UTC):%Y-%m-%d}.md"
        (RESULTS / name).write_text(text, encoding="utf-8")
    return int(bool(tried.left or tried.told))


if __name__ == "__main__":
    raise SystemExit(main())
