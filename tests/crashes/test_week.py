"""A short form of the week that `make soak` simulates."""

from __future__ import annotations

from pathlib import Path

from tests.crashes.week import WORK_GIB, live

JOBS = 30


def test_nothing_grows_with_the_number_of_jobs(tmp_path: Path) -> None:
    """Looser bounds than the soak's, for so few jobs hardly get past the warm-up."""
    week = live(tmp_path, JOBS, together=5)
    assert week.jobs >= JOBS
    assert week.ended == {"done": week.jobs}
    for what in ("memory", "speech_memory", "descriptors", "speech_descriptors", "threads"):
        assert week.growth(what) < 1.1, what
    assert max(sample.work for sample in week.samples) <= WORK_GIB * 2**20
    assert week.untold >= JOBS // 2
    assert week.told_late <= 2, "a digest, or two when one was on its way"
