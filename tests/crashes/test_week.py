"""A short form of the week that `make soak` simulates."""

from __future__ import annotations

from pathlib import Path

from tests.crashes.week import VIDEOS, WORK_GIB, live

JOBS = 30


def test_nothing_grows_with_the_number_of_jobs(tmp_path: Path) -> None:
    """Looser bounds than the soak's, for so few jobs hardly get past the warm-up."""
    week = live(tmp_path, JOBS)
    assert week.ended["all"] == VIDEOS + JOBS
    assert set(week.ended) == {"done", "all"}
    assert week.growth("memory") < 1.1
    assert week.growth("descriptors") <= 1.1
    assert week.growth("threads") <= 1.1
    assert max(sample.work for sample in week.samples) <= WORK_GIB * 2**20
