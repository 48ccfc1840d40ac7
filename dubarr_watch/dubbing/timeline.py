"""The dub alone: its takes on the time line of the video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

SAMPLE_RATE = 48_000
BLOCK = SAMPLE_RATE * 4
"""Samples that are in memory at a time."""

_EDGE_S = 0.005
_TRIM_FADE_S = 0.08

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PlacedTake:
    """A take at its place.

    Attributes:
        path: Mono WAV file, already at its final speed.
        start_s: Where it starts on the video's time line.
        duration_s: How much of it is heard.
        trimmed: Whether it is faded out at its end.
    """

    path: Path
    start_s: float
    duration_s: float
    trimmed: bool = False


def write_speech(takes: Sequence[PlacedTake], duration_s: float, target: Path) -> None:
    """Write the dub alone on the video's time line: 48 kHz mono 16-bit WAV.

    Args:
        takes: In order of start, not overlapping.
        duration_s: Length of the video.
        target: The file to write.
    """
    total = round(duration_s * SAMPLE_RATE)
    with soundfile.SoundFile(
        target, "w", samplerate=SAMPLE_RATE, channels=1, subtype="PCM_16", format="RF64"
    ) as file:
        position = 0
        for take in takes:
            start = min(round(take.start_s * SAMPLE_RATE), total)
            position += _write_silence(file, start - position)
            samples = _take_samples(take)[: max(total - position, 0)]
            file.write(samples)
            position += len(samples)
        _write_silence(file, total - position)


def _take_samples(take: PlacedTake) -> Samples:
    samples, rate = soundfile.read(take.path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if rate != SAMPLE_RATE:
        mono = soxr.resample(mono, rate, SAMPLE_RATE)
    mono = mono[: round(take.duration_s * SAMPLE_RATE)].astype(np.float32)
    _fade(mono, _EDGE_S, _TRIM_FADE_S if take.trimmed else _EDGE_S)
    return np.asarray(mono)


def _fade(samples: Samples, in_s: float, out_s: float) -> None:
    for seconds, at_end in ((in_s, False), (out_s, True)):
        count = min(round(seconds * SAMPLE_RATE), len(samples))
        if not count:
            continue
        ramp = np.linspace(0, 1, count, dtype=np.float32)
        if at_end:
            samples[-count:] *= ramp[::-1]
        else:
            samples[:count] *= ramp


def _write_silence(file: soundfile.SoundFile, count: int) -> int:
    left = max(count, 0)
    while left:
        part = min(left, BLOCK)
        file.write(np.zeros(part, dtype=np.float32))
        left -= part
    return max(count, 0)
