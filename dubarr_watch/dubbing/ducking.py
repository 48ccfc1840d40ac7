"""How far the original goes down under the dub, when, and in which channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from dubarr_watch.dubbing.layouts import Layout
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, Samples
from dubarr_watch.engines.base import Span

DUCK_DB = {"dub": 20.0, "voiceover": 10.0, "without voices": 3.0}
"""How far a channel that carries the voice goes down under a line, by what the bed holds.

Listeners want speech at least 10 LU above music and 15 above ambience (Torcoli et al., JAES 67(12),
2019); where the original's own voice lies under the dub too it goes deeper. A bed without voices
was mixed to be talked over already: 3 dB are for the traces of voice that separation leaves in it,
and few enough that music is not heard to breathe.
"""

MAX_DUCK_DB = {"dub": 24.0, "voiceover": 16.0, "without voices": 24.0}
"""How far it may go down where a line needs that to stand clear; a voiceover's original is audible
there too, 10 LU below."""

ATTACK_S = 0.15
RELEASE_S = 0.4

_HEARD_SPANS = 100
_HEARD_S = 5.0


@dataclass(frozen=True, slots=True)
class Duck:
    """The bed going down.

    Attributes:
        span: When.
        depths_db: How far in each channel.
    """

    span: Span
    depths_db: tuple[float, ...]


class Ducker:
    """Turns the bed down, block by block.

    Each channel falls over `ATTACK_S` before a span, is down by its depth for all of it, and rises
    over `RELEASE_S` after it; where two meet the deeper one counts.

    Args:
        ducks: In any order.
    """

    def __init__(self, ducks: Sequence[Duck]) -> None:
        self._ducks = ducks
        touched = [_samples(duck.span) for duck in ducks]
        self._begins = np.array([begin for begin, _ in touched], dtype=np.int64)
        self._ends = np.array([end for _, end in touched], dtype=np.int64)

    def apply(self, bed: Samples, start: int) -> None:
        """Turn a block down.

        Args:
            bed: float32, shape (n, channels); changed in place.
            start: Index of its first sample at 48 kHz.
        """
        end = start + len(bed)
        near = np.flatnonzero((self._begins < end) & (self._ends > start))
        if not len(near):
            return
        first = max(start, int(self._begins[near].min()))
        last = min(end, int(self._ends[near].max()))
        ducks = [self._ducks[int(index)] for index in near]
        columns = list(zip(*(duck.depths_db for duck in ducks), strict=True))
        for column in sorted(set(columns)):
            if any(column):
                gain = _gain(first, last, ducks, column)
                for channel in np.flatnonzero([other == column for other in columns]):
                    bed[first - start : last - start, channel] *= gain


def _gain(first: int, last: int, ducks: Sequence[Duck], depths_db: Sequence[float]) -> Samples:
    """Return the gain of a channel that goes down by some depth at each duck."""
    depth = np.zeros(last - first, dtype=np.float32)
    for duck, depth_db in zip(ducks, depths_db, strict=True):
        _deepen(depth, first, duck.span, depth_db)
    return np.asarray(np.power(np.float32(10), depth * np.float32(-1 / 20)))


def _samples(span: Span) -> tuple[int, int]:
    """Return the first and the last sample that a duck touches."""
    return int((span.start_s - ATTACK_S) * SAMPLE_RATE), int(
        (span.end_s + RELEASE_S) * SAMPLE_RATE
    ) + 1


def _deepen(depth: Samples, start: int, span: Span, depth_db: float) -> None:
    begin, end = _samples(span)
    begin, end = max(begin, start), min(end, start + len(depth))
    if begin >= end:
        return
    times = np.arange(begin, end) / SAMPLE_RATE
    rise = (times - (span.start_s - ATTACK_S)) / ATTACK_S
    fall = (span.end_s + RELEASE_S - times) / RELEASE_S
    part = depth[begin - start : end - start]
    shape = np.clip(np.minimum(rise, fall), 0, 1) * depth_db
    np.maximum(part, shape.astype(np.float32), out=part)


def channel_depths(
    style: str, layout: Layout, bed: Path, spans: Sequence[Span]
) -> tuple[float, ...]:
    """Return how far each channel goes down at least.

    Where there is a centre it carries the voice. Another channel goes down only as far as it takes
    to bring the same voice, which it carries a_c times as loud as the centre does, to where the
    centre brings it; a_c is the channel's regression on the centre during lines. Low-frequency
    effects stay.

    Args:
        style: `dub`, `voiceover` or `without voices`; see `DUCK_DB`.
        layout: Of the bed.
        bed: The bed.
        spans: Where the original's voice is.
    """
    depth_db = DUCK_DB[style]
    centre = layout.centre
    if centre is None:
        return tuple(depth_db for _ in layout.channels)
    leaks_db = _leaks_db(bed, spans, centre)
    return tuple(
        0.0
        if index == layout.low_frequency
        else round(min(max(depth_db + leak_db, 0), depth_db), 1)
        for index, leak_db in enumerate(leaks_db)
    )


def _leaks_db(bed: Path, spans: Sequence[Span], centre: int) -> list[float]:
    """Return by how much each channel carries what the centre does, by lines all over a film."""
    every = max(1, len(spans) // _HEARD_SPANS)
    with soundfile.SoundFile(bed) as file:
        products = np.zeros(file.channels)
        for span in spans[::every]:
            file.seek(min(max(round(span.start_s * file.samplerate), 0), file.frames))
            count = round(min(span.duration_s, _HEARD_S) * file.samplerate)
            samples = file.read(count, dtype="float32", always_2d=True)
            products += samples[:, centre].copy() @ samples
    if products[centre] <= 0:
        return [0.0] * len(products)  # an empty centre: the voice may be anywhere
    share = np.abs(products) / products[centre]
    return [float(db) for db in 20 * np.log10(np.maximum(share, 1e-6))]
