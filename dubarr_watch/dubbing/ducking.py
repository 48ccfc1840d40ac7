"""How far the original goes down under the dub, and when."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dubarr_watch.dubbing.timeline import SAMPLE_RATE, Samples
from dubarr_watch.engines.base import Span

DUCK_DB = {"dub": 20.0, "voiceover": 9.0, "without voices": 3.0}
"""How far the bed goes down under a line, by what it holds.

Listeners want speech at least 10 LU above music and 15 above ambience (Torcoli et al., JAES 67(12),
2019); where the original's own voice lies under the dub too it goes deeper. A bed without voices
was mixed to be talked over already: 3 dB are for the traces of voice that separation leaves in it,
and few enough that music is not heard to breathe.
"""

ATTACK_S = 0.15
RELEASE_S = 0.4


def duck_gain(spans: Sequence[Span], start: int, count: int, depth_db: float) -> Samples:
    """Return the bed's gain for some samples.

    Args:
        spans: Where it is ducked, in order.
        start: Index of the first sample at 48 kHz.
        count: Number of samples.
        depth_db: How far down.

    Returns:
        Linear gain, float32, shape (count,): 1 far from all spans, falling over `ATTACK_S` before
        a span and rising over `RELEASE_S` after it.
    """
    times = (start + np.arange(count, dtype=np.float64)) / SAMPLE_RATE
    depth = np.zeros(count)
    for span in _near(spans, times[0], times[-1]):
        rise = (times - (span.start_s - ATTACK_S)) / ATTACK_S
        fall = (span.end_s + RELEASE_S - times) / RELEASE_S
        np.maximum(depth, np.clip(np.minimum(rise, fall), 0, 1), out=depth)
    return np.asarray(10 ** (-depth_db * depth / 20), dtype=np.float32)


def _near(spans: Sequence[Span], start_s: float, end_s: float) -> list[Span]:
    return [s for s in spans if s.start_s - ATTACK_S < end_s and s.end_s + RELEASE_S > start_s]
