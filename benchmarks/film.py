"""A programme to mix: a bed in which somebody speaks over music, and the lines of its dub.

Its voices tremble, hiss and breathe as people do. An AAC encoder takes half as long again for tones
that stand still, and only for the dub, whose music is ducked; with people who read it takes as long
for a dub as for its bed.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.layouts import Layout, layout_of
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, PlacedTake
from dubarr_watch.engines.base import Span

LINE_EVERY_S, TAKE_S = 4.8, 3.0
_TAKES, _TAKE_RATE = 25, 24_000
_PIECE_S = 60


@dataclass(frozen=True, slots=True)
class Film:
    """A synthetic programme: its bed and the lines of its dub."""

    bed: Path
    layout: Layout
    duration_s: float
    lines: list[MixLine]


def make_film(channels: int, duration_s: float, folder: Path) -> Film:
    """Write a bed of music-like noise that swells, with a voice in its centre at each line.

    In a process of its own, whose memory is not the mix's.
    """
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(_make, channels, duration_s, folder).result()


def _make(channels: int, duration_s: float, folder: Path) -> Film:
    rng = np.random.default_rng(channels)
    takes = []
    for number in range(_TAKES):
        takes.append(folder / f"take{number}.wav")
        soundfile.write(takes[-1], voice(rng, _TAKE_RATE), _TAKE_RATE, subtype="PCM_16")
    count = int((duration_s - TAKE_S) / LINE_EVERY_S)
    lines = [
        MixLine(
            PlacedTake(takes[number % _TAKES], start_s, TAKE_S),
            Span(start_s, start_s + TAKE_S),
            number % 4,
        )
        for number, start_s in enumerate(np.arange(count) * LINE_EVERY_S + 0.5)
    ]
    layout, bed = layout_of(channels), folder / "bed.flac"
    spoken = [voice(rng, SAMPLE_RATE) for _ in range(_TAKES)]
    music = _music(rng, channels)
    with soundfile.SoundFile(bed, "w", SAMPLE_RATE, channels, "PCM_16") as file:
        for start_s in np.arange(0, duration_s, _PIECE_S):
            part = music[: round(min(_PIECE_S, duration_s - start_s) * SAMPLE_RATE)].copy()
            for number, line in enumerate(lines):
                at = round((line.span.start_s - start_s) * SAMPLE_RATE)
                words = spoken[number % _TAKES]
                if 0 <= at <= len(part) - len(words):
                    sides = [0, 1] if layout.centre is None else [layout.centre]
                    part[at : at + len(words), sides] += words[:, None]
            file.write(np.clip(part, -0.9, 0.9))
    return Film(bed, layout, duration_s, lines)


def voice(rng: np.random.Generator, rate: int) -> NDArray[np.float32]:
    """Return `TAKE_S` of something like speech: float32, shape (n,).

    Four syllables a second of a buzz whose pitch glides and trembles by a hundredth or two, hissing
    consonants between them, and breath.
    """
    from scipy.signal import butter, sosfilt

    times = np.arange(round(TAKE_S * rate)) / rate
    slowly = butter(1, 30, "lowpass", fs=rate, output="sos")
    trembling = 0.3 * sosfilt(slowly, rng.standard_normal(len(times)))
    glide = 1 + 0.15 * np.sin(2 * np.pi * (0.6 * times + rng.random())) + trembling
    turns = np.cumsum(rng.uniform(100, 220) * glide) / rate
    buzz = sum(np.sin(2 * np.pi * n * turns) / n for n in range(1, 30))
    syllables = np.sin(2 * np.pi * 4 * times)
    band = butter(1, [300, 6000], "bandpass", fs=rate, output="sos")
    hiss = sosfilt(band, rng.standard_normal(len(times))) * (0.02 + 0.1 * np.abs(syllables))
    return np.asarray(0.12 * (buzz * np.clip(syllables, 0, 1) + hiss), dtype=np.float32)


def _music(rng: np.random.Generator, channels: int) -> NDArray[np.float32]:
    """Return noise, pink rather than white and without the deepest notes, that swells."""
    from scipy.signal import butter, sosfilt

    noise = rng.standard_normal((_PIECE_S * SAMPLE_RATE, channels)).astype(np.float32)
    tilt = butter(1, [80, 800], "bandpass", fs=SAMPLE_RATE, output="sos")
    noise = 0.06 * sosfilt(tilt, noise, axis=0).astype(np.float32) + 0.003 * noise
    swell = 0.6 + 0.4 * np.sin(np.linspace(0, 40, len(noise), dtype=np.float32))
    return np.asarray(noise * swell[:, None], dtype=np.float32)
