"""What fakes hear: sound that is not silent, and a word every 0.4 s of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from dubarr_watch.engines.base import Progress, Span, Transcript, Word
from dubarr_watch.engines.survey import Batch, Survey

WORD_EVERY_S = 0.4
_WORD_S = 0.35
_FRAME_S = 0.02
_SILENCE_RMS = 10 ** (-50 / 20)
_VOCABULARY = "what people say when nobody has listened to them yet"


def loud_spans(audio: Path) -> list[Span]:
    """Return where the sound is above -50 dBFS for more than a moment."""
    samples, rate = soundfile.read(audio, dtype="float32", always_2d=True)
    frame = max(1, round(rate * _FRAME_S))
    count = len(samples) // frame
    mono: npt.NDArray[np.float32] = samples[: count * frame].mean(axis=1).reshape(count, frame)
    loud = np.sqrt((mono**2).mean(axis=1)) > _SILENCE_RMS
    edges = np.flatnonzero(np.diff(np.concatenate(([0], loud.astype(np.int8), [0]))))
    spans: list[Span] = []
    for start, end in zip(edges[::2], edges[1::2], strict=True):
        span = Span(float(start) * frame / rate, float(end) * frame / rate)
        if spans and span.start_s - spans[-1].end_s < WORD_EVERY_S:
            spans[-1] = Span(spans[-1].start_s, span.end_s)
        else:
            spans.append(span)
    return spans


def said(batches: Sequence[Batch], duration_s: float, progress: Progress) -> list[Word]:
    """Return the words of some batches of a survey."""
    words: list[Word] = []
    for span in (span for batch in batches for window in batch for span in window):
        words += _words(span)
        progress(span.end_s, duration_s)
    return words


def joined(survey: Survey, words: Sequence[Word]) -> Transcript:
    """Return the transcript of a whole recording; only here each word becomes another one."""
    vocabulary = _VOCABULARY.split()
    texts = [vocabulary[n % len(vocabulary)] for n in range(len(words))]
    words = [
        replace(word, text=f"{text.capitalize() if word.text.istitle() else text}"
                f"{'.' if word.text.endswith('.') else ''}")
        for word, text in zip(words, texts, strict=True)
    ]  # fmt: skip
    return Transcript(
        language=survey.language,
        language_probability=survey.language_probability,
        duration_s=survey.duration_s,
        words=tuple(words),
        voice=survey.voice,
    )


def _words(span: Span) -> list[Word]:
    count = max(1, int((span.duration_s + 1e-6) / WORD_EVERY_S))
    words = []
    for n in range(count):
        text = "Word" if n == 0 else "word"
        text += "." if n == count - 1 else ""
        start_s = span.start_s + n * WORD_EVERY_S
        words.append(Word(round(start_s, 3), round(start_s + _WORD_S, 3), text, 0.9))
    return words
