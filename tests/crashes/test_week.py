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
    for what in ("memory", "speech_memory", "speech_descriptors", "threads"):
        assert week.growth(what) < 1.1, what
    held = [sample.descriptors for sample in week.samples]
    assert min(held[-3:]) <= min(held[:3]) + JOBS // 2, "but for those of threads that come and go"
    assert max(sample.work for sample in week.samples) <= WORK_GIB * 2**20
    assert week.untold >= JOBS // 2
    assert week.told_late <= 3, "what ended just now, then all the others, then the last ones"
