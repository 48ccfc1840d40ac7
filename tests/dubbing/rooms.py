"""Real speech in rooms whose decay time is known."""

from __future__ import annotations

import subprocess
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from tests.sidecar.conftest import PYTHON, ROOT

RATE = 16_000
SAID = (
    "The house stands at the end of the road.", "Nobody lives there.", "Did you see who went in?",
    "I heard a voice last night.", "Close the door, please.", "We had better wait.",
    "What do you think?", "It was not me.", "He left an hour ago.", "Then we are alone.",
)  # fmt: skip

Samples = NDArray[np.float32]

_SPEAK = """
import sys, soundfile
from tts_sidecar.engines.espeak import EspeakEngine
engine = EspeakEngine()
engine.load()
voice = engine.voices("en")[1]
for number, text in enumerate(sys.argv[2:]):
    said = engine.synthesize(text, voice, 1.0)
    soundfile.write(f"{sys.argv[1]}/{number}.wav", said.samples, said.sample_rate)
"""


@cache
def sentences() -> tuple[Samples, ...]:
    """Return what is `SAID`, spoken by espeak-ng in no room at all."""
    with TemporaryDirectory() as folder:
        command = [str(PYTHON), "-c", _SPEAK, folder, *SAID]
        subprocess.run(command, check=True, cwd=ROOT, timeout=120, capture_output=True)
        found = []
        for number in range(len(SAID)):
            samples, rate = soundfile.read(Path(folder) / f"{number}.wav", dtype="float32")
            said = soxr.resample(samples, rate, RATE)
            loud = np.flatnonzero(np.abs(said) > 0.01)
            found.append(said[loud[0] : loud[-1]])
        return tuple(found)


def spoken(pause_s: float = 1.0, times: int = 1) -> tuple[Samples, list[tuple[float, float]]]:
    """Return all of it one after the other, and when each sentence starts and ends."""
    parts, spans, at = [np.zeros(RATE // 2, dtype=np.float32)], list[tuple[float, float]](), 0.5
    for said in sentences() * times:
        spans.append((at, at + len(said) / RATE))
        parts += [said, np.zeros(round(pause_s * RATE), dtype=np.float32)]
        at = spans[-1][1] + pause_s
    return np.concatenate(parts), spans


def in_room(samples: Samples, decay_s: float, direct_db: float = 3.0, seed: int = 3) -> Samples:
    """Return a sound in a room: noise under an exponential, so far below the direct sound."""
    times = np.arange(round(1.2 * decay_s * RATE)) / RATE
    response = np.random.default_rng(seed).standard_normal(len(times)) * 10 ** (
        -3 * times / decay_s
    )
    response[: RATE // 200] = 0
    response *= np.sqrt(10 ** (-direct_db / 10) / (response @ response))
    response[0] = 1
    size = 2 ** (len(samples) + len(response)).bit_length()
    wet = np.fft.irfft(np.fft.rfft(samples, size) * np.fft.rfft(response, size), size)
    wet = wet[: len(samples)].astype(np.float32)
    return np.asarray(wet * 0.5 / np.abs(wet).max(), dtype=np.float32)


def music(seconds: float) -> Samples:
    """Return chords that ring for two seconds, two a second, as loud as speech."""
    rng, times = np.random.default_rng(5), np.arange(2 * RATE) / RATE
    sound = np.zeros(round(seconds * RATE) + 2 * RATE)
    for start in range(0, round(seconds * RATE), RATE // 2):
        for hz in rng.choice([220, 330, 440, 550, 660, 880, 1100, 1760], 3):
            sound[start : start + 2 * RATE] += np.sin(2 * np.pi * hz * times) * np.exp(
                -3.45 * times
            )
    return np.asarray(0.1 * sound[: round(seconds * RATE)] / sound.std(), dtype=np.float32)


def decay_after(sound: Samples, end_s: float, rate: int = RATE) -> float:
    """Return the decay time of what follows a moment, from the energy yet to come (T20)."""
    tail = sound[round(end_s * rate) : round((end_s + 0.6) * rate)].astype(np.float64)
    curve_db = 10 * np.log10(np.cumsum((tail**2)[::-1])[::-1] + 1e-20)
    fallen_db = curve_db[0] - curve_db
    first, last = (int(np.searchsorted(fallen_db, db)) for db in (3, 18))
    return 60 / 15 * (last - first) / rate
