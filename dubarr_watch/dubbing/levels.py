"""How loud a file is: as a whole, and in each channel at each moment."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from dubarr_watch.dubbing.layouts import Layout, layout_of
from dubarr_watch.dubbing.loudness import STEP_S, EnergyMeter, Samples, integrated_lufs
from dubarr_watch.engines.base import Progress, Span, no_progress
from dubarr_watch.errors import JobCancelled, MediaError
from dubarr_watch.media import input_arguments, run_ffmpeg

EBUR128 = "ebur128=peak=true:framelog=verbose"
"""The filter whose words `parse_loudness` reads."""

_PIECE_S = 20
_WARM_UP_S = 1
_BLOCK_S = 2
_THREADS = 4


@dataclass(frozen=True, slots=True)
class Loudness:
    """What ffmpeg's ebur128 filter measures, by ITU-R BS.1770."""

    integrated_lufs: float
    true_peak_dbtp: float


def measure_loudness(path: Path) -> Loudness:
    """Measure the first audio stream of a file.

    Raises:
        MediaError: ffmpeg failed or said nothing.
    """
    words = run_ffmpeg(
        [*input_arguments(path), "-map", "0:a:0", "-af", EBUR128, "-f", "null", "-"], path=path
    )
    return parse_loudness(words, path)


def parse_loudness(words: str, path: Path) -> Loudness:
    """Return what the filter said at its end.

    Raises:
        MediaError: It said nothing.
    """
    summary = words[words.rfind("Summary:") :]
    integrated = re.search(r"I:\s+(-?[\d.]+|-inf|nan) LUFS", summary)
    peak = re.search(r"Peak:\s+(-?[\d.]+|-inf|nan) dBFS", summary)
    if not integrated or not peak:
        raise MediaError("ffmpeg did not say how loud the mix is.", path=path)
    return Loudness(float(integrated[1]), float(peak[1]))


@dataclass(frozen=True, slots=True)
class SoundLevels:
    """The energy of a sound in each channel at each tenth of a second.

    Attributes:
        energy: K-weighted mean squares, float32, shape (steps, channels).
        layout: What the channels are.
    """

    energy: NDArray[np.float32]
    layout: Layout

    @property
    def integrated_lufs(self) -> float:
        """Gated loudness of the whole."""
        return integrated_lufs(self.energy @ self.layout.weights)

    def lasting(self, steps: int) -> SoundLevels:
        """Return the same, cut or filled with silence to a number of steps."""
        missing = steps - len(self.energy)
        if missing == 0:
            return self
        filled = np.pad(self.energy, ((0, max(missing, 0)), (0, 0)))
        return SoundLevels(filled[:steps], self.layout)

    def going_over(self, other: SoundLevels, spans: Sequence[Span]) -> SoundLevels:
        """Return the same, with the levels of another sound of its length in some stretches."""
        energy = self.energy.copy()
        for span in spans:
            energy[steps_of(span)] = other.energy[steps_of(span)]
        return SoundLevels(energy, self.layout)

    def within(self, span: Span) -> NDArray[np.float64]:
        """Return the mean energy of each channel in a span; zeros behind the end."""
        some = self.energy[steps_of(span)]
        if not len(some):
            return np.zeros(self.energy.shape[1])
        return np.asarray(some.mean(axis=0, dtype=np.float64))


def steps_of(span: Span) -> slice:
    """Return the steps of a span, at least one."""
    first = max(0, round(span.start_s / STEP_S))
    return slice(first, max(first + 1, round(span.end_s / STEP_S)))


@dataclass(frozen=True, slots=True)
class Measuring:
    """How measuring is watched and stopped."""

    progress: Progress = no_progress
    cancelled: Callable[[], bool] = field(default=lambda: False)


def sound_levels(path: Path, watch: Measuring | None = None) -> SoundLevels:
    """Return the levels of a 48 kHz file; mono counts as two equal channels.

    They are kept beside the file, because every language of a video asks for those of one bed.

    Raises:
        JobCancelled: As `watch` says.
    """
    info = soundfile.info(path)
    layout = layout_of(info.channels)
    kept = path.with_name(f"{path.name}.levels.npy")
    energy = _kept_levels(kept, path, len(layout.channels))
    if energy is None:
        energy = _measure(path, info, watch or Measuring())
        if info.channels == 1:
            energy = np.repeat(energy, 2, axis=1)
        np.save(kept, energy, allow_pickle=False)
    return SoundLevels(energy, layout)


def _kept_levels(kept: Path, path: Path, channels: int) -> NDArray[np.float32] | None:
    if not kept.exists() or kept.stat().st_mtime_ns < path.stat().st_mtime_ns:
        return None
    try:
        found: NDArray[np.float32] = np.load(kept, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None  # a crash left half of it
    return found if found.ndim == 2 and found.shape[1] == channels else None


def _measure(path: Path, info: soundfile._SoundFileInfo, watch: Measuring) -> Samples:
    """Measure pieces side by side; each begins a little early, so that its filters have settled."""
    total, piece = int(info.frames), _PIECE_S * int(info.samplerate)
    starts = range(0, total, piece)
    found: list[Samples] = []
    workers = min(_THREADS, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers, thread_name_prefix="levels") as pool:
        for part in pool.map(partial(_measure_piece, path, piece, watch.cancelled), starts):
            found.append(part)
            watch.progress(min(len(found) * piece, total) / info.samplerate, info.duration)
    return np.concatenate(found) if found else np.zeros((0, info.channels), dtype=np.float32)


def _measure_piece(path: Path, piece: int, cancelled: Callable[[], bool], start: int) -> Samples:
    with soundfile.SoundFile(path) as file:
        if cancelled():
            raise JobCancelled("Cancelled.")
        rate = file.samplerate
        early = min(start, _WARM_UP_S * rate)
        file.seek(start - early)
        meter, left = EnergyMeter(file.channels, rate), early + piece
        while left > 0:
            block = file.read(min(_BLOCK_S * rate, left), dtype="float32", always_2d=True)
            if not len(block):
                break
            meter.add(block)
            left -= len(block)
        return meter.energies()[round(early / rate / STEP_S) :]


def take_levels(samples: Sequence[Path]) -> list[NDArray[np.float32]]:
    """Return the energies of mono files, each of shape (steps,)."""
    return [_take_energy(path) for path in samples]


def _take_energy(path: Path) -> NDArray[np.float32]:
    samples, rate = soundfile.read(path, dtype="float32", always_2d=True)
    mono = samples.mean(axis=1, keepdims=True)
    meter = EnergyMeter(1, rate)
    # Filled up, so that the last word counts, however short.
    meter.add(np.concatenate([mono, np.zeros((round(rate * STEP_S), 1), dtype=np.float32)]))
    return meter.energies()[:, 0]


def factor(db: float) -> float:
    """Return the linear gain of a figure in dB."""
    return float(10 ** (db / 20))
