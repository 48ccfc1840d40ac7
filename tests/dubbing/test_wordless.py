"""Laughs and breaths of the original that no take replaces; what is measured is the track."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.mixing import mix
from dubarr_watch.dubbing.programme import Programme
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, PlacedTake
from dubarr_watch.dubbing.wordless import (
    FADE_S,
    WordlessSound,
    heard_spans,
    wordless_note,
)
from dubarr_watch.engines.base import Span
from tests.dubbing.test_layouts import decoded, level_db, take, tone

SECONDS = 12.0
MUSIC_HZ, VOICE_HZ = (200, 260, 330, 60, 370, 410), 3000
LINE, LAUGH, UNDER = Span(2.0, 5.0), Span(7.0, 8.0), Span(9.5, 10.5)


def stems(folder: Path, channels: int) -> tuple[Path, Path]:
    """Write an original and what is left of it without voices.

    Somebody speaks a line and laughs twice, in the third channel or, in stereo, on the left.
    """
    bed = np.stack([0.02 * tone(hz, SECONDS) for hz in MUSIC_HZ[:channels]], axis=1)
    original = bed.copy()
    for span in (LINE, LAUGH, UNDER):
        first, voice = round(span.start_s * SAMPLE_RATE), 0.2 * tone(VOICE_HZ, span.duration_s)
        original[first : first + len(voice), 0 if channels == 2 else 2] += voice
    for name, sound in (("original", original), ("rest", bed)):
        soundfile.write(folder / f"{name}.flac", sound, SAMPLE_RATE, subtype="PCM_16")
    return folder / "original.flac", folder / "rest.flac"


@pytest.mark.parametrize("channels", [2, 6])
@pytest.mark.parametrize("separated", [True, False])
def test_a_laugh_is_heard_as_loud_and_where_it_was(
    channels: int, separated: bool, tmp_path: Path
) -> None:
    """As far above the music as in the original; what a take lies over is not heard twice."""
    original, rest = stems(tmp_path, channels)
    bed, style = (rest, "without voices") if separated else (original, "dub")
    lines = [
        MixLine(take(tmp_path / "0.wav", LINE.start_s), LINE, 0),
        MixLine(take(tmp_path / "1.wav", 8.9), Span(8.9, 9.4), 0),
    ]
    spans = heard_spans([LAUGH, UNDER], [line.take for line in lines])
    assert spans == [LAUGH]
    mix(Programme(original, bed, lines, SECONDS, style=style, wordless=spans), tmp_path / "o.mka")
    heard = decoded(tmp_path / "o.mka", channels)
    voice = 0 if channels == 2 else 2
    music_db = level_db(heard[:, 0], MUSIC_HZ[0], 7.1, 7.9)
    assert level_db(heard[:, 0], MUSIC_HZ[0], 0.2, 1.7) == pytest.approx(music_db, abs=0.5)
    laugh_db = level_db(heard[:, voice], VOICE_HZ, 7.1, 7.9)
    assert laugh_db - music_db == pytest.approx(20, abs=1), "0.2 over 0.02"
    for span in (LINE, UNDER):
        lost_db = level_db(heard[:, voice], VOICE_HZ, span.start_s + 0.1, span.end_s - 0.1)
        assert lost_db < laugh_db - 18, "the dub speaks here"
    others = set(range(channels)) - {voice}
    assert all(level_db(heard[:, c], VOICE_HZ, 7.1, 7.9) < laugh_db - 40 for c in others)


def test_it_comes_and_goes_under_a_short_fade(tmp_path: Path) -> None:
    """Outside of a stretch within 50 ms; no step where blocks meet, nothing anywhere else."""
    ones = np.full((5 * SAMPLE_RATE, 2), 0.5)
    soundfile.write(tmp_path / "o.wav", ones, SAMPLE_RATE, subtype="FLOAT")
    spans = [Span(0.01, 0.5), Span(0.95, 1.2), Span(2.0, 2.2), Span(4.9, 5.5)]
    whole = np.zeros((6 * SAMPLE_RATE, 2), dtype=np.float32)
    parts = whole.copy()
    with WordlessSound(tmp_path / "o.wav", spans) as sound:
        sound.lay_over(whole, 0)
    with WordlessSound(tmp_path / "o.wav", spans) as sound:
        for start in range(0, len(parts), 10_007):
            sound.lay_over(parts[start : start + 10_007], start)
    assert np.array_equal(whole, parts)
    for span in spans[1:3]:
        first, last = (round(at * SAMPLE_RATE) for at in (span.start_s, span.end_s))
        assert whole[first:last] == pytest.approx(0.5)
        fade = round(FADE_S * SAMPLE_RATE)
        assert not whole[first - fade - 10_000 : first - fade].any()
        assert not whole[last + fade : last + fade + 10_000].any()
    assert np.abs(np.diff(whole[1000 : 4 * SAMPLE_RATE, 0])).max() < 0.001


def test_only_what_no_take_lies_over_is_heard() -> None:
    """Takes cut what they lie over out of a stretch, and pieces too short to be a sound."""

    def found(wordless: list[tuple[float, float]], *takes: tuple[float, float]) -> list[object]:
        placed = [PlacedTake(Path("t"), start_s, end_s - start_s) for start_s, end_s in takes]
        heard = heard_spans([Span(*pair) for pair in wordless], placed)
        return [pytest.approx((span.start_s, span.end_s)) for span in heard]

    assert found([(1, 2)]) == [(1, 2)]
    assert found([(1, 2), (3, 4)], (0, 0.9), (2.2, 2.7), (4.2, 5)) == [(1, 2), (3, 4)]
    assert found([(1, 4)], (2, 3)) == [(1, 1.95), (3.05, 4)]
    assert found([(1, 2), (3, 4), (5, 6)], (1.5, 5.5)) == [(1, 1.45), (5.55, 6)]
    assert found([(1, 5)], (1.5, 4), (2, 2.5), (3.9, 4.2)) == [(1, 1.45), (4.25, 5)]
    assert found([(1, 2)], (1.14, 3)) == []
    assert found([(1, 2)], (0.5, 1.5), (1.6, 3)) == []
    assert found([], (1, 2)) == []


def test_the_report_says_how_often() -> None:
    """Nothing where there is none."""
    assert wordless_note([]) == []
    (once,) = wordless_note([Span(1, 2.5)])
    assert "1 time, 1.5 s" in once
    (twice,) = wordless_note([Span(1, 2.5), Span(3, 4)])
    assert "2 times, 2.5 s" in twice
