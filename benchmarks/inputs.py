"""What becomes of whole, damaged and cut videos: `python -m benchmarks.inputs [--each 20]`.

Each goes through the library's look at it and through a job on fakes. Prints a table of how each
kind ended, and what it left behind; exits with 1 when anything ended unforeseen.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import structlog

from tests.composing import make_talk, open_shop
from tests.corpus import making
from tests.corpus.ending import UNEXPECTED, Held, end_of

KINDS = ("whole", "damaged", "cut")


def inputs(folder: Path, each: int) -> Iterator[tuple[str, Callable[[], Path]]]:
    for name in making.RECIPES:
        yield "whole", lambda name=name: making.make(name, folder)  # type: ignore[misc]
        for number in range(each):
            share = (number + 0.5) / each
            yield "damaged", lambda name=name, seed=number: making.damaged(name, folder, seed)  # type: ignore[misc]
            yield "cut", lambda name=name, share=share: making.cut(name, folder, share)  # type: ignore[misc]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--each", type=int, default=20, help="damaged and cut ones of each kind")
    each = parser.parse_args().each
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    found: Counter[tuple[str, str]] = Counter()
    slowest_s = 0.0
    with tempfile.TemporaryDirectory() as scratch, open_shop(Path(scratch), max_attempts=1) as shop:
        shop.dub(make_talk(shop.videos / "Warm-up.mkv", 4.0))
        held = Held.now()
        for kind, make in inputs(shop.videos, each):
            path = make()
            ending = end_of(shop, path)
            state = "unforeseen" if UNEXPECTED in ending.reason else ending.state.value
            found[kind, state] += 1
            slowest_s = max(slowest_s, ending.seconds)
            path.unlink()
        leaked = held != Held.now()
    states = sorted({state for _, state in found} | {"unforeseen"})
    print(
        f"# Inputs, {datetime.now(UTC):%Y-%m-%d}\n\n`python -m benchmarks.inputs --each {each}`\n"
    )
    print("| kind | tried |", *(f"{state} |" for state in states))
    print("| --- |", "--- |" * (len(states) + 1))
    for kind in KINDS:
        row = [found[kind, state] for state in states]
        print(f"| {kind} | {sum(row)} |", *(f"{count} |" for count in row))
    print(f"\nFiles, threads or processes left: {'some' if leaked else 0}. ", end="")
    print(f"The slowest took {slowest_s:.0f} s.")
    return int(leaked or any(state == "unforeseen" for _, state in found))


if __name__ == "__main__":
    raise SystemExit(main())
