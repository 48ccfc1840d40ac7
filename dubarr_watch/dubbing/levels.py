"""How loud a file is, and how loud the dub must be to match the original."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from dubarr_watch.dubbing.timeline import PlacedTake
from dubarr_watch.engines.base import Span
from dubarr_watch.errors import MediaError
from dubarr_watch.media import input_arguments, run_ffmpeg

EBUR128 = "ebur128=peak=true:framelog=verbose"
"""The filter whose words `parse_loudness` reads."""

LEVEL_LIMIT_DB = 12.0


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


def matching_gain_db(audio: Path, lines: Sequence[Span], takes: Sequence[PlacedTake]) -> float:
    """Return the gain that makes the dub's speech as loud as the original's.

    Args:
        audio: The original, mono WAV.
        lines: Where the original speaks.
        takes: The dub.

    Returns:
        dB, within ±12.
    """
    original, dub = _speech_power(audio, lines), _takes_power(takes)
    if original <= 0 or dub <= 0:
        return 0.0
    gain_db = 10 * float(np.log10(original / dub))
    return round(max(-LEVEL_LIMIT_DB, min(LEVEL_LIMIT_DB, gain_db)), 2)


def factor(db: float) -> float:
    """Return the linear gain of a figure in dB."""
    return float(10 ** (db / 20))


def _speech_power(audio: Path, lines: Sequence[Span]) -> float:
    total, count = 0.0, 0
    with soundfile.SoundFile(audio) as file:
        for line in lines:
            file.seek(min(int(line.start_s * file.samplerate), file.frames))
            samples = file.read(int(line.duration_s * file.samplerate), dtype="float64")
            total += float((samples**2).sum())
            count += samples.size
    return total / count if count else 0.0


def _takes_power(takes: Sequence[PlacedTake]) -> float:
    total, count = 0.0, 0
    for take in takes:
        samples = soundfile.read(take.path, dtype="float64", always_2d=True)[0].mean(axis=1)
        total += float((samples**2).sum())
        count += samples.size
    return total / count if count else 0.0
