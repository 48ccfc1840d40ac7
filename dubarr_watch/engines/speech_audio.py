"""What speech services send, made into takes: mono 16-bit WAV files without silent edges."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from dubarr_watch.engines.base import Speech

Samples = NDArray[np.float32]

PAUSE_S = 0.25
"""Between two pieces of a text that was spoken in pieces: that of a full stop."""

# As the speech process does it: what is 40 dB below the loudest 5 ms is breath and decay.
_SILENCE_DB = -40.0
_FRAME_S = 0.005
_GUARD_S = 0.015
_FADE_S = 0.004
_CEILING = 0.98
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)


class BadAudio(Exception):
    """What came is no audio, or not all of it, or nothing can be heard in it."""


def decode(body: bytes) -> tuple[Samples, int]:
    """Return the mono samples and the rate of a WAV file.

    A service that sends while it speaks does not know the length when it writes the header, and
    leaves the size open: then all that came is taken.

    Raises:
        BadAudio: It is no WAV file, or was cut off.
    """
    if len(body) < 44 or body[:4] != b"RIFF":
        raise BadAudio("no WAV file")
    (size,) = struct.unpack("<I", body[4:8])
    if size not in _UNKNOWN_SIZES and size + 8 > len(body) + 1:
        raise BadAudio("a WAV file that was cut off")
    try:
        samples, rate = soundfile.read(
            io.BytesIO(_with_sizes(body)), dtype="float32", always_2d=True
        )
    except (soundfile.LibsndfileError, struct.error) as error:
        raise BadAudio("a damaged WAV file") from error
    mono: Samples = samples.mean(axis=1, dtype=np.float32)
    return mono, int(rate)


def trim_silence(samples: Samples, sample_rate: int) -> Samples:
    """Return the samples without silence before and after the speech, edges faded.

    Raises:
        BadAudio: There is nothing but silence.
    """
    frame = max(1, round(_FRAME_S * sample_rate))
    count = -(-len(samples) // frame)
    padded = np.zeros(count * frame, dtype=np.float64)
    padded[: len(samples)] = samples
    energy = (padded.reshape(count, frame) ** 2).mean(axis=1)
    if not count or not np.isfinite(energy).all() or energy.max() <= 1e-10:
        raise BadAudio("a WAV file in which nothing is heard")
    heard = np.flatnonzero(energy > energy.max() * 10 ** (_SILENCE_DB / 10))
    guard = round(_GUARD_S * sample_rate)
    first = max(0, int(heard[0]) * frame - guard)
    trimmed = samples[first : (int(heard[-1]) + 1) * frame + guard].copy()
    fade = min(round(_FADE_S * sample_rate), len(trimmed) // 2)
    ramp = np.linspace(0, 1, fade, endpoint=False, dtype=np.float32)
    trimmed[:fade] *= ramp
    trimmed[len(trimmed) - fade :] *= ramp[::-1]
    return trimmed


def joined(pieces: Sequence[tuple[Samples, int]]) -> tuple[Samples, int]:
    """Return pieces of speech as one, with a pause between two.

    Raises:
        BadAudio: They have different rates.
    """
    rates = {rate for _, rate in pieces}
    if len(rates) != 1:
        raise BadAudio("pieces at different sample rates")
    (rate,) = rates
    pause = np.zeros(round(PAUSE_S * rate), dtype=np.float32)
    parts = [part for samples, _ in pieces for part in (pause, samples)][1:]
    return np.concatenate(parts), rate


def write_take(target: Path, samples: Samples, sample_rate: int, *, suspect: bool) -> Speech:
    """Write a take, whole or not at all; what is louder than full scale is scaled down."""
    peak = float(np.abs(samples).max())
    scaled = samples * (_CEILING / peak) if peak > _CEILING else samples
    unfinished = target.with_name(f".{target.name}.part")
    soundfile.write(unfinished, scaled, sample_rate, subtype="PCM_16", format="WAV")
    unfinished.replace(target)
    return Speech(target, len(samples) / sample_rate, sample_rate, suspect)


def _with_sizes(body: bytes) -> bytes:
    """Fill in the sizes that a header leaves open."""
    data = body.find(b"data", 12, 4096)
    if data < 0 or struct.unpack("<I", body[data + 4 : data + 8])[0] not in _UNKNOWN_SIZES:
        return body
    riff, left = struct.pack("<I", len(body) - 8), struct.pack("<I", len(body) - data - 8)
    return body[:4] + riff + body[8 : data + 4] + left + body[data + 8 :]
