"""Voice packed into the windows that Whisper hears, and words back at their times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from dubarr_watch.engines.base import Span, Word
from dubarr_watch.engines.samples import Samples, SpeechSamples

_WINDOW_S = 29.0
_FULL_ENOUGH = 0.7
_MARGIN_S = 0.3

LONGEST_SPAN_S = _WINDOW_S - 2 * _MARGIN_S
"""A longer stretch of voice, with its margins, fits no window."""


@dataclass(frozen=True, slots=True)
class Window:
    """Stretches of a recording that are heard as one, the pauses between them cut short."""

    spans: tuple[Span, ...]

    @property
    def end_s(self) -> float:
        """Where its last stretch ends in the recording."""
        return self.spans[-1].end_s

    def parts(self, longest_s: float) -> list[Window]:
        """Split into windows of up to a length, at pauses; one longer span stays whole."""
        parts: list[list[Span]] = [[]]
        for span in self.spans:
            if parts[-1] and sum(s.duration_s for s in parts[-1]) + span.duration_s > longest_s:
                parts.append([])
            parts[-1].append(span)
        return [Window(tuple(part)) for part in parts]

    def samples(self, samples: SpeechSamples) -> Samples:
        """Return what is heard: mono float32, 16 kHz."""
        return np.concatenate([samples.between(s.start_s, s.end_s) for s in self.spans])

    def place(self, word: Any, offset_s: float) -> Word:
        """Return a word at its time in the recording.

        Args:
            word: What faster-whisper heard.
            offset_s: Where this window starts in what it was given.
        """
        start_s, end_s = float(word.start) - offset_s, float(word.end) - offset_s
        middle_s = (start_s + end_s) / 2
        before_s = 0.0
        span = self.spans[0]
        for span in self.spans:
            if middle_s < before_s + span.duration_s or span is self.spans[-1]:
                break
            before_s += span.duration_s
        shift_s = span.start_s - before_s
        start_s = min(max(start_s + shift_s, span.start_s), span.end_s)
        end_s = min(max(end_s + shift_s, start_s), span.end_s)
        return Word(
            round(start_s, 3), round(end_s, 3), word.word.strip(), round(float(word.probability), 3)
        )


def pack(voice: Sequence[Span]) -> list[Window]:
    """Pack voice, with a margin around it, into windows of up to 29 s.

    Whisper's encoder works on 30 s whatever they hold, so full windows are what makes it fast. A
    window that is full enough ends at its longest pause, which most often ends a sentence.
    """
    spans = _with_margins(voice)
    windows: list[Window] = []
    first = 0
    while first < len(spans):
        last, held_s = first, spans[first].duration_s
        best, best_pause_s = first, -1.0
        while last + 1 < len(spans) and held_s + spans[last + 1].duration_s <= _WINDOW_S:
            pause_s = spans[last + 1].start_s - spans[last].end_s
            if held_s >= _FULL_ENOUGH * _WINDOW_S and pause_s >= best_pause_s:
                best, best_pause_s = last, pause_s
            last += 1
            held_s += spans[last].duration_s
        if last + 1 < len(spans):
            pause_s = spans[last + 1].start_s - spans[last].end_s
            if best_pause_s < 0 or pause_s >= best_pause_s:
                best = last
        else:
            best = last
        windows.append(Window(tuple(spans[first : best + 1])))
        first = best + 1
    return windows


def spread(windows: Sequence[Window], count: int) -> list[Window]:
    """Return some windows from all over a recording, the middle first."""
    if len(windows) <= count:
        return list(windows)
    picks = [round((n + 0.5) * len(windows) / count - 0.5) for n in range(count)]
    middle_first = sorted(picks, key=lambda pick: abs(pick - len(windows) / 2))
    return [windows[pick] for pick in middle_first]


def unheard_s(window: Window, words: Sequence[Word]) -> float:
    """Return the longest stretch of a window's voice, pauses left out, that has no word in it."""
    longest_s = 0.0
    for before, after in pairwise([window.spans[0].start_s, *_middles(words), window.end_s]):
        voice_s = sum(
            max(0.0, min(span.end_s, after) - max(span.start_s, before)) for span in window.spans
        )
        longest_s = max(longest_s, voice_s)
    return longest_s


def _with_margins(voice: Sequence[Span]) -> list[Span]:
    spans: list[Span] = []
    for n, span in enumerate(voice):
        before_s = span.start_s - voice[n - 1].end_s if n else span.start_s
        after_s = voice[n + 1].start_s - span.end_s if n + 1 < len(voice) else _MARGIN_S
        spans.append(
            Span(
                span.start_s - min(_MARGIN_S, before_s / (2 if n else 1)),
                span.end_s + min(_MARGIN_S, after_s / 2),
            )
        )
    return spans


def _middles(words: Sequence[Word]) -> list[float]:
    return sorted((word.start_s + word.end_s) / 2 for word in words)
