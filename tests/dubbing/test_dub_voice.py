"""Where a dub has voice, after a change too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing.dub_voice import DubVoice, find_voice
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, PlacedTake
from dubarr_watch.engines.base import Span
from tests.dubbing.sound_files import save_tone

LENGTH_S = 120.0


class Ears:
    """Hears voice wherever there is sound, 50 ms longer at either end, as a detector does."""

    def __init__(self) -> None:
        self.heard_s: list[float] = []

    def __call__(self, recording: Path) -> list[Span]:
        samples, rate = soundfile.read(recording)
        assert rate == SAMPLE_RATE
        self.heard_s.append(len(samples) / rate)
        loud = np.abs(samples.reshape(-1, rate // 100)).max(axis=1) > 0.01
        edges = np.flatnonzero(np.diff(np.concatenate([[0], loud, [0]])))
        return [
            Span(first / 100 - 0.05, last / 100 + 0.05)
            for first, last in zip(edges[::2], edges[1::2], strict=True)
        ]


@pytest.fixture
def takes(tmp_path: Path) -> list[PlacedTake]:
    take = save_tone(tmp_path / "take.wav", 2.0)
    return [PlacedTake(take, 5.0 * number + 1, 2.0) for number in range(23)]


def found(
    takes: Sequence[PlacedTake], folder: Path, ears: Ears, before: DubVoice | None = None
) -> DubVoice:
    return find_voice(takes, LENGTH_S, "an engine", ears, folder / "speech.wav", before)


def same(one: DubVoice, other: DubVoice) -> bool:
    """Tell whether both are the same, to the hundredth of a second that the ears have."""
    assert len(one.spans) == len(other.spans)
    return all(
        abs(here.start_s - there.start_s) < 0.011 and abs(here.end_s - there.end_s) < 0.011
        for here, there in zip(one.spans, other.spans, strict=True)
    )


@pytest.mark.parametrize(
    ("numbers", "at_most_s"),
    [([10], 10), ([0], 10), ([22], 10), ([10, 11], 15), ([3, 17], 20)],
    ids=["one", "the first", "the last", "two together", "two apart"],
)
def test_only_what_is_around_a_change_is_heard_again(
    numbers: list[int], at_most_s: float, takes: list[PlacedTake], tmp_path: Path
) -> None:
    """And what is found is what is found when all of it is heard."""
    ears = Ears()
    before = found(takes, tmp_path, ears)
    assert ears.heard_s == [LENGTH_S]
    ears.heard_s.clear()
    longer = save_tone(tmp_path / "longer.wav", 3.0, 300)
    for number in numbers:
        takes[number] = PlacedTake(longer, takes[number].start_s + 0.3, 3.0)
    after = found(takes, tmp_path, ears, before)
    assert sum(ears.heard_s) <= at_most_s
    assert same(after, found(takes, tmp_path, Ears()))
    assert not same(replace(before, spans=after.spans), before)


@pytest.mark.parametrize("lasts_s", [5.0, 4.99, 4.9, 4.5])
def test_where_somebody_speaks_nearly_always(
    lasts_s: float, takes: list[PlacedTake], tmp_path: Path
) -> None:
    """A stretch ends between two takes, and the voice goes on over its ends as before."""
    long = save_tone(tmp_path / "long.wav", lasts_s)
    takes = [replace(take, duration_s=lasts_s, path=long) for take in takes]
    ears = Ears()
    before = found(takes, tmp_path, ears)
    takes[10] = replace(takes[10], duration_s=3.0)
    after = found(takes, tmp_path, ears, before)
    assert ears.heard_s[1] < 20
    assert same(after, found(takes, tmp_path, Ears()))


def test_lines_that_go_and_come(takes: list[PlacedTake], tmp_path: Path) -> None:
    ears = Ears()
    before = found(takes, tmp_path, ears)
    gone = takes.pop(10)
    between = found(takes, tmp_path, ears, before)
    assert len(between.spans) == len(before.spans) - 1
    takes.insert(10, gone)
    assert same(found(takes, tmp_path, ears, between), before)


def test_nothing_is_heard_where_nothing_changed(takes: list[PlacedTake], tmp_path: Path) -> None:
    ears = Ears()
    before = found(takes, tmp_path, ears)
    assert found(takes, tmp_path, ears, before) == before
    assert ears.heard_s == [LENGTH_S]


@pytest.mark.parametrize("other", [{"engine": "another"}, {"duration_s": 119.0}])
def test_what_another_engine_found_counts_for_nothing(
    other: dict[str, str | float], takes: list[PlacedTake], tmp_path: Path
) -> None:
    ears = Ears()
    before = replace(found(takes, tmp_path, ears), **other)  # type: ignore[arg-type]
    found(takes, tmp_path, ears, before)
    assert ears.heard_s == [LENGTH_S, LENGTH_S]
