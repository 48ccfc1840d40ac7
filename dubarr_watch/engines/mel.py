"""The log-mel features that the d-vector embedder was trained on."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from dubarr_watch.engines.samples import RATE, Samples

MELS = 40
FRAMES_PER_S = 100
_HOP = RATE // FRAMES_PER_S
_FFT = 512
_WINDOW = 400
_FLOOR = 1e-10

# Slaney's mel scale (Auditory Toolbox, 1998): linear below 1 kHz, above it a factor of 6.4 in 27
# steps.
_LINEAR_HZ = 200 / 3
_KNEE_HZ = 1000.0
_KNEE_MEL = _KNEE_HZ / _LINEAR_HZ
_LOG_STEP = np.log(6.4) / 27


def log_mel(samples: Samples) -> npt.NDArray[np.float32]:
    """Return log10 mel power, float32 (frames, 40), 100 frames a second, of 16 kHz samples."""
    if len(samples) < _FFT:
        samples = np.pad(samples, (0, _FFT - len(samples)))
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FFT)[::_HOP] * _window()
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    features: npt.NDArray[np.float32] = np.log10(power @ _filters().T + _FLOOR)
    return features.astype(np.float32)


@functools.cache
def _window() -> npt.NDArray[np.float32]:
    """Return a periodic Hamming window of 25 ms in the middle of a frame of 32 ms."""
    phase = 2 * np.pi * np.arange(_WINDOW) / _WINDOW
    margin = (_FFT - _WINDOW) // 2
    return np.pad(0.54 - 0.46 * np.cos(phase), (margin, margin)).astype(np.float32)


@functools.cache
def _filters() -> npt.NDArray[np.float32]:
    """Return triangles of equal area, evenly spaced in mel from 0 Hz to the Nyquist frequency."""
    edges = _to_hz(np.linspace(0, _to_mel(RATE / 2), MELS + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    hz = np.fft.rfftfreq(_FFT, 1 / RATE)[None, :]
    triangles = np.maximum(
        0, np.minimum((hz - low) / (centre - low), (high - hz) / (high - centre))
    )
    return (triangles * 2 / (high - low)).astype(np.float32)


def _to_mel(hz: float) -> float:
    return float(_KNEE_MEL + np.log(hz / _KNEE_HZ) / _LOG_STEP)  # only asked above the knee


def _to_hz(mel: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    above = _KNEE_HZ * np.exp(_LOG_STEP * (mel - _KNEE_MEL))
    return np.where(mel < _KNEE_MEL, mel * _LINEAR_HZ, above)
