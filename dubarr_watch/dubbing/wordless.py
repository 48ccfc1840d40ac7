"""The original's voice where nobody's words are: laughs, breaths and cries, which no take replaces.

Where voices were taken out of the bed, the original itself is heard in these stretches: it is the
bed and the voice, to the sample, so going over to it adds the voice and nothing else. Where they
were not, the bed has the voice and is not ducked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from dubarr_watch.dubbing.timeline import SAMPLE_RATE, PlacedTake, Samples
from dubarr_watch.dubbing.transcript import SHORTEST_SOUND_S
from dubarr_watch.engines.base import Span

FADE_S = 0.05
"""Half of what lies between such a stretch and a line: the line's own edges stay silent."""


def heard_spans(wordless: Sequence[Span], takes: Sequence[PlacedTake]) -> list[Span]:
    """Return where the original's voice is heard: where no take is, nor its own fade.

    Args:
        wordless: Voice that no line has, in order and disjoint.
        takes: What is heard of the dub.

    Returns:
        Stretches of `SHORTEST_SOUND_S` or more, in order and disjoint.
    """
    busy = deque(
        sorted(
            (
                Span(take.start_s - FADE_S, take.start_s + take.duration_s + FADE_S)
                for take in takes
            ),
            key=lambda span: span.start_s,
        )
    )
    found: list[Span] = []
    for span in wordless:
        start_s = span.start_s
        while busy and busy[0].start_s < span.end_s:
            found.append(Span(start_s, busy[0].start_s))
            start_s = max(start_s, busy[0].end_s)
            if start_s >= span.end_s:
                break
            busy.popleft()
        found.append(Span(start_s, span.end_s))
    return [one for one in found if one.duration_s >= SHORTEST_SOUND_S]


def wordless_note(heard: Sequence[Span]) -> list[str]:
    """Return what the report says of them, if there are any."""
    if not heard:
        return []
    seconds = sum(span.duration_s for span in heard)
    times = "time" if len(heard) == 1 else "times"
    return [
        f"Voice that nobody transcribed (laughs, breaths, cries) is heard from the original "
        f"{len(heard)} {times}, {seconds:.1f} s in all."
    ]


class WordlessSound:
    """Goes over from a bed without voices to the original and back, block by block.

    Args:
        original: 48 kHz, with the channels of the bed.
        spans: When it is heard, in order and disjoint.
    """

    def __init__(self, original: Path, spans: Sequence[Span]) -> None:
        self._file = soundfile.SoundFile(original) if spans else None
        self._spans = deque(spans)

    def __enter__(self) -> WordlessSound:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._file:
            self._file.close()

    def lay_over(self, bed: Samples, position: int) -> None:
        """Replace what is to be heard of a block.

        Args:
            bed: float32, shape (n, channels); changed in place.
            position: Index of its first sample; no block comes before an earlier one.
        """
        end = position + len(bed)
        while self._spans and _last(self._spans[0]) <= position:
            self._spans.popleft()
        for span in self._spans:
            first, last = max(position, _first(span)), min(end, _last(span))
            if first >= end or self._file is None:
                break
            self._file.seek(min(first, self._file.frames))
            own = self._file.read(last - first, dtype="float32", always_2d=True, fill_value=0.0)
            part = bed[first - position : last - position]
            part += (own - part) * _share(span, first, last)[:, None]


def _first(span: Span) -> int:
    return max(round((span.start_s - FADE_S) * SAMPLE_RATE), 0)


def _last(span: Span) -> int:
    return round((span.end_s + FADE_S) * SAMPLE_RATE)


def _share(span: Span, first: int, last: int) -> Samples:
    """Return how much of the original is heard: it comes and goes over `FADE_S` outside a span."""
    times = np.arange(first, last) / SAMPLE_RATE
    rise = (times - (span.start_s - FADE_S)) / FADE_S
    fall = (span.end_s + FADE_S - times) / FADE_S
    return np.clip(np.minimum(rise, fall), 0, 1).astype(np.float32)
