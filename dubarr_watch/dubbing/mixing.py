"""The dub over the ducked bed, encoded at one loudness.

Everything streams block by block, so memory does not grow with the film, and nothing but the track
is written. What is how loud is known from levels that were measured before (`balance`), so the
samples are mixed once, on their way into the encoder. The original is ducked by a gain curve
computed from where lines are, not by a compressor guessing from levels: nothing is ducked where
nobody is dubbed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import soundfile

from dubarr_watch.dubbing.balance import Balance, MixLine, balance
from dubarr_watch.dubbing.codecs import TrackCodec, track_codec
from dubarr_watch.dubbing.ducking import MAX_DUCK_DB, Ducker, channel_depths
from dubarr_watch.dubbing.layouts import Layout, layout_of
from dubarr_watch.dubbing.levels import Loudness, Measuring, factor, sound_levels, take_levels
from dubarr_watch.dubbing.limiting import Limiter
from dubarr_watch.dubbing.loudness import (
    SILENCE_LUFS,
    STEP_S,
    EnergyMeter,
)
from dubarr_watch.dubbing.timeline import BLOCK, SAMPLE_RATE, Samples, SpeechLine
from dubarr_watch.dubbing.track_check import (
    MAX_TRUE_PEAK_DBTP,
    METERS_DIFFER_DB,
    Written,
    check_track,
)
from dubarr_watch.engines.base import Progress, no_progress
from dubarr_watch.errors import MediaError
from dubarr_watch.media import output_name, run_ffmpeg, widen_pipe

TARGET_LUFS = -23.0
"""Programme loudness of EBU R 128."""

TOLERANCES_LU = (0.4, 0.4, 0.45, 0.45, 0.45, 0.45)
"""How far from the target each try may end; EBU R 128 allows 0.5 where more is not practicable.

