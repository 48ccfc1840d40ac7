"""Encoded tracks as a player has them, and sound that is hard on encoders."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from dubarr_watch.dubbing.encoding import Recipe, Turn
from dubarr_watch.dubbing.levels import factor
from dubarr_watch.dubbing.limiting import Limiter
from dubarr_watch.dubbing.timeline import BLOCK, SAMPLE_RATE
from dubarr_watch.media import decode_samples, probe

Sound = NDArray[np.float64]


def lively(channels: int, seconds: float) -> Sound:
    """Return noise with clicks and bursts: encoders change their block lengths all the time."""
    rng = np.random.default_rng(channels)
    count = round(seconds * SAMPLE_RATE)
    times = np.arange(count) / SAMPLE_RATE
    sound = 0.02 * rng.standard_normal((count, channels))
    sound *= (1 + np.sin(2 * np.pi * 0.7 * times) ** 8 * 6)[:, None]
    for start in range(0, count, 6_211):
        sound[start : start + 30] += 0.5
    return sound


def save_tone(path: Path, seconds: float, hz: float = 200.0, level: float = 0.9) -> Path:
    """Write a take."""
    times = np.arange(round(seconds * 24_000)) / 24_000
    soundfile.write(path, level * np.sin(2 * np.pi * hz * times), 24_000, subtype="PCM_16")
    return path


def packets(path: Path) -> list[tuple[int | None, bytes]]:
    """Return the time and the bytes of each packet."""
    with av.open(str(path)) as file:
        found = file.demux(file.streams.audio[0])
        return [(packet.pts, bytes(packet)) for packet in found if packet.size]


def decoded(path: Path) -> Sound:
    """Return the samples that a player makes of a track, shape (channels, n)."""
    channels = probe(path).streams[0].channels
    pieces = decode_samples(path, channels=channels, rate=SAMPLE_RATE, block=BLOCK)
    samples = np.frombuffer(b"".join(pieces), dtype=np.float32).reshape(-1, channels)
    return samples.T.astype(np.float64)


def mixed(recipe: Recipe, turn: Turn) -> Sound:
    """Return the samples that an encoder is fed with, shape (channels, n)."""
    limiter = Limiter(factor(turn.ceiling_db))
    blocks = [*limiter.run(recipe.blocks(factor(turn.gain_db)))]
    return np.concatenate(blocks).T.astype(np.float64)
