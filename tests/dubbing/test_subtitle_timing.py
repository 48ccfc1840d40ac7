"""Subtitles of other releases."""

from __future__ import annotations

import random

import pytest

from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.subtitle_timing import FEWEST, MOST_S, RATES, in_time
from dubarr_watch.dubbing.subtitles import FoundSubtitles
from dubarr_watch.engines.base import Span

FILM_S = 5400.0


def speech(seed: int, duration_s: float = FILM_S) -> list[Span]:
    """Somebody speaks for some seconds, then nobody, and so on."""
    dice, found, at_s = random.Random(seed), [], 0.0
    while at_s < duration_s - 12:
        at_s += dice.expovariate(1 / 3) + 0.2
        found.append(Span(at_s, at_s + dice.uniform(0.5, 5)))
        at_s = found[-1].end_s
    return found


def cues_of(voice: list[Span], seed: int = 7, keep: float = 0.85) -> list[Cue]:
    """Show most of it, a bit early and for a bit longer, as subtitles do."""
    dice = random.Random(seed)
    return [
        Cue(max(0, one.start_s - dice.uniform(0, 0.3)), one.end_s + dice.uniform(0, 0.8), f"{n}")
        for n, one in enumerate(voice)
        if dice.random() < keep
    ]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("shift_s", [-40.0, 0.0, 3.0, 59.0])
def test_subtitles_of_another_release_are_moved(rate: float, shift_s: float) -> None:
    voice = speech(1)
    true = cues_of(voice)
    wrong = [
        Cue(start_s, (one.end_s - shift_s) / rate, one.text)
        for one in true
        if (start_s := (one.start_s - shift_s) / rate) >= 0
    ]
    found = in_time(FoundSubtitles(wrong, [wrong[0]]), voice, FILM_S)
    right = {one.text: one for one in true}
    assert all(abs(one.start_s - right[one.text].start_s) < 0.5 for one in found.cues)
    assert found.songs == found.cues[:1]
    assert bool(found.notes) == (rate != 1.0 or shift_s != 0)


def test_subtitles_in_time_stay_as_they_are() -> None:
    """To the sample, with no note; also a short film's, and few of them."""
    for duration_s in (60.0, 180.0, FILM_S):
        voice = speech(2, duration_s)
        told = FoundSubtitles(cues_of(voice), [])
        assert in_time(told, voice, duration_s) == told
    few = FoundSubtitles([Cue(n + 40.0, n + 40.5, "x") for n in range(FEWEST - 1)], [])
    assert in_time(few, speech(2), FILM_S) == few


def test_subtitles_of_another_film_are_left_out() -> None:
    told = FoundSubtitles(cues_of(speech(3)), [], ["before"])
    found = in_time(told, speech(4), FILM_S)
    assert found.cues == []
    assert found.notes[0] == "before"
    assert "another film" in found.notes[1]


@pytest.mark.parametrize("seed", range(12))
def test_a_short_film_moves_nothing_by_chance(seed: int) -> None:
    """Three minutes of speech look like three others somewhere."""
    told = FoundSubtitles(cues_of(speech(100 + seed, 180)), [])
    assert in_time(told, speech(seed, 180), 180) == told


def test_what_is_too_far_off_is_not_looked_for() -> None:
    voice = speech(5)
    wrong = [Cue(one.start_s + MOST_S + 5, one.end_s + MOST_S + 5, "x") for one in cues_of(voice)]
    assert in_time(FoundSubtitles(wrong, []), voice, FILM_S).cues == []


@pytest.mark.parametrize("voice", [[], [Span(0, FILM_S)]])
def test_voice_everywhere_or_nowhere_tells_nothing(voice: list[Span]) -> None:
    told = FoundSubtitles(cues_of(speech(6)), [])
    assert in_time(told, voice, FILM_S) == told
