"""A voice made of pulses and resonances, which a detector of voice takes for one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

RATE = 16_000

# Formants of a, e, i, o and u of a man, in Hz (Peterson and Barney 1952).
_VOWELS = (
    (730, 1090, 2440),
    (530, 1840, 2480),
    (270, 2290, 3010),
    (570, 840, 2410),
    (300, 870, 2240),
)
_BANDWIDTHS_HZ = (60, 90, 120)
_SYLLABLE_S = 0.22


def speak(seconds: float, *, pitch_hz: float = 120.0, size: float = 1.0) -> npt.NDArray[np.float32]:
    """Return syllables of sung vowels: mono float32 at 16 kHz.

    Args:
        seconds: How long.
        pitch_hz: Of the voice; it falls and rises a little.
        size: Of the mouth: below 1 all resonances lie higher, as in a child's.
    """
    length = round(seconds * RATE)
    rng = np.random.default_rng(3)
    times = np.arange(length) / RATE
    phase = np.cumsum(pitch_hz * (1 + 0.08 * np.sin(2 * np.pi * 0.7 * times)) / RATE)
    pulses = np.diff(np.floor(phase), prepend=0.0) + 0.003 * rng.standard_normal(length)
    step = round(_SYLLABLE_S * RATE)
    sound = np.zeros(length)
    for n, start in enumerate(range(0, length, step)):
        part = pulses[start : start + step]
        for formant, bandwidth in zip(_VOWELS[n % 5], _BANDWIDTHS_HZ, strict=True):
            part = _resonate(part, formant / size, bandwidth)
        loud = np.sin(np.pi * np.arange(len(part)) / step) ** 0.5
        sound[start : start + step] = loud * part / max(1e-9, float(np.abs(part).max()))
    return (0.3 * sound).astype(np.float32)


def _resonate(
    samples: npt.NDArray[np.float64], hz: float, bandwidth_hz: float
) -> npt.NDArray[np.float64]:
    radius = np.exp(-np.pi * bandwidth_hz / RATE)
    poles = [1, -2 * radius * np.cos(2 * np.pi * hz / RATE), radius**2]
    filtered: npt.NDArray[np.float64] = lfilter([1 - radius], poles, samples)
    return filtered
