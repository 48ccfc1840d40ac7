"""The dub over the bed: speech on the time line, the original ducked under it, one loudness.

Everything streams block by block, so memory does not grow with the film. The original is ducked by
a gain curve computed from where lines are, not by a compressor guessing from levels: the depth is
the same at every line, and nothing is ducked where nobody is dubbed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from dubarr_watch.engines.base import Progress, Span, no_progress
from dubarr_watch.errors import MediaError
from dubarr_watch.media import input_arguments, output_name, run_ffmpeg

SAMPLE_RATE = 48_000
TARGET_LUFS = -23.0
"""Programme loudness of EBU R 128."""

TOLERANCES_LU = (0.3, 0.3, 0.5, 0.5)
"""How far from the target each try may end; EBU R 128 allows 0.5 where more is not practicable.

An encoder that leaves whole bands of a hissing film out moves the loudness in steps.
"""

MAX_TRUE_PEAK_DBTP = -1.5
DUCK_DB = {"dub": 20.0, "voiceover": 9.0}
"""How far the original goes down under a line, by style.

Listeners want speech at least 10 LU above music and 15 above ambience (Torcoli et al., JAES 67(12),
2019); here the original's own voice lies under the dub too, hence deeper.
"""

ATTACK_S = 0.15
RELEASE_S = 0.4
LEVEL_LIMIT_DB = 12.0

_BLOCK = SAMPLE_RATE * 4
_EDGE_S = 0.005
_TRIM_FADE_S = 0.08
_BIT_RATE = "192k"

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


@dataclass(frozen=True, slots=True)
class Loudness:
    """What ffmpeg's ebur128 filter measures, by ITU-R BS.1770."""

    integrated_lufs: float
    true_peak_dbtp: float


@dataclass(frozen=True, slots=True)
class MixControl:
    """How a mix is watched and stopped."""

    progress: Progress = no_progress
    cancelled: Callable[[], bool] = field(default=lambda: False)
    stall_s: float = 600


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
        speech: As from `write_speech`.
        spans: Where the original is ducked, in order.
        target: The `.mka` file to write.
        style: `dub` or `voiceover`.
        speech_gain_db: Gain of the speech before mixing.
        control: Progress, cancel and stall.

    Returns:
        Loudness of the encoded file.

    Raises:
        MediaError: ffmpeg failed, or the loudness cannot be reached.
        JobCancelled: As `control` says.
    """
    control = control or MixControl()
    recipe = _Recipe(bed, speech, tuple(spans), DUCK_DB[style], _factor(speech_gain_db))
    duration_s = soundfile.info(speech).duration
    raw = _measure_mix(recipe, duration_s, control)
    gain_db, ceiling_db = TARGET_LUFS - raw.integrated_lufs, MAX_TRUE_PEAK_DBTP - 0.5
    for tolerance_lu in TOLERANCES_LU:
        _encode(recipe, target, gain_db, ceiling_db, duration_s, control)
        got = measure_loudness(target)
        if (
            abs(got.integrated_lufs - TARGET_LUFS) <= tolerance_lu
            and got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP
        ):
            return got
        gain_db += TARGET_LUFS - got.integrated_lufs
        ceiling_db -= max(0.0, got.true_peak_dbtp - MAX_TRUE_PEAK_DBTP + 0.1)
    raise MediaError(
        f"The mix stays at {got.integrated_lufs:.1f} LUFS and {got.true_peak_dbtp:.1f} dBTP.",
        path=target,
    )


def measure_loudness(path: Path) -> Loudness:
    """Measure the first audio stream of a file.

    Raises:
        MediaError: ffmpeg failed or said nothing.
    """
    words = run_ffmpeg(
        [*input_arguments(path), "-map", "0:a:0", "-af", _EBUR128, "-f", "null", "-"], path=path
    )
    return _parse_loudness(words, path)


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


def duck_gain(spans: Sequence[Span], start: int, count: int, depth_db: float) -> Samples:
    """Return the bed's gain for some samples.

    Args:
        spans: Where it is ducked, in order.
        start: Index of the first sample at 48 kHz.
        count: Number of samples.
        depth_db: How far down.

    Returns:
        Linear gain, float32, shape (count,): 1 far from all spans, falling over `ATTACK_S` before
        a span and rising over `RELEASE_S` after it.
    """
    times = (start + np.arange(count, dtype=np.float64)) / SAMPLE_RATE
    depth = np.zeros(count)
    for span in _near(spans, times[0], times[-1]):
        rise = (times - (span.start_s - ATTACK_S)) / ATTACK_S
        fall = (span.end_s + RELEASE_S - times) / RELEASE_S
        np.maximum(depth, np.clip(np.minimum(rise, fall), 0, 1), out=depth)
    return np.asarray(10 ** (-depth_db * depth / 20), dtype=np.float32)


_EBUR128 = "ebur128=peak=true:framelog=verbose"


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
            while (voice := speech.read(_BLOCK, dtype="float32")).size:
                under = bed.read(len(voice), dtype="float32", always_2d=True, fill_value=0.0)
                if under.shape[1] == 1:
                    under = np.repeat(under, 2, axis=1)
                gain = duck_gain(self.spans, position, len(voice), self.depth_db)
                yield under * gain[:, None] + voice[:, None] * np.float32(self.speech_factor)
                position += len(voice)


def _measure_mix(recipe: _Recipe, duration_s: float, control: MixControl) -> Loudness:
    words = _run_on_mix(recipe, ["-af", _EBUR128, "-f", "null", "-"], duration_s, control)
    return _parse_loudness(words, recipe.bed)


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
        f"alimiter=limit={_factor(ceiling_db):.6f}:level=false:attack=5:release=50:latency=true,"
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


def _parse_loudness(words: str, path: Path) -> Loudness:
    summary = words[words.rfind("Summary:") :]
    integrated = re.search(r"I:\s+(-?[\d.]+|-inf|nan) LUFS", summary)
    peak = re.search(r"Peak:\s+(-?[\d.]+|-inf|nan) dBFS", summary)
    if not integrated or not peak:
        raise MediaError("ffmpeg did not say how loud the mix is.", path=path)
    return Loudness(float(integrated[1]), float(peak[1]))


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
        part = min(left, _BLOCK)
        file.write(np.zeros(part, dtype=np.float32))
        left -= part
    return max(count, 0)


def _near(spans: Sequence[Span], start_s: float, end_s: float) -> list[Span]:
    return [s for s in spans if s.start_s - ATTACK_S < end_s and s.end_s + RELEASE_S > start_s]


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


def _factor(db: float) -> float:
    return float(10 ** (db / 20))
