"""The program and its parts are killed twenty times; nothing is lost, doubled or left behind."""

from __future__ import annotations

from pathlib import Path

from tests.crashes.harness import NAMED, Harness

SEED = 20
KILLS = 20


def test_nothing_is_lost_by_twenty_deaths(tmp_path: Path) -> None:
    """A third of them at a step of publishing, each step once."""
    harness = Harness(tmp_path, SEED, NAMED[::3])
    harness.run(KILLS)
    assert harness.damage.found == {}
    assert sum(harness.kills.values()) == KILLS
    assert harness.published >= 4 * harness.videos, "track, subtitles, video and report of each"
