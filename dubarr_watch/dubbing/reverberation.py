"""The sound of a room: how long it rings in speech, and speech made to ring as long.

Measured is what no speaker can do and only a room does: how slowly sound dies away each time that
a voice stops. A voice's own end is slower than the room at times and never faster, so of many
decays the faster ones tell. How loud a room is against the voice cannot be told from speech alone
to better than several decibels, so what is added has one low level.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BAND_HZ = (500.0, 4000.0)
"""Where decays are measured: above hum and rumble, and where speech has its energy."""

FALL_DB = 23.0
"""How far a level has to fall without rising again to count as a decay."""

WET_DB = -15.0
"""Energy of what is added, against the voice: no more than of any room that is found.

Measured with speech in rooms of 0.6 s, 1 s and 1.5 s: found are those down to -9, -12 and -15 dB,
the weaker of them with half their decay time.
"""

LONGEST_ADDED_S = 1.0

_HOP_S = 0.01
_LOUD_DB = 20.0
"""A decay begins no further below the loud moments of its stretch."""

_EARLY_DB, _RANGE_DB = 5.0, 15.0
_STRAIGHT = 0.97
_SHORTEST_FRAMES = 8
_TELLING_SHARE = 25
_DIES_AT = 0.7  # of the decay time: 42 dB down
_REFLECTIONS_S = (0.0071, 0.0113, 0.0172, 0.0234, 0.0317)
_LATE_FROM_S = 0.012
_EARLY_SHARE = 0.3
_SHAPE_HZ = (200.0, 5000.0)
_FFT_STEP = 16_384

Samples = NDArray[np.float32]
Floats = NDArray[np.float64]


def decay_times(samples: Samples, rate: int) -> list[float]:
    """Return how long sound takes to fall by 60 dB, at each place where speech stops freely.

    Each is the slope of the energy decay curve, which is the energy yet to come (Schroeder, "New
    method of measuring reverberation time", JASA 37, 1965), from 5 to 20 dB below its begin (T15;
    ISO 3382-1 has 20 or 30 dB, which the pauses of speech seldom allow). What lies behind the end
    of a stretch is completed from the slope found without it. Curves that are not straight, which
    several sounds one after the other make, are left out.

    Args:
        samples: Mono, float32.
        rate: In Hz, 8000 or more.
    """
    energy = _band_energy(samples, rate)
    found = (_decay_s(energy[first : last + 1]) for first, last in _falls(energy))
    return [decay_s for decay_s in found if decay_s is not None]


def telling(decays_s: list[float]) -> float:
    """Return which of some decay times is the room's: a fast one, see above; in seconds."""
    return float(np.percentile(decays_s, _TELLING_SHARE))


