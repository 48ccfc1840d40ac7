"""Windows packed with voice, and what happens when Whisper jumps over some of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from dubarr_watch.engines.base import Span, Word
from dubarr_watch.engines.samples import RATE, SpeechSamples
from dubarr_watch.engines.whisper import WhisperTranscriber
from dubarr_watch.engines.whisper_windows import Window, pack, unheard_s


@dataclass
class Heard:
    """A word or segment as faster-whisper returns it."""

    start: float
    end: float
    word: str = "word"
    probability: float = 0.9
    compression_ratio: float = 1.5
    avg_logprob: float = -0.3
    no_speech_prob: float = 0.0
    text: str = "some words"
    words: tuple[Any, ...] = ()


def segment(*spans: tuple[float, float]) -> Heard:
    words = tuple(Heard(start, end) for start, end in spans)
    return Heard(spans[0][0], spans[-1][1], words=words)


class Model:
    """Stands in for a Whisper model: answers with segments, and counts how often it is asked."""

    def __init__(self, *answers: list[Heard]) -> None:
        self.answers = list(answers)
        self.asked = 0

    def transcribe(self, *given: Any, **named: Any) -> tuple[list[Heard], None]:
        self.asked += 1
        return self.answers.pop(0), None


def transcriber(first: list[Heard], *again: list[Heard]) -> tuple[WhisperTranscriber, Model]:
    made = WhisperTranscriber.__new__(WhisperTranscriber)
    careful = Model(*again)
    made._batched = Model(first)
    made._model = careful
    return made, careful


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", np.zeros(40 * RATE, dtype=np.float32), RATE)
    return tmp_path / "a.wav"


WINDOW = Window((Span(0.0, 10.0), Span(11.0, 20.0)))
FULL = segment(*[(float(n), n + 0.8) for n in range(19)])
JUMPED = segment((0.0, 0.8), (1.0, 1.8), (17.5, 18.3))


def hear(made: WhisperTranscriber, audio: Path) -> list[Word]:
    with SpeechSamples(audio) as samples:
        return made._hear(samples, [WINDOW], "en")


def test_a_window_with_words_everywhere_is_heard_once(silence: Path) -> None:
    made, careful = transcriber([FULL])
    assert len(hear(made, silence)) == 19
    assert careful.asked == 0


def test_what_whisper_jumped_over_is_heard_again_in_parts(silence: Path) -> None:
    first = segment(*[(float(n), n + 0.8) for n in range(10)])
    second = segment(*[(float(n), n + 0.8) for n in range(9)])
    made, careful = transcriber([JUMPED], [first], [second])
    words = hear(made, silence)
    assert careful.asked == 2
    assert len(words) == 19
    assert words[10].start_s == 11.0


def test_the_first_hearing_stays_when_the_second_finds_less(silence: Path) -> None:
    made, careful = transcriber([JUMPED], [], [])
    assert len(hear(made, silence)) == 3
    assert careful.asked == 2


@pytest.mark.parametrize(("gap_s", "again"), [(1.9, 0), (2.1, 2)])
def test_a_pause_of_two_seconds_in_voice_is_the_limit(
    silence: Path, gap_s: float, again: int
) -> None:
    """Measured from the middle of a word to the middle of the next, pauses left out."""
    before = [(float(n), n + 0.5) for n in range(5)]
    after = [(4.25 + gap_s + n - 0.25, 4.25 + gap_s + n + 0.25) for n in range(13)]
    made, careful = transcriber([segment(*before, *after)], [], [])
    hear(made, silence)
    assert careful.asked == again


def test_silence_between_spans_is_not_unheard() -> None:
    window = Window((Span(0.0, 1.0), Span(60.0, 61.0)))
    words = [Word(0.4, 0.6, "a", 1.0), Word(60.4, 60.6, "b", 1.0)]
    assert unheard_s(window, words) == pytest.approx(1.0)


@given(
    st.lists(st.tuples(st.floats(0.2, 3.0), st.floats(0.3, 25.0)), min_size=1, max_size=30).map(
        lambda pairs: pairs
    )
)
def test_every_span_lies_in_one_window_and_none_is_too_long(
    pairs: list[tuple[float, float]],
) -> None:
    spans, at_s = [], 0.0
    for pause_s, length_s in pairs:
        spans.append(Span(at_s + pause_s, at_s + pause_s + length_s))
        at_s = spans[-1].end_s
    windows = pack(spans)
    packed = [span for window in windows for span in window.spans]
    assert len(packed) == len(spans)
    for given_span, found in zip(spans, packed, strict=True):
        assert found.start_s <= given_span.start_s
        assert found.end_s >= given_span.end_s
    assert all(sum(s.duration_s for s in window.spans) <= 29.0 for window in windows)
