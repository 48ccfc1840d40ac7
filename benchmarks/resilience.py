"""What was done to the program, and what became of it: one table, zeros where zeros belong.

    python -m benchmarks.resilience [--long] [--seed N] [--save]

The short form takes some minutes; `make soak` runs the long one. Each part is a function that does
the damage and yields rows and, to come after the table, pages of detail. Any number but zero in the
last column ends it with 1.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import structlog

from benchmarks import soak
from benchmarks.inputs import try_inputs
from tests.any_input import PARSERS
from tests.refusals import ask_for_what_is_forbidden
from tests.secrets_search import search

RESULTS = Path(__file__).parent / "results"
TESTS = Path(__file__).parents[1] / "tests"
FAULTS = {
    "ffmpeg and ffprobe that hang, flood or lie": ["test_hostile_tools.py"],
    "links put in a file's place, meanwhile": ["test_confines.py"],
    "disks that are full, over their quota, read-only or away": [
        "dubbing/test_full_disks.py", "dubbing/test_file_systems.py",
        "test_full_disks_elsewhere.py", "test_space.py", "test_storage.py", "test_bad_input.py",
        "library/test_mounts.py", "library/test_disks.py",
    ],
    "services that fail, refuse, lie or never answer": [
        "engines/llm/test_service_faults.py", "dubbing/test_hostile_answers.py",
        "web/test_hostile.py", "neighbours/test_telling.py",
    ],
    "a database that is locked, damaged, read-only or away": [
        "store/test_backups.py", "store/test_single_writer.py", "cli/test_restore.py",
        "crashes/test_database_away.py",
    ],
}  # fmt: skip
"""Tests that do damage, by its kind: every case is a fault that is really injected."""

EACH, FUZZ_S = (1, 20), (30, 600)
"""Of the short form and of the long one."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        what: Was done.
        times: How often.
        lost: How often it did what it must not.
        told: What, for those.
    """

    what: str
    times: int
    lost: int
    told: tuple[str, ...] = ()


def kills(folder: Path, seed: int, *, long: bool) -> Iterator[Row | str]:
    """Kill the program and its parts at random moments, and at named steps of publishing."""
    killed = soak.kill(soak.KILLS if long else soak.SHORT_KILLS, seed)
    told = tuple(f"{what}: {one}" for what, seen in killed.found.items() for one in seen)
    yield Row("kills survived", sum(killed.times.values()), len(told), told)
    yield "\n".join(["## Kills", "", *soak.deaths(killed)])


def week(folder: Path, seed: int, *, long: bool) -> Iterator[Row | str]:
    """Let one daemon work for a simulated week; only the long form is long enough to judge."""
    jobs, together = (soak.JOBS, soak.TOGETHER) if long else (soak.SHORT_JOBS, soak.SHORT_TOGETHER)
    lived = soak.week(jobs, together=together)
    grown = [what for what in soak.FLAT if long and lived.growth(what) > soak.MOST_GROWTH]
    yield Row("jobs of a week done by one daemon, which of its figures grew", lived.jobs,
              len(grown), tuple(grown))  # fmt: skip
    yield "\n".join(["## A week", "", *soak.growth(lived)])


def faults(folder: Path, seed: int, *, long: bool) -> Iterator[Row | str]:
    """Inject faults by the tests that do."""
    for what, files in FAULTS.items():
        ran, failed = run_cases([TESTS / name for name in files], folder)
        yield Row(f"faults injected: {what}", ran, len(failed), tuple(failed))


def run_cases(files: Sequence[Path], folder: Path) -> tuple[int, list[str]]:
    """Return how many cases of some tests ran, and the names of those that failed."""
    told = folder / "cases.xml"
    told.unlink(missing_ok=True)
    options = ["-q", "-p", "no:cacheprovider", f"--basetemp={folder / 'cases'}",
               f"--junitxml={told}"]  # fmt: skip
    subprocess.run(
        [sys.executable, "-m", "pytest", *map(str, files), *options],
        stdout=subprocess.DEVNULL, check=False, cwd=TESTS.parent,
    )  # fmt: skip
    cases = list(ElementTree.parse(told).iter("testcase"))
    ran = [case for case in cases if case.find("skipped") is None]
    failed = [case for case in ran if {"failure", "error"} & {part.tag for part in case}]
    if not ran:
        return 0, ["nothing ran"]
    return len(ran), [f"{case.get('classname')}::{case.get('name')}" for case in failed]


def inputs(folder: Path, seed: int, *, long: bool) -> Iterator[Row | str]:
    """Dub whole, damaged and cut videos, and give every parser bytes."""
    tried = try_inputs(folder, EACH[long])
    for kind, endings in tried.endings.items():
        unforeseen = endings["unforeseen"]
        told = tuple(one for one in tried.told if one.startswith(f"{kind}:"))
        yield Row(f"inputs tried: {kind} videos", sum(endings.values()), unforeseen, told)
    yield Row("inputs tried: what all of them left (files, threads, processes)", 1,
              int(tried.left != ""), (tried.left,) if tried.left else ())  # fmt: skip
    try:
        import atheris  # noqa: F401
    except ImportError:
        yield Row("inputs tried: bytes from a fuzzer (run by `make fuzz`)", 0, 0)
        return
    from benchmarks.fuzz import fuzz

    found = fuzz(FUZZ_S[long])
    broken = tuple(fault for _, fault in found.values() if fault)
    what = f"inputs tried: bytes from a fuzzer, by {len(PARSERS)} parsers"
    yield Row(what, sum(count for count, _ in found.values()), len(broken), broken)


def secrets(folder: Path, seed: int, *, long: bool) -> Iterator[Row | str]:
    """Look for every secret everywhere after a job."""
    hunt = search(folder)
    what = f"secrets searched for, each in {hunt.places} places"
    yield Row(what, len(hunt.secrets), len(hunt.found), tuple(hunt.found))


def requests(folder: Path, seed: int, *, long: bool) -> Iterator[Row | str]:
    """Ask for what nobody may have."""
    asked = ask_for_what_is_forbidden(folder)
    told = (*asked.let_in, *asked.strangers)
    yield Row("requests refused", sum(asked.refused.values()), len(told), told)


PARTS: tuple[Callable[..., Iterator[Row | str]], ...] = (
    kills,
    week,
    faults,
    inputs,
    secrets,
    requests,
)


def main() -> int:
    """Run every part, print the table, and fail when anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--only", choices=[part.__name__ for part in PARTS], action="append")
    parser.add_argument("--save", action="store_true")
    told = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    made: list[Row | str] = []
    with tempfile.TemporaryDirectory(prefix="dubarr-resilience-") as scratch:
        for part in PARTS:
            if told.only and part.__name__ not in told.only:
                continue
            begun = time.monotonic()
            folder = Path(scratch, part.__name__)
            folder.mkdir()
            try:
                made += part(folder, told.seed, long=told.long)
            except Exception as error:  # noqa: BLE001 - the others are worth their rows
                made.append(Row(f"{part.__name__}: did not come to its end", 1, 1, (repr(error),)))
            print(f"{part.__name__}: {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)
    rows = [one for one in made if isinstance(one, Row)]
    pages = [one for one in made if isinstance(one, str)]
    text = "\n".join([table(rows, told.seed, long=told.long), *(f"{page}\n" for page in pages)])
    sys.stdout.write(text)
    if told.save:
        form = "long" if told.long else "short"
        name = f"resilience-{form}-{datetime.now(UTC):%Y-%m-%d}.md"
        (RESULTS / name).write_text(text, encoding="utf-8")
    return int(any(row.lost for row in rows))


def table(rows: list[Row], seed: int, *, long: bool) -> str:
    """Return the table as a page."""
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    form = " --long" if long else ""
    lines = ["# What it survives", "",
             f"`python -m benchmarks.resilience{form}`, {datetime.now(UTC):%Y-%m-%d}, {machine}, "
             f"seed {seed}.", "", "| what was done | times | lost, leaked or let in |",
             "| --- | ---: | ---: |"]  # fmt: skip
    lines += [f"| {row.what} | {row.times:,} | {row.lost} |" for row in rows]
    lost = [f"- {row.what}: {one}" for row in rows for one in row.told]
    return "\n".join([*lines, "", *lost, *([""] if lost else [])])


if __name__ == "__main__":
    raise SystemExit(main())
