"""Loudness and true peaks of samples, block by block (ITU-R BS.1770-4).

ffmpeg's ebur128 says the same and is what the tests compare with; these figures are also known for
each channel and each tenth of a second, which lets a mix be balanced before it is made.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.util
import math
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

Samples = NDArray[np.float32]

STEP_S = 0.1
"""Energy is kept for each of these; four make a gating block."""

SILENCE_LUFS = -70.0
"""The absolute gate; what is quieter has no loudness."""

CHUNK = 48
"""Samples for which one true peak is found: 1 ms at 48 kHz."""

AROUND = 12
"""Samples before and behind a chunk that its true peak depends on."""

_USUAL_RISE = 1.41
_FLOOR = np.float32(1e-10)
"""Added before filters: what they leave of digital silence would be subnormal, and ten times slower
to compute with."""

_FOUR = 4  # annex 2 of the standard: peaks show at four times the rate


@functools.cache
def k_weighting(rate: int) -> Samples:
    """Return the standard's two filters as second-order sections, float32, shape (2, 6).

    From the analogue prototypes that fit the standard's figures for 48 kHz, as libebur128 has them.
    """
    gain, quality = 10 ** (3.999843853973347 / 20), 0.7071752369554196
    k = math.tan(math.pi * 1681.974450955533 / rate)
    band, norm = gain**0.4996667741545416, 1 + k / quality + k * k
    shelf = [
        (gain + band * k / quality + k * k) / norm,
        2 * (k * k - gain) / norm,
        (gain - band * k / quality + k * k) / norm,
        1.0,
        2 * (k * k - 1) / norm,
        (1 - k / quality + k * k) / norm,
    ]
    quality = 0.5003270373238773
    k = math.tan(math.pi * 38.13547087602444 / rate)
    norm = 1 + k / quality + k * k
    high_pass = [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / norm, (1 - k / quality + k * k) / norm]
    return np.array([shelf, high_pass], dtype=np.float32)


_LOADING = threading.Lock()
"""Several threads may want the filter first; it must be loaded by one."""


@functools.cache
def _section_filter() -> Callable[[Samples, Samples, Samples], None]:
    """Return scipy's filter of second-order sections, which works in place.

    Called with sections (s, 6), rows of samples (channels, n) and states (channels, s, 2). What
    `scipy.signal.sosfilt` itself calls: importing all of scipy.signal for it takes 70 MiB, which
    would stay with the daemon after its first mix.
    """
    folder = Path(scipy.__file__).parent / "signal"
    spec = importlib.machinery.PathFinder.find_spec("_sosfilt", [str(folder)])
    if spec is None or spec.loader is None:
        raise ImportError(f"scipy has no _sosfilt in {folder}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Callable[[Samples, Samples, Samples], None] = module._sosfilt
    return found


class EnergyMeter:
    """K-weighted energy of each channel, for each tenth of a second.

    Args:
        channels: How many.
        rate: Sample rate in Hz.
    """

    def __init__(self, channels: int, rate: int) -> None:
        with _LOADING:
            self._filter = _section_filter()
        self._step = round(rate * STEP_S)
        self._sections = k_weighting(rate)
        self._state = np.zeros((channels, 2, 2), dtype=np.float32)
        self._rest = np.zeros((0, channels), dtype=np.float32)
        self._found: list[Samples] = []

    def add(self, samples: Samples) -> None:
        """Take the next samples, float32 of shape (n, channels)."""
        if not len(samples):
            return
        rows = np.ascontiguousarray((samples + _FLOOR).T, dtype=np.float32)
        self._filter(self._sections, rows, self._state)
        heard = rows.T
        if len(self._rest):
            heard = np.concatenate([self._rest, heard])
        whole = len(heard) // self._step * self._step
        steps = heard[:whole].reshape(-1, self._step, heard.shape[1])
        self._found.append(np.einsum("snc,snc->sc", steps, steps) / np.float32(self._step))
        self._rest = heard[whole:].copy()

    def energies(self) -> Samples:
        """Return mean squares, float32 of shape (steps, channels), of whole steps."""
        return np.concatenate(self._found) if self._found else self._rest[:0]


def integrated_lufs(energy: NDArray[np.floating]) -> float:
    """Return the gated loudness of energies of steps, channels summed with their weights."""
    if len(energy) < 4:
        return SILENCE_LUFS
    total = np.concatenate([[0.0], np.cumsum(energy, dtype=np.float64)])
    blocks = np.maximum((total[4:] - total[:-4]) / 4, 0.0)
    blocks = blocks[blocks > energy_of(SILENCE_LUFS)]
    if not len(blocks):
        return SILENCE_LUFS
    gate = blocks.mean() / 10
    return lufs(float(blocks[blocks > gate].mean()))


def lufs(energy: float) -> float:
    """Return the loudness of an energy, at least -70."""
    return max(-0.691 + 10 * math.log10(energy), SILENCE_LUFS) if energy > 0 else SILENCE_LUFS


def energy_of(loudness_lufs: float) -> float:
    """Return the energy of a loudness."""
    return float(10 ** ((loudness_lufs + 0.691) / 10))


def chunk_peaks(samples: Samples, above: float, rise: float | None = None) -> Samples:
    """Return the peak of each chunk over all channels.

    Peaks between samples are looked for where they could be above a level: an interpolated value
    is at most `_HIGHEST` times the largest sample around it.

    Args:
        samples: float32, shape (`AROUND` + n chunks + `AROUND`, channels).
        above: Level above which peaks must be true peaks.
        rise: How many times a sample a peak beside it may be; as much as can be, if nothing else.

    Returns:
        float32, shape (n,).
    """
    channels = samples.shape[1]
    inner = np.abs(samples[AROUND : len(samples) - AROUND])
    peaks: Samples = inner.reshape(-1, CHUNK * channels).max(axis=1)
    padded = np.concatenate([peaks[:1], peaks, peaks[-1:]])
    near = np.maximum(np.maximum(padded[:-2], padded[2:]), peaks)
    loud = np.flatnonzero(near * (rise or _HIGHEST) > above)
    for some in np.array_split(loud, len(loud) // 2000 + 1):
        if not len(some):
            continue
        places = some[:, None] * CHUNK + np.arange(CHUNK + 2 * AROUND)
        windows = samples[places].transpose(0, 2, 1).reshape(-1, CHUNK + 2 * AROUND)
        between = np.abs(windows @ _INTERPOLATION).max(axis=1).reshape(-1, channels).max(axis=1)
        peaks[some] = np.maximum(peaks[some], between)
    return peaks


class PeakMeter:
    """The true peak of samples that come in blocks.

    It is looked for in chunks whose samples are within 3 dB of the highest peak so far, as real
    sound has it, and wherever any sound could exceed the limit.

    Args:
        channels: How many.
        limit: Linear peak that is to be noticed in any case.
    """

    def __init__(self, channels: int, limit: float = 1.0) -> None:
        self._limit = limit
        self._peak = 0.0
        self._waiting = np.zeros((AROUND, channels), dtype=np.float32)

    def add(self, samples: Samples) -> None:
        """Take the next samples, float32 of shape (n, channels)."""
        if not len(samples):
            return
        self._peak = max(self._peak, float(np.abs(samples).max()))
        waiting = np.concatenate([self._waiting, samples])
        chunks = max(0, (len(waiting) - 2 * AROUND) // CHUNK)
        if chunks:
            window = waiting[: chunks * CHUNK + 2 * AROUND]
            self._peak = max(self._peak, float(chunk_peaks(window, self._above()).max()))
        self._waiting = waiting[chunks * CHUNK :]

    def _above(self) -> float:
        if self._peak >= self._limit:
            return self._peak
        return min(self._peak * _HIGHEST / _USUAL_RISE, self._limit)

    def peak_dbtp(self) -> float:
        """Return the highest peak so far, -inf for silence."""
        end = np.zeros((AROUND + CHUNK, self._waiting.shape[1]), dtype=np.float32)
        self.add(end)
        return 20 * math.log10(self._peak) if self._peak > 0 else -math.inf


def _interpolation() -> Samples:
    """Return what a window of samples is multiplied with to get three values behind each sample."""
    taps = np.zeros((CHUNK + 2 * AROUND, CHUNK * (_FOUR - 1)))
    offsets = np.arange(1 - AROUND, AROUND + 1)
    for phase in range(1, _FOUR):
        distance = offsets - phase / _FOUR
        window = np.i0(6.0 * np.sqrt(np.clip(1 - (distance / AROUND) ** 2, 0, 1))) / np.i0(6.0)
        weights = np.sinc(distance) * window
        for place in range(CHUNK):
            taps[place + AROUND + offsets, place * (_FOUR - 1) + phase - 1] = weights
    return taps.astype(np.float32)


_INTERPOLATION = _interpolation()
_HIGHEST = float(np.abs(_INTERPOLATION).sum(axis=0).max())
