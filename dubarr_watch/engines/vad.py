"""Voice activity by Silero VAD, in spans that are as tight as its 32 ms frames allow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from faster_whisper.vad import get_vad_model

from dubarr_watch.engines.base import Span
from dubarr_watch.engines.samples import RATE, SpeechSamples

FRAME = 512
FRAME_S = FRAME / RATE

# Hysteresis as Silero's own code has it: voice starts at 0.5 and ends below 0.35.
_ON = 0.5
_OFF = 0.35
# A pause in running speech is 0.15 to 0.5 s; a closed plosive is under 0.1 s.
_MIN_SILENCE_S = 0.25
_MIN_VOICE_S = 0.1
# The first and last frames of a word are often too quiet to be over the threshold.
_PAD_S = 0.03
_BLOCK_S = 600.0

Probabilities = npt.NDArray[np.float32]
"""Probability of voice in each frame of 512 samples."""


def voice_probabilities(samples: SpeechSamples) -> Probabilities:
    """Return the probability of voice in every frame of a recording.

    Long recordings go through the model in blocks of ten minutes, which bounds the memory.
    """
    model = get_vad_model()
    found = [np.zeros(0, dtype=np.float32)]
    for block in samples.blocks(_BLOCK_S):
        padded = np.pad(block, (0, -len(block) % FRAME))
        found.append(np.asarray(model(padded), dtype=np.float32).reshape(-1))
    return np.concatenate(found)


def voice_spans(probabilities: Probabilities, duration_s: float) -> list[Span]:
    """Return where there is voice: disjoint spans in order, at least 0.19 s apart."""
    spans: list[Span] = []
    for first, last in _runs(probabilities):
        start_s, end_s = first * FRAME_S, last * FRAME_S
        if spans and start_s - spans[-1].end_s < _MIN_SILENCE_S:
            spans[-1] = Span(spans[-1].start_s, end_s)
        else:
            spans.append(Span(start_s, end_s))
    return [
        Span(
            round(max(0.0, span.start_s - _PAD_S), 3),
            round(min(duration_s, span.end_s + _PAD_S), 3),
        )
        for span in spans
        if span.duration_s >= _MIN_VOICE_S
    ]


def split_long(spans: Sequence[Span], probabilities: Probabilities, longest_s: float) -> list[Span]:
    """Split spans that are longer than a limit where voice is least likely."""
    pieces: list[Span] = []
    todo = list(reversed(spans))
    while todo:
        span = todo.pop()
        if span.duration_s <= longest_s:
            pieces.append(span)
            continue
        first = round((span.start_s + longest_s / 2) / FRAME_S)
        last = max(first + 1, int((span.start_s + longest_s) / FRAME_S))
        cut_s = (first + int(np.argmin(probabilities[first:last]))) * FRAME_S
        pieces.append(Span(span.start_s, cut_s))
        todo.append(Span(cut_s, span.end_s))
    return pieces


def _runs(probabilities: Probabilities) -> list[tuple[int, int]]:
    runs = []
    start: int | None = None
    for frame, probability in enumerate(probabilities):
        if start is None and probability >= _ON:
            start = frame
        elif start is not None and probability < _OFF:
            runs.append((start, frame))
            start = None
    if start is not None:
        runs.append((start, len(probabilities)))
    return runs
