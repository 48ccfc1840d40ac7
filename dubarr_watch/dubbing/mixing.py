"""The dub over the ducked bed, encoded at one loudness.

Everything streams block by block, so memory does not grow with the film. The original is ducked by
a gain curve computed from where lines are, not by a compressor guessing from levels: the depth is
the same at every line, and nothing is ducked where nobody is dubbed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from dubarr_watch.dubbing.ducking import DUCK_DB, duck_gain
from dubarr_watch.dubbing.levels import EBUR128, Loudness, factor, measure_loudness, parse_loudness
from dubarr_watch.dubbing.timeline import BLOCK, SAMPLE_RATE, Samples
from dubarr_watch.engines.base import Progress, Span, no_progress
from dubarr_watch.errors import MediaError
from dubarr_watch.media import output_name, run_ffmpeg

TARGET_LUFS = -23.0
"""Programme loudness of EBU R 128."""

TOLERANCES_LU = (0.3, 0.3, 0.5, 0.5)
"""How far from the target each try may end; EBU R 128 allows 0.5 where more is not practicable.

An encoder that leaves whole bands of a hissing film out moves the loudness in steps.
"""

MAX_TRUE_PEAK_DBTP = -1.5
_BIT_RATE = "192k"


@dataclass(frozen=True, slots=True)
class MixControl:
    """How a mix is watched and stopped."""

    progress: Progress = no_progress
    cancelled: Callable[[], bool] = field(default=lambda: False)
    stall_s: float = 600

    def half(self, number: int) -> MixControl:
        """Return the control of the first (0) or second (1) of two passes over a whole."""
        tell = self.progress
        return replace(self, progress=lambda done, total: tell((done + number * total) / 2, total))


def mix(
    bed: Path,
    speech: Path,
    spans: Sequence[Span],
    target: Path,
    *,
    style: str = "dub",
    speech_gain_db: float = 0.0,
    control: MixControl | None = None,
) -> Loudness:
    """Mix speech over the ducked bed and encode it: AAC stereo in Matroska audio.

    The mix is measured, then encoded with one static gain and a true-peak limiter, then the result
    is measured; a result outside of the tolerances is encoded again with corrected figures.

    Args:
        bed: 48 kHz stereo file of the original, starting at the video's time 0.
        speech: As from `timeline.write_speech`.
        spans: Where the original is ducked, in order.
        target: The `.mka` file to write.
        style: What the bed holds: `dub`, `voiceover` or `without voices`; see `DUCK_DB`.
        speech_gain_db: Gain of the speech before mixing.
        control: Progress, cancel and stall.

    Returns:
        Loudness of the encoded file.

    Raises:
        MediaError: ffmpeg failed, or the loudness cannot be reached.
        JobCancelled: As `control` says.
    """
    control = control or MixControl()
    recipe = _Recipe(bed, speech, tuple(spans), DUCK_DB[style], factor(speech_gain_db))
    duration_s = soundfile.info(speech).duration
    raw = _measure_mix(recipe, duration_s, control.half(0))
    gain_db, ceiling_db = TARGET_LUFS - raw.integrated_lufs, MAX_TRUE_PEAK_DBTP - 0.5
    tries = control.half(1)
    for tolerance_lu in TOLERANCES_LU:
        _encode(recipe, target, gain_db, ceiling_db, duration_s, tries)
        got = measure_loudness(target)
        if _is_right(got, tolerance_lu):
            return got
        tries = replace(control, progress=no_progress)
        gain_db += TARGET_LUFS - got.integrated_lufs
        ceiling_db -= max(0.0, got.true_peak_dbtp - MAX_TRUE_PEAK_DBTP + 0.1)
    raise MediaError(
        f"The mix stays at {got.integrated_lufs:.1f} LUFS and {got.true_peak_dbtp:.1f} dBTP.",
        path=target,
    )


@dataclass(frozen=True, slots=True)
class _Recipe:
    bed: Path
    speech: Path
    spans: tuple[Span, ...]
    depth_db: float
    speech_factor: float

    def blocks(self) -> Iterator[Samples]:
        """Yield the mix, float32 of shape (n, 2), as long as the speech."""
        with soundfile.SoundFile(self.bed) as bed, soundfile.SoundFile(self.speech) as speech:
            position = 0
            while (voice := speech.read(BLOCK, dtype="float32")).size:
                under = bed.read(len(voice), dtype="float32", always_2d=True, fill_value=0.0)
                if under.shape[1] == 1:
                    under = np.repeat(under, 2, axis=1)
                gain = duck_gain(self.spans, position, len(voice), self.depth_db)
                yield under * gain[:, None] + voice[:, None] * np.float32(self.speech_factor)
                position += len(voice)


def _is_right(got: Loudness, tolerance_lu: float) -> bool:
    near = abs(got.integrated_lufs - TARGET_LUFS) <= tolerance_lu
    return near and got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP


def _measure_mix(recipe: _Recipe, duration_s: float, control: MixControl) -> Loudness:
    words = _run_on_mix(recipe, ["-af", EBUR128, "-f", "null", "-"], duration_s, control)
    return parse_loudness(words, recipe.bed)


def _encode(
    recipe: _Recipe,
    target: Path,
    gain_db: float,
    ceiling_db: float,
    duration_s: float,
    control: MixControl,
) -> None:
    # Peaks between samples show at four times the rate (ITU-R BS.1770-4, annex 2).
    chain = (
        f"volume={gain_db:.3f}dB,aresample={4 * SAMPLE_RATE},"
        f"alimiter=limit={factor(ceiling_db):.6f}:level=false:attack=5:release=50:latency=true,"
        f"aresample={SAMPLE_RATE}"
    )
    arguments = ["-af", chain, "-c:a", "aac", "-b:a", _BIT_RATE, "-f", "matroska"]
    _run_on_mix(recipe, [*arguments, output_name(target)], duration_s, control)


def _run_on_mix(
    recipe: _Recipe, arguments: Sequence[str], duration_s: float, control: MixControl
) -> str:
    def feed(stdin: BinaryIO) -> None:
        for block in recipe.blocks():
            stdin.write(block.tobytes())

    source: list[Any] = ["-f", "f32le", "-ar", str(SAMPLE_RATE), "-ac", "2", "-i", "pipe:0"]
    return run_ffmpeg(
        [*source, *arguments],
        path=recipe.bed,
        duration_s=duration_s,
        progress=control.progress,
        cancelled=control.cancelled,
        stall_s=control.stall_s,
        stdin=feed,
    )
