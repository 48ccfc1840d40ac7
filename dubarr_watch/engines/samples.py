"""Samples of a WAV file at the rate that speech models want."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from dubarr_watch.errors import MediaError

RATE = 16_000
"""Sample rate of every speech model here, in Hz."""

Samples = npt.NDArray[np.float32]
"""Mono samples between -1 and 1."""


class SpeechSamples:
    """A WAV file as mono float32 at 16 kHz, read piece by piece.

    A file of another rate is resampled as a whole and held in memory; one at 16 kHz is not, so
    that a film of any length costs little.

    Args:
        path: The file.

    Raises:
        MediaError: It cannot be read as audio.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = soundfile.SoundFile(path)
        except (OSError, soundfile.SoundFileError) as error:
            raise MediaError(f"Cannot read audio: {error}.", path=path) from error
        self._resampled: Samples | None = None
        if self._file.samplerate != RATE:
            self._resampled = soxr.resample(
                _mono(self._file.read(dtype="float32", always_2d=True)), self._file.samplerate, RATE
            ).astype(np.float32)
        self.length = len(self._file) if self._resampled is None else len(self._resampled)

    def __enter__(self) -> SpeechSamples:
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.length / RATE

    def between(self, start_s: float, end_s: float) -> Samples:
        """Return the samples of a stretch, cut to what there is."""
        first = min(max(0, round(start_s * RATE)), self.length)
        last = min(max(first, round(end_s * RATE)), self.length)
        if self._resampled is not None:
            return self._resampled[first:last]
        self._file.seek(first)
        return _mono(self._file.read(last - first, dtype="float32", always_2d=True))

    def blocks(self, block_s: float) -> Iterator[Samples]:
        """Yield all samples in blocks of a number of seconds; the last one may be shorter."""
        start_s = 0.0
        while start_s * RATE < self.length:
            yield self.between(start_s, start_s + block_s)
            start_s += block_s


def _mono(samples: npt.NDArray[np.float32]) -> Samples:
    return np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32))
