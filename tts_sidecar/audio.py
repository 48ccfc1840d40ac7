"""Samples: trimming of silence and the WAV form."""

from __future__ import annotations

import io
import wave

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]

# Frames of 5 ms that stay this far below the loudest frame are silence. Measured on nine Kokoro
# takes that end in weak sounds: down to -54 dB there is only decay and breath, 5 to 65 ms of it.
_SILENCE_DB = -40.0
_FRAME_S = 0.005
# What stays before the first and after the last sound: less would clip plosives and breath.
_GUARD_S = 0.015
_FADE_S = 0.004
_CEILING = 0.98


def trim_silence(samples: Samples, sample_rate: int) -> Samples:
    """Return the samples without the silence before and after the speech.

    At most 20 ms of silence stay on each side, faded, so that a take can be placed on a time line
    by its first sample and cut anywhere without a click.

    Args:
        samples: float32, mono, full scale at 1.0.
        sample_rate: In Hz.

    Returns:
        float32; empty when there is nothing but silence.
    """
    frame = max(1, round(_FRAME_S * sample_rate))
    count = -(-len(samples) // frame)
    if count == 0:
        return samples[:0]
    padded = np.zeros(count * frame, dtype=np.float32)
    padded[: len(samples)] = samples
    energy = np.mean(np.square(padded.reshape(count, frame), dtype=np.float64), axis=1)
    loudest = float(energy.max())
    if loudest <= 1e-10:
        return samples[:0]
    spoken = np.flatnonzero(energy > loudest * 10 ** (_SILENCE_DB / 10))
    guard = round(_GUARD_S * sample_rate)
    start = max(0, int(spoken[0]) * frame - guard)
    end = min(len(samples), (int(spoken[-1]) + 1) * frame + guard)
    return _fade_edges(samples[start:end], round(_FADE_S * sample_rate))


def to_wav(samples: Samples, sample_rate: int) -> bytes:
    """Return the samples as a WAV file: 16-bit PCM, mono; louder than full scale is scaled down."""
    peak = float(np.max(np.abs(samples))) if len(samples) else 0.0
    scaled = samples * (_CEILING / peak) if peak > _CEILING else samples
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(np.round(scaled * 32767.0).astype("<i2").tobytes())
    return buffer.getvalue()


def _fade_edges(samples: Samples, length: int) -> Samples:
    length = min(length, len(samples) // 2)
    faded = samples.astype(np.float32, copy=True)
    if length:
        ramp = np.linspace(0.0, 1.0, length, endpoint=False, dtype=np.float32)
        faded[:length] *= ramp
        faded[-length:] *= ramp[::-1]
    return faded
