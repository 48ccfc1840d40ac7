"""A recording heard in ranges is, joined, what it is heard at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.cluster.divided import divided
from dubarr_watch.engines.fakes import FakeTranscriber


@pytest.mark.parametrize("parts", [1, 2, 5, 100])
def test_ranges_joined_in_order_are_the_whole(tmp_path: Path, parts: int) -> None:
    times = np.arange(60 * 16_000) / 16_000
    loud = (np.sin(2 * np.pi * times / 7) > -0.3) * np.sin(2 * np.pi * 300 * times)
    audio = tmp_path / "a.wav"
    soundfile.write(audio, (0.3 * 32767 * loud).astype(np.int16), 16_000, subtype="PCM_16")
    engine = FakeTranscriber()
    whole = engine.transcribe(audio)
    survey = engine.survey(audio)
    ranges = divided(survey.batches, parts)
    assert 1 <= len(ranges) <= parts
    assert [one for range_ in ranges for one in range_] == list(survey.batches)
    words = [
        word
        for range_ in ranges
        for word in engine.hear(audio, batches=range_, language=survey.language)
    ]
    assert repr(engine.join(survey=survey, words=words)) == repr(whole)
    assert whole.words[6].text.lower().strip(".") == "listened"


def test_nothing_to_hear_makes_no_range() -> None:
    assert divided((), 4) == []