An encoder that leaves whole bands of a hissing film out moves the loudness in steps.
"""


_PARTS = (0.15, 0.65, 0.2)  # of the time: levels, encoding, measuring the result


@dataclass(frozen=True, slots=True)
class MixControl:
    """How a mix is watched and stopped."""

    progress: Progress = no_progress
    cancelled: Callable[[], bool] = field(default=lambda: False)
    stall_s: float = 600

    def part(self, number: int, duration_s: float) -> MixControl:
        """Return the control of one part of the whole."""
        tell, before, share = self.progress, sum(_PARTS[:number]), _PARTS[number]
        return replace(
            self,
            progress=lambda done, total: tell(
                (before + share * (min(done / total, 1.0) if total else 1.0)) * duration_s,
                duration_s,
            ),
        )


@dataclass(frozen=True, slots=True)
class Programme:
    """What is mixed.

    Attributes:
        original: The film's sound: 48 kHz, starting at the video's time 0.
        bed: What lies under the dub: the same file, or what is left of it without voices.
        lines: What is heard, in order of start.
        duration_s: Length of the video.
        style: What is done to the bed: `dub`, `voiceover` or `without voices`; see `DUCK_DB`.
        match: Whether the mix becomes as loud as the original; else -23 LUFS.
    """

    original: Path
    bed: Path
    lines: Sequence[MixLine]
    duration_s: float
    style: str = "dub"
    match: bool = False


@dataclass(frozen=True, slots=True)
class MixedTrack:
    """What was made.

    Attributes:
        loudness: Of the encoded track.
        depth_lu: By how much the voice stands above the bed; see `Balance`.
    """

    loudness: Loudness
    depth_lu: float | None


def mix(
    programme: Programme,
    target: Path,
    *,
    codec: TrackCodec | None = None,
    control: MixControl | None = None,
) -> MixedTrack:
    """Mix lines over the ducked bed and encode them in Matroska audio.

    One static gain and a true-peak limiter bring the mix to its loudness. The result is decoded and
    measured; outside of the tolerances it is made again with corrected figures.

    Args:
        programme: What is mixed.
        target: The `.mka` file to write.
        codec: How it is encoded; as fits the channels of the bed, if nothing else is asked for.
        control: Progress, cancel and stall.

    Raises:
        MediaError: ffmpeg failed, or the loudness cannot be reached.
        JobCancelled: As `control` says.
    """
    control = control or MixControl()
    layout = layout_of(soundfile.info(programme.bed).channels)
    codec = codec or track_codec(layout)
    plan, goal_lufs = _plan(programme, control.part(0, programme.duration_s))
    recipe = _Recipe(programme, plan, layout, codec)
    gain_db = goal_lufs - plan.integrated_lufs
    ceiling_db = MAX_TRUE_PEAK_DBTP - (0.5 if codec.bit_rate else METERS_DIFFER_DB)
    encoding, measuring = (control.part(part, programme.duration_s) for part in (1, 2))
    for number, tolerance_lu in enumerate(TOLERANCES_LU):
        written = _encode(recipe, target, gain_db, ceiling_db, encoding)
        got = check_track(target, written, measuring.progress, measuring.cancelled)
        if programme.match and number and got.integrated_lufs < goal_lufs:
            # An original without any headroom is louder than peaks allow.
            goal_lufs = got.integrated_lufs
        if _is_right(got, goal_lufs, tolerance_lu):
            return MixedTrack(_rounded(got), plan.depth_lu)
        encoding = measuring = replace(control, progress=no_progress)
        # A limiter takes part of a gain back: what the last one has not brought is asked for anew.
        gain_db += (goal_lufs - got.integrated_lufs) * (1.0 if number == 0 else 1.5)
        ceiling_db -= max(0.0, got.true_peak_dbtp - MAX_TRUE_PEAK_DBTP + 0.1 + METERS_DIFFER_DB)
    raise MediaError(
        f"The mix stays at {got.integrated_lufs:.1f} LUFS and {got.true_peak_dbtp:.1f} dBTP.",
        path=target,
    )


def _plan(programme: Programme, control: MixControl) -> tuple[Balance, float]:
    """Return how the mix is made and how loud it is to be."""
    watch = Measuring(control.progress, control.cancelled)
    steps = round(programme.duration_s / STEP_S)
    bed = sound_levels(programme.bed, watch).lasting(steps)
    original = bed
    if programme.original != programme.bed:
        original = sound_levels(programme.original, watch).lasting(steps)
    spans = [line.span for line in programme.lines]
    depths_db = channel_depths(programme.style, bed.layout, programme.bed, spans)
    takes = take_levels([line.take.path for line in programme.lines])
    plan = balance(programme.lines, takes, original, bed, depths_db, MAX_DUCK_DB[programme.style])
    goal_lufs = TARGET_LUFS
    if programme.match and original.integrated_lufs > SILENCE_LUFS:
        goal_lufs = original.integrated_lufs
    return plan, goal_lufs


@dataclass(frozen=True, slots=True)
class _Recipe:
    programme: Programme
    plan: Balance
    layout: Layout
    codec: TrackCodec

    def blocks(self, gain: float) -> Iterator[Samples]:
        """Yield the mix, float32 of shape (n, channels), as long as the video."""
        total = round(self.programme.duration_s * SAMPLE_RATE)
        speech, ducker = SpeechLine(self.plan.takes, total), Ducker(self.plan.ducks)
        with soundfile.SoundFile(self.programme.bed) as bed:
            for position in range(0, total, BLOCK):
                count = min(BLOCK, total - position)
                block = bed.read(count, dtype="float32", always_2d=True, fill_value=0.0)
                if block.shape[1] == 1:
                    block = np.repeat(block, 2, axis=1)
                ducker.apply(block, position)
                speech.add_to(block, position)
                block *= np.float32(gain)
                yield block


def _encode(
    recipe: _Recipe, target: Path, gain_db: float, ceiling_db: float, control: MixControl
) -> Written:
    layout, codec = recipe.layout, recipe.codec
    limiter = Limiter(factor(ceiling_db))
    meter = EnergyMeter(len(layout.channels), SAMPLE_RATE)

    def feed(stdin: BinaryIO) -> None:
        widen_pipe(stdin)
        for block in limiter.run(recipe.blocks(factor(gain_db))):
            stdin.write(np.ascontiguousarray(block).data)
            meter.add(block)

    arguments: list[Any] = [
        "-f", "f32le", "-ar", str(SAMPLE_RATE), "-ch_layout", layout.name, "-i", "pipe:0",
        "-af", f"aformat=channel_layouts={codec.layout.name}",
        *codec.arguments, "-f", "matroska", output_name(target),
    ]  # fmt: skip
    run_ffmpeg(
        arguments,
        path=recipe.programme.bed,
        duration_s=recipe.programme.duration_s,
        progress=control.progress,
        cancelled=control.cancelled,
        stall_s=control.stall_s,
        stdin=feed,
    )
    energy = meter.energies() @ layout.weights
    return Written(codec, energy, limiter.peaks, exact=codec.layout == layout)


def _is_right(got: Loudness, goal_lufs: float, tolerance_lu: float) -> bool:
    near = abs(got.integrated_lufs - goal_lufs) <= tolerance_lu
    return near and got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP - METERS_DIFFER_DB


def _rounded(got: Loudness) -> Loudness:
    return Loudness(round(got.integrated_lufs, 1), round(got.true_peak_dbtp, 1))
