"""How many speakers there are, on vectors whose likeness is known; no model is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.engines import dvector
from dubarr_watch.engines.base import Span
from dubarr_watch.engines.dvector import DVectorDiarizer

STRETCH_S, CELL_S = 3.0, 0.2
ROUGH = 0.14
"""Of a cell, in each of 256 directions: two stretches of 1.8 s of one sound come out 0.36 apart."""


def speakers_found(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    likeness: float,
    stretches: int,
    second_s: float = STRETCH_S - 0.1,
) -> int:
    """Return how many are heard where two sounds of that likeness take turns.

    The second lasts so many seconds each time.
    """
    rng = np.random.default_rng(5)
    own = np.zeros((2, 256))
    own[0, 0] = 1.0
    own[1, :2] = likeness, np.sqrt(1 - likeness**2)

    def listen(self: object, samples: object, span: Span) -> object:
        sound = own[round(span.start_s / STRETCH_S) % 2]
        cells = sound + rng.normal(0, ROUGH, (round(span.duration_s / CELL_S), 256))
        return dvector._Stretch(span, dvector._unit(cells.astype(np.float32)))

    monkeypatch.setattr(DVectorDiarizer, "_listen", listen)
    path = folder / "sound.wav"
    soundfile.write(path, np.zeros(round(stretches * STRETCH_S * 16_000)), 16_000)
    lasting_s = (STRETCH_S - 0.1, second_s)
    voice = [Span(n * STRETCH_S, n * STRETCH_S + lasting_s[n % 2]) for n in range(stretches)]
    turns = object.__new__(DVectorDiarizer).diarize(path, voice)
    return len({turn.speaker for turn in turns})


@pytest.mark.parametrize(("likeness", "speakers"), [(0.85, 1), (0.75, 1), (0.7, 2), (0.5, 2)])
def test_who_is_one_voice_in_all_that_is_said_is_one_speaker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, likeness: float, speakers: int
) -> None:
    """However different single stretches of it sound."""
    assert speakers_found(tmp_path, monkeypatch, likeness, 24) == speakers


@pytest.mark.parametrize(("second_s", "speakers"), [(1.0, 1), (1.4, 1), (1.8, 2), (2.4, 2)])
def test_who_never_speaks_long_enough_to_be_known_is_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, second_s: float, speakers: int
) -> None:
    """The end of a sentence that sounds otherwise each time is no other person's."""
    assert speakers_found(tmp_path, monkeypatch, 0.4, 24, second_s) == speakers
