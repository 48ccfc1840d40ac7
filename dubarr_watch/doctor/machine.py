"""The machine itself, and what runs on it."""

from __future__ import annotations

import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

from dubarr_watch.doctor.result import CheckResult, failed, ok, skipped, warning
from dubarr_watch.engines.host import usable_threads
from dubarr_watch.settings import Settings
from dubarr_watch.store.owners import owner_is_alive
from dubarr_watch.store.reading import open_for_reading

MIB = 2**20
NEEDED_MIB = 2_000
"""Below this, the largest model of the embedded profile does not fit beside the rest."""
WANTED_MIB = 3_500
"""What machines that are sold with 4 GB have left for programs."""

_OLDEST_SQLITE = (3, 24, 0)
_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def check_processor(name: str, settings: Settings) -> CheckResult:
    """Count the cores that may be used."""
    return processor_result(name, usable_threads(settings))


def processor_result(name: str, cores: int) -> CheckResult:
    """Return what a number of cores means."""
    if cores < 2:
        return warning(
            name,
            "One core may be used: a dub takes longer than its video.",
            "Give it two cores or more, or raise THREADS.",
        )
    return ok(name, f"{cores} cores may be used.")


def check_memory(name: str, settings: Settings) -> CheckResult:
    """Look at the memory of the machine, or of the container."""
    return memory_result(name, total_memory_mib(), psutil.virtual_memory().available // MIB)


def total_memory_mib(limit: Path = _CGROUP_LIMIT) -> int:
    """Return how much memory there is for us, in MiB: a container's limit counts."""
    total = int(psutil.virtual_memory().total)
    try:
        words = limit.read_text(encoding="ascii").strip()
    except OSError:
        words = "max"
    return (min(total, int(words)) if words.isdecimal() else total) // MIB


def memory_result(name: str, total_mib: int, available_mib: int) -> CheckResult:
    """Return what an amount of memory means for the embedded profile."""
    found = f"{total_mib / 1024:.1f} GiB, {available_mib / 1024:.1f} of them free"
    advice = "The embedded profile needs about 4 GB while it dubs: add memory, or raise the limit."
    if total_mib < NEEDED_MIB:
        return failed(name, f"{found}.", advice)
    if total_mib < WANTED_MIB:
        return warning(name, f"{found}: it may not be enough.", advice)
    return ok(name, f"{found}.")


def check_sqlite(name: str, settings: Settings) -> CheckResult:
    """Look at the version of SQLite that Python was built with."""
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        return failed(
            name, f"{sqlite3.sqlite_version} is too old.", f"Use a Python with SQLite {oldest}."
        )
    return ok(name, f"{sqlite3.sqlite_version}.")


def check_database(name: str, settings: Settings) -> CheckResult:
    """Look through the whole database for damage."""
    store = open_for_reading(settings.database)
    if store is None:
        return skipped(name, "There is none yet; the first start makes it.")
    with store:
        damage = store.damage()
        jobs = sum(store.jobs.counts().values())
        size_mb = store.size_bytes() / 1e6
    if damage:
        return failed(
            name,
            f"It is damaged: {damage[0]}",
            "Move it away and restart, or restore a copy (beside it, ending in .bak).",
        )
    where = "On a server" if settings.database_url is not None else "Sound"
    return ok(name, f"{where}; {jobs} jobs, {size_mb:.1f} MB.")


def check_clock(name: str, settings: Settings) -> CheckResult:
    """Compare the clock with the time at which this program was installed."""
    return clock_result(name, time.time(), Path(__file__).stat().st_mtime)


def clock_result(name: str, now_s: float, installed_s: float) -> CheckResult:
    """Return whether a clock can be right: it is not before the program was made."""
    told = datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if now_s < installed_s - 86_400:
        return warning(
            name,
            f"It says {told}, which is before this program was installed.",
            "Set the clock: with a wrong one no hub can be reached, and no history is right.",
        )
    return ok(name, f"{told}.")


def check_daemon(name: str, settings: Settings) -> CheckResult:
    """Say whether the daemon runs; both are fine."""
    if owner_is_alive(settings.config_dir, "daemon"):
        return ok(name, "It is running.")
    return ok(name, "None is running; `dubarr-watch run` starts it.")
