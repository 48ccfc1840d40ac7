"""A true-peak limiter for samples that come in blocks; all channels go down together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from dubarr_watch.dubbing.loudness import AROUND, CHUNK, Samples, chunk_peaks

ATTACK_DB_PER_MS = 1.2
RELEASE_DB_PER_MS = 0.12
"""From full scale back to nothing in some 50 ms; slower than speech's own pitch, so unheard."""

_RISE = 1.6
"""How far real sound goes up between samples, 4 dB; what does more is found in the track."""

_AHEAD = 20
"""Chunks that are looked ahead: a peak of 24 dB is met by a ramp of its whole length."""


class Limiter:
    """Keeps true peaks at a ceiling or below; what is below is not touched.

    Args:
        ceiling: Linear.
    """

    def __init__(self, ceiling: float) -> None:
        self._ceiling = ceiling
        self.peaks: list[float] = []
        """Of each block that came in, at most the ceiling; true peaks where near to it."""
        self.kept: list[float] = []
        """Of each block that came in, the share of its energy that was left; the ends of blocks are
        those of chunks that are looked ahead into."""

    def run(self, blocks: Iterable[Samples]) -> Iterator[Samples]:
        """Yield as many samples as come in, in blocks of other lengths.

        Args:
            blocks: float32, shape (n, channels).
        """
        limiter: _Limiter | None = None
        for block in blocks:
            limiter = limiter or _Limiter(block.shape[1], self._ceiling)
            yield limiter.take(block)
            self.peaks.append(min(limiter.highest, self._ceiling))
            self.kept.append(limiter.kept)
        if limiter:
            yield limiter.rest()


class _Limiter:
    """Keeps what it looks ahead into; levels are in dB of reduction, one for each chunk."""

    def __init__(self, channels: int, ceiling: float) -> None:
        self._ceiling = ceiling
        self._kept = np.zeros((AROUND, channels), dtype=np.float32)  # first comes what is gone
        self._needs = np.zeros(0)
        self._fallen = 0.0  # what the release still holds
        self._last = 0.0
        self.highest = 0.0  # peak of what came last
        self.kept = 1.0  # energy of what was given last, by what it was

    def take(self, block: Samples, *, ending: bool = False) -> Samples:
        self._kept = np.concatenate([self._kept, block])
        known = len(self._needs)
        count = max(known, (len(self._kept) - 2 * AROUND) // CHUNK)
        if count > known:
            window = self._kept[known * CHUNK : count * CHUNK + 2 * AROUND]
            peaks = chunk_peaks(window, self._ceiling, _RISE)
            self.highest = float(peaks.max())
            over = 20 * np.log10(np.maximum(peaks / self._ceiling, 1.0), dtype=np.float64)
            self._needs = np.concatenate([self._needs, over])
        ready = count if ending else max(0, count - _AHEAD)
        given = self._kept[AROUND : AROUND + ready * CHUNK]
        self.kept = 1.0
        if ready and (self._fallen > 0 or self._last > 0 or self._needs.any()):
            before = float(np.vdot(given, given))
            given = self._reduced(given, ready)
            self.kept = float(np.vdot(given, given)) / before if before > 0 else 1.0
        self._kept = self._kept[ready * CHUNK :]
        self._needs = self._needs[ready:]
        return given

    def rest(self) -> Samples:
        left = len(self._kept) - AROUND
        filling = -left % CHUNK + AROUND + CHUNK
        end = np.zeros((filling, self._kept.shape[1]), dtype=np.float32)
        return self.take(end, ending=True)[:left]

    def _reduced(self, given: Samples, ready: int) -> Samples:
        times = np.arange(len(self._needs)) + 1
        release, attack = RELEASE_DB_PER_MS * times, ATTACK_DB_PER_MS * times
        falling = np.maximum.accumulate(np.maximum(self._needs + release, self._fallen)) - release
        rising = np.maximum.accumulate((self._needs - attack)[::-1])[::-1] + attack
        levels = np.maximum(np.maximum(falling, rising), 0.0)
        self._fallen = max(float(falling[ready - 1]), 0.0)
        edges = np.maximum(levels, np.concatenate([[self._last], levels[:-1]]))[: ready + 1]
        if len(edges) == ready:
            edges = np.append(edges, levels[-1])
        self._last = float(levels[ready - 1])
        return given * _between(10 ** (-edges / 20))[:, None]


def _between(edges: NDArray[np.float64]) -> Samples:
    """Return a gain for each sample, going straight from edge to edge of the chunks."""
    share = np.arange(CHUNK) / CHUNK
    gain = edges[:-1, None] * (1 - share) + edges[1:, None] * share
    return np.asarray(gain.ravel(), dtype=np.float32)
