"""The dub alone: its takes on the time line of the video, block by block."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from dubarr_watch.dubbing.reverberation import LONGEST_ADDED_S, with_tail

SAMPLE_RATE = 48_000
BLOCK = SAMPLE_RATE
"""Samples that are in memory at a time."""

_EDGE_S = 0.005
_TRIM_FADE_S = 0.08
_TAIL_FADE_S = 0.1

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class PlacedTake:
    """A take at its place.

    Attributes:
        path: Mono WAV file, already at its final speed.
        start_s: Where it starts on the video's time line.
        duration_s: How much of it is heard.
        trimmed: Whether it is faded out at its end.
        gains: Linear gain in each channel of a mix; none: 1 in each.
        room_s: Decay time of the room that it is to sound like; 0: as it is.
        tail_until_s: Where that room's sound has ended at the latest, or when the take itself has.
    """

    path: Path
    start_s: float
    duration_s: float
    trimmed: bool = False
    gains: tuple[float, ...] = ()
    room_s: float = 0.0
    tail_until_s: float | None = None


def ends_at_most_s(take: PlacedTake) -> float:
    """Return when nothing more is heard of a take, its room included."""
    if take.tail_until_s is not None:
        return max(take.tail_until_s, take.start_s + take.duration_s)
    return take.start_s + take.duration_s + (LONGEST_ADDED_S if take.room_s else 0.0)


class SpeechLine:
    """Lays takes over blocks that come in order, each read when its time comes and then forgotten.

    Args:
        takes: In any order; they may overlap.
        total: Samples after which nothing is heard.
    """

    def __init__(self, takes: Sequence[PlacedTake], total: int) -> None:
        self._coming = deque(sorted(takes, key=lambda take: take.start_s))
        self._total = total
        self._heard: list[tuple[int, Samples, PlacedTake]] = []

    def add_to(self, block: Samples, position: int) -> None:
        """Add what is said in a block.

        Args:
            block: float32, shape (n, channels); changed in place.
            position: Index of its first sample.
        """
        end = min(position + len(block), self._total)
        while self._coming and round(self._coming[0].start_s * SAMPLE_RATE) < end:
            take = self._coming.popleft()
            self._heard.append((round(take.start_s * SAMPLE_RATE), _take_samples(take), take))
        for start, samples, take in self._heard:
            first, last = max(start, position), min(start + len(samples), end)
            if first >= last:
                continue
            part = samples[first - start : last - start]
            for channel, gain in enumerate(take.gains or (1.0,) * block.shape[1]):
                if gain:
                    block[first - position : last - position, channel] += part * np.float32(gain)
        self._heard = [said for said in self._heard if said[0] + len(said[1]) > end]


def write_speech(takes: Sequence[PlacedTake], duration_s: float, target: Path) -> None:
    """Write the dub alone on the video's time line: 48 kHz mono 16-bit WAV.

    Args:
        takes: What is heard; gains and rooms are left out.
        duration_s: Length of the video.
        target: The file to write.
    """
    total = round(duration_s * SAMPLE_RATE)
    plain = [PlacedTake(t.path, t.start_s, t.duration_s, t.trimmed) for t in takes]
    line = SpeechLine(plain, total)
    with soundfile.SoundFile(
        target, "w", samplerate=SAMPLE_RATE, channels=1, subtype="PCM_16", format="RF64"
    ) as file:
        for position in range(0, total, BLOCK):
            block = np.zeros((min(BLOCK, total - position), 1), dtype=np.float32)
            line.add_to(block, position)
            file.write(block)


def _take_samples(take: PlacedTake) -> Samples:
    samples, rate = soundfile.read(take.path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1)
    if not take.room_s:
        return _cut(_resampled(mono, rate), SAMPLE_RATE, take)
    # At the take's own rate it is half the work.
    wet = _resampled(with_tail(_cut(mono, rate, take), rate, take.room_s), rate)
    if take.tail_until_s is not None:
        dry = round(take.duration_s * SAMPLE_RATE)
        wet = wet[: max(round((take.tail_until_s - take.start_s) * SAMPLE_RATE), dry)]
        behind_s = (len(wet) - dry) / SAMPLE_RATE
        _fade(wet, SAMPLE_RATE, 0.0, min(max(behind_s, _EDGE_S), _TAIL_FADE_S))
    return wet


def _resampled(mono: Samples, rate: int) -> Samples:
    if rate == SAMPLE_RATE:
        return mono
    return np.asarray(soxr.resample(mono, rate, SAMPLE_RATE))


def _cut(mono: Samples, rate: int, take: PlacedTake) -> Samples:
    mono = mono[: round(take.duration_s * rate)].astype(np.float32)
    _fade(mono, rate, _EDGE_S, _TRIM_FADE_S if take.trimmed else _EDGE_S)
    return mono


def _fade(samples: Samples, rate: int, in_s: float, out_s: float) -> None:
    for seconds, at_end in ((in_s, False), (out_s, True)):
        count = min(round(seconds * rate), len(samples))
        if not count:
            continue
        ramp = np.linspace(0, 1, count, dtype=np.float32)
        if at_end:
            samples[-count:] *= ramp[::-1]
        else:
            samples[:count] *= ramp