def with_tail(samples: Samples, rate: int, decay_s: float) -> Samples:
    """Return speech as it sounds in a room, as loud as before and longer by the room's tail.

    Args:
        samples: Mono, float32.
        rate: In Hz.
        decay_s: Time in which the room's sound falls by 60 dB.
    """
    if not len(samples):
        return samples
    length = len(samples) + len(room_response(decay_s, rate)) - 1
    size = -(-length // _FFT_STEP) * _FFT_STEP
    spectrum = np.fft.rfft(samples, size) * _response_spectrum(decay_s, rate, size)
    return np.asarray(np.fft.irfft(spectrum, size)[:length], dtype=np.float32)


@lru_cache(maxsize=4)
def room_response(decay_s: float, rate: int) -> Samples:
    """Return what a room makes of a click: the click, a few reflections, noise that dies away.

    Noise under an exponential is how the late sound of any room looks (Moorer, "About this
    reverberation business", Computer Music Journal 3(2), 1979). The same arguments give the same
    samples.

    Args:
        decay_s: Time in which it falls by 60 dB; at most `LONGEST_ADDED_S` is made.
        rate: In Hz.

    Returns:
        float32 of shape (n,), which leaves the energy of speech as it is.
    """
    decay_s = min(decay_s, LONGEST_ADDED_S)
    count = round(_DIES_AT * decay_s * rate)
    times = np.arange(count) / rate
    random = np.random.default_rng(1965)
    late = random.standard_normal(count) * 10 ** (-3 * times / decay_s) * (times >= _LATE_FROM_S)
    early = np.zeros(count)
    for number, at_s in enumerate(_REFLECTIONS_S):
        early[round(at_s * rate)] = (-1) ** number / (1 + number)
    early *= np.sqrt(_EARLY_SHARE * (late @ late) / (early @ early))
    spectrum = np.fft.rfft(early + late, 2 * count)
    hz = np.fft.rfftfreq(2 * count, 1 / rate)
    low, high = _SHAPE_HZ
    spectrum *= 1 / np.sqrt((1 + (low / np.maximum(hz, 1)) ** 2) * (1 + (hz / high) ** 2))
    heard = (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])
    wet = 10 ** (WET_DB / 10)
    spectrum *= np.sqrt(wet / float((np.abs(spectrum[heard]) ** 2).mean()))
    response = np.fft.irfft(spectrum)[:count]
    response[-count // 8 :] *= np.linspace(1, 0, len(response[-count // 8 :]))
    response[0] += 1.0
    return np.asarray(response / np.sqrt(1 + wet), dtype=np.float32)


@lru_cache(maxsize=16)
def _response_spectrum(decay_s: float, rate: int, size: int) -> NDArray[np.complex64]:
    return np.asarray(np.fft.rfft(room_response(decay_s, rate), size))


def _band_energy(samples: Samples, rate: int) -> Floats:
    """Return the energy of each hundredth of a second between `BAND_HZ`, shape (frames,)."""
    hop = round(_HOP_S * rate)
    if len(samples) < 2 * hop:
        return np.zeros(0)
    frames = np.lib.stride_tricks.sliding_window_view(samples, 2 * hop)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(2 * hop).astype(np.float32), axis=1)) ** 2
    hz = np.fft.rfftfreq(2 * hop, 1 / rate)
    within = power[:, (hz >= BAND_HZ[0]) & (hz <= BAND_HZ[1])]
    return np.asarray(within.sum(axis=1, dtype=np.float64)) + 1e-12


def _falls(energy: Floats) -> Iterator[tuple[int, int]]:
    """Yield first and last frame of each stretch where the level falls far and does not rise."""
    if len(energy) < _SHORTEST_FRAMES:
        return
    level_db = 10 * np.log10(np.convolve(energy, np.ones(5) / 5, "same"))
    loud_db = float(np.percentile(level_db, 90)) - _LOUD_DB
    first = 0
    while first < len(level_db) - 1:
        last, low_db = first, float(level_db[first])
        while last + 1 < len(level_db) and level_db[last + 1] < low_db + 0.5:
            last += 1
            low_db = min(low_db, float(level_db[last]))
        fallen_db = level_db[first] - level_db[last]
        far = last - first >= _SHORTEST_FRAMES and fallen_db >= FALL_DB
        if far and level_db[first] >= loud_db:
            yield first, last
        first = max(last, first + 1)


def _decay_s(energy: Floats) -> float | None:
    """Return the decay time of one stretch, where its curve is straight."""
    to_come = np.cumsum(energy[::-1])[::-1]
    missing, slope = 0.0, 0.0
    for _ in range(2):
        curve_db = 10 * np.log10((to_come + missing) / (to_come[0] + missing))
        first = int(np.searchsorted(-curve_db, _EARLY_DB))
        last = int(np.searchsorted(-curve_db, _EARLY_DB + _RANGE_DB))
        if last - first < 5 or last >= len(curve_db):
            return None
        times, part = np.arange(first, last + 1) * _HOP_S, curve_db[first : last + 1]
        slope = float(np.polyfit(times, part, 1)[0])
        missing = float(energy[-3:].mean()) / (1 - 10 ** (slope * _HOP_S / 10))
    straight = float(np.corrcoef(times, part)[0, 1]) < -_STRAIGHT
    return -60 / slope if straight else None
