"""What a page shows and plays of a sound: peaks and short recordings."""

from __future__ import annotations

import base64
import io
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from dubarr_watch.media import input_arguments, output_name, run_ffmpeg

RATE = 24_000
"""Samples in a second of what is played: enough for speech."""

_STEP = RATE // 100
_QUALITY = 0.75  # of libsndfile: 0 is the largest MP3, 1 the smallest
_EDGE_S = 0.01

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sound:
    """A decoded sound on disk, and its peaks in memory.

    Attributes:
        path: Mono WAV file at `RATE`.
        peaks: Highest absolute sample of each hundredth of a second, 0 to 1.
    """

    path: Path
    peaks: Samples

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.peaks) * _STEP / RATE

    def bars(self, start_s: float, end_s: float, count: int) -> list[float]:
        """Return the highest peak of each of `count` equal parts of a stretch, 0 to 1."""
        edges = np.linspace(start_s, end_s, count + 1) * RATE / _STEP
        found = []
        for first, last in pairwise(edges):
            part = self.peaks[max(int(first), 0) : max(int(np.ceil(last)), 0)]
            found.append(float(part.max()) if len(part) else 0.0)
        return found

    def mp3(self, start_s: float, end_s: float) -> str:
        """Return a stretch as MP3 in base64."""
        first = max(round(start_s * RATE), 0)
        with soundfile.SoundFile(self.path) as file:
            count = max(min(round(end_s * RATE), file.frames) - first, 0)
            file.seek(min(first, file.frames))
            samples = file.read(count, dtype="float32")
        ramp = np.linspace(0, 1, min(round(_EDGE_S * RATE), len(samples)), dtype=np.float32)
        samples[: len(ramp)] *= ramp
        samples[len(samples) - len(ramp) :] *= ramp[::-1]
        written = io.BytesIO()
        soundfile.write(
            written, samples, RATE, format="MP3", subtype="MPEG_LAYER_III",
            compression_level=_QUALITY, bitrate_mode="VARIABLE",
        )  # fmt: skip
        return base64.b64encode(written.getvalue()).decode("ascii")


def decode(source: Path, stream: int, target: Path) -> Sound:
    """Decode an audio stream for a page.

    Args:
        source: Any file with sound.
        stream: Which of its audio streams, counted from 0.
        target: The WAV file to write.

    Raises:
        MediaError: ffmpeg failed.
    """
    run_ffmpeg(
        [
            *input_arguments(source), "-map", f"0:a:{stream}",
            "-af", "aresample=async=1:first_pts=0", "-ac", "1", "-ar", str(RATE),
            "-c:a", "pcm_s16le", "-f", "wav", output_name(target),
        ],
        path=source,
    )  # fmt: skip
    peaks: list[Samples] = []
    with soundfile.SoundFile(target) as file:
        for block in file.blocks(_STEP * 6000, dtype="float32"):
            whole = np.pad(np.abs(block), (0, -len(block) % _STEP))
            peaks.append(whole.reshape(-1, _STEP).max(axis=1))
    return Sound(target, np.concatenate(peaks) if peaks else np.zeros(0, np.float32))


def cut(source: Path, stream: int, start_s: float, end_s: float) -> bytes:
    """Return a stretch of an audio stream as a mono WAV file; nothing before it is decoded.

    Args:
        source: Any file with sound.
        stream: Which of its audio streams, counted from 0.
        start_s: Where it begins.
        end_s: Where it ends.

    Raises:
        MediaError: ffmpeg failed.
    """
    with tempfile.TemporaryDirectory(prefix="dubarr-watch-") as folder:
        target = Path(folder) / "cut.wav"
        run_ffmpeg(
            [
                *input_arguments(source, "-ss", f"{start_s:.3f}", "-t", f"{end_s - start_s:.3f}"),
                "-map", f"0:a:{stream}", "-ac", "1", "-ar", str(RATE), "-c:a", "pcm_s16le",
                "-f", "wav", output_name(target),
            ],
            path=source,
        )  # fmt: skip
        return target.read_bytes()
