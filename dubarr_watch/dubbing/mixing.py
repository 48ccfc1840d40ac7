"""The dub over the ducked bed, encoded at one loudness.

Everything streams block by block, so memory does not grow with the film, and nothing but the track
is written; a long one in shares side by side (`encoding`), each of which is one pass of ffmpeg.
What is how loud is known from levels that were measured before (`balance`), so the samples are
mixed once, on their way into the encoder. The original is ducked by a gain curve computed from
where lines are, not by a compressor guessing from levels: nothing is ducked where nobody is dubbed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from dubarr_watch.dubbing.balance import Balance, Settled, balance
from dubarr_watch.dubbing.codecs import TrackCodec, track_codec
from dubarr_watch.dubbing.ducking import MAX_DUCK_DB, Duck, channel_depths
from dubarr_watch.dubbing.encoding import Recipe, Turn, encode
from dubarr_watch.dubbing.layouts import layout_of
from dubarr_watch.dubbing.levels import Loudness, Measuring, sound_levels, take_levels
from dubarr_watch.dubbing.loudness import SILENCE_LUFS, STEP_S
from dubarr_watch.dubbing.programme import MixControl, Programme
from dubarr_watch.dubbing.timeline import PlacedTake
from dubarr_watch.dubbing.track_check import (
    MAX_TRUE_PEAK_DBTP,
    METERS_DIFFER_DB,
    check_track,
)
from dubarr_watch.engines.base import Span, no_progress

TARGET_LUFS = -23.0
"""Programme loudness of EBU R 128."""

TOLERANCES_LU = (0.4, 0.4, 0.45, 0.45, 0.45, 0.45)
"""How far from the target each try may end; EBU R 128 allows 0.5 where more is not practicable.

An encoder that leaves whole bands of a hissing film out moves the loudness in steps.
"""

LEAST_DEPTH_LU = 10.0
"""A voice that stands less clear of what lies under it gets a note; see `balance.CLEAR_LU`."""

MAX_GAIN_DB = 40.0
"""A programme that is quieter than this calls for is noise or nothing, and stays quiet."""

_ROOM_DB = 6.0


@dataclass(frozen=True, slots=True)
class MixRecord:
    """How a track was mixed, for whoever changes part of it.

    Attributes:
        takes: With their gains.
        stamps: What the file of each take was; see `stamps_of`.
        ducks: Of each take.
        wordless: When the original was gone over to.
        turn: How loud it was made.
        asked_lufs: How loud it was to be.
        goal_lufs: The same, or as near as its peaks allowed.
        planned_lufs: How loud it would have been without any of that.
        loudness: How loud it is.
    """

    takes: tuple[PlacedTake, ...]
    stamps: tuple[tuple[int, int], ...]
    ducks: tuple[Duck, ...]
    wordless: tuple[Span, ...]
    turn: Turn
    asked_lufs: float
    goal_lufs: float
    planned_lufs: float
    loudness: Loudness


@dataclass(frozen=True, slots=True)
class MixedTrack:
    """What was made.

    Attributes:
        loudness: Of the encoded track.
        depth_lu: By how much the voice stands above the bed; see `Balance`.
        record: How it was made.
        notes: What a listener should know: that it is not as loud or clear as it should be.
    """

    loudness: Loudness
    depth_lu: float | None
    record: MixRecord
    notes: tuple[str, ...] = ()


def mix(
    programme: Programme,
    target: Path,
    *,
    codec: TrackCodec | None = None,
    control: MixControl | None = None,
) -> MixedTrack:
    """Mix lines over the ducked bed and encode them in Matroska audio.

    One static gain and a true-peak limiter bring the mix to its loudness. The result is decoded and
    measured; outside of the tolerances it is made again with corrected figures. What cannot be
    brought there (clicks in silence have no loudness without their peaks) stays as near as it came,
    and a note says so.

    Args:
        programme: What is mixed.
        target: The `.mka` file to write.
        codec: How it is encoded; as fits the channels of the bed, if nothing else is asked for.
        control: Progress, cancel and stall.

    Raises:
        MediaError: ffmpeg failed.
        JobCancelled: As `control` says.
    """
    control = control or MixControl()
    layout = layout_of(soundfile.info(programme.bed).channels)
    codec = codec or track_codec(layout)
    plan, goal_lufs = plan_mix(programme, control.part(0, programme.duration_s))
    recipe = Recipe(programme, plan, layout, codec)
    stamps, asked_lufs = stamps_of(plan.takes), goal_lufs
    turn, got, goal_lufs = _brought_there(recipe, target, asked_lufs, control)
    record = MixRecord(
        plan.takes, stamps, plan.ducks, tuple(programme.wordless), turn, asked_lufs, goal_lufs,
        plan.integrated_lufs, got,
    )  # fmt: skip
    return told(record, plan.depth_lu)


def stamps_of(takes: Sequence[PlacedTake]) -> tuple[tuple[int, int], ...]:
    """Return size and time of change, in ns, of each take's file.

    A line that is spoken again may get a file of the same name, and be just as long.
    """
    found = [take.path.stat() for take in takes]
    return tuple((stat.st_size, stat.st_mtime_ns) for stat in found)


def _brought_there(
    recipe: Recipe, target: Path, goal_lufs: float, control: MixControl
) -> tuple[Turn, Loudness, float]:
    """Encode until the figures are right; return how, the figures, and the goal at last."""
    ceiling_db = MAX_TRUE_PEAK_DBTP - (0.5 if recipe.codec.bit_rate else METERS_DIFFER_DB)
    turn = Turn(min(goal_lufs - recipe.plan.integrated_lufs, MAX_GAIN_DB), ceiling_db)
    tries = list[tuple[Turn, Loudness]]()
    for number, tolerance_lu in enumerate(TOLERANCES_LU):
        got = _made(recipe, target, turn, control, first=number == 0)
        tries.append((turn, got))
        if recipe.programme.match and number and got.integrated_lufs < goal_lufs:
            # An original without any headroom is louder than peaks allow.
            goal_lufs = got.integrated_lufs
        if _is_right(got, goal_lufs, tolerance_lu):
            return turn, got, goal_lufs
        if _stands_still([figures for _, figures in tries], goal_lufs):
            break
        # A limiter takes part of a gain back: what the last one has not brought is asked for anew.
        step_db = (goal_lufs - got.integrated_lufs) * (1.0 if number == 0 else 1.5)
        over_db = got.true_peak_dbtp - MAX_TRUE_PEAK_DBTP + 0.1 + METERS_DIFFER_DB
        gain_db = min(turn.gain_db + step_db, MAX_GAIN_DB)
        turn, last = Turn(gain_db, turn.ceiling_db - max(0.0, over_db)), turn
        if turn == last:
            break
    turn, got = _settled(recipe, target, tries, goal_lufs, control)
    return turn, got, goal_lufs


def _made(
    recipe: Recipe, target: Path, turn: Turn, control: MixControl, *, first: bool
) -> Loudness:
    """Encode and check; the progress of the first try is that of all."""
    duration_s, unheard = recipe.programme.duration_s, replace(control, progress=no_progress)
    encoding, measuring = (control.part(part, duration_s) if first else unheard for part in (1, 2))
    written = encode(recipe, target, turn, encoding)
    return check_track(target, written, measuring.progress, measuring.cancelled)


def _stands_still(tried: Sequence[Loudness], goal_lufs: float) -> bool:
    """Tell whether the last two tries came no nearer than those before, their peaks kept."""
    off = [abs(got.integrated_lufs - goal_lufs) for got in tried]
    held = all(got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP for got in tried[-2:])
    return len(off) > 2 and held and min(off[-2:]) > min(off[:-2]) - 0.05


def _settled(
    recipe: Recipe,
    target: Path,
    tries: list[tuple[Turn, Loudness]],
    goal_lufs: float,
    control: MixControl,
) -> tuple[Turn, Loudness]:
    """Make what came nearest, with its peaks kept whatever that takes of its loudness."""
    turn, got = min(
        reversed(tries),
        key=lambda tried: (
            max(tried[1].true_peak_dbtp - MAX_TRUE_PEAK_DBTP, 0.0),
            abs(tried[1].integrated_lufs - goal_lufs),
        ),
    )
    over_db = got.true_peak_dbtp - MAX_TRUE_PEAK_DBTP
    if over_db > 0:
        # All of it goes down: that takes any codec's peaks along.
        turn = Turn(turn.gain_db - over_db - 1, turn.ceiling_db - over_db - 1)
    elif got is tries[-1][1]:
        return turn, got
    return turn, _made(recipe, target, turn, control, first=False)


def told(record: MixRecord, depth_lu: float | None) -> MixedTrack:
    """Return what is told of a track: its figures, and notes on those that were not reached."""
    notes, got, asked_lufs = [], record.loudness, record.asked_lufs
    if abs(got.integrated_lufs - asked_lufs) > max(TOLERANCES_LU) + METERS_DIFFER_DB / 2:
        full = got.true_peak_dbtp > MAX_TRUE_PEAK_DBTP - _ROOM_DB
        why = "its peaks leave no room for more" if full else "there is next to nothing to be heard"
        notes.append(
            f"The track is at {got.integrated_lufs:.1f} LUFS instead of {asked_lufs:.1f}: {why}."
        )
    if depth_lu is not None and depth_lu < LEAST_DEPTH_LU:
        notes.append(
            f"The dub stands only {depth_lu:.1f} LU above the film's own sound, which may "
            f"make it hard to follow: {LEAST_DEPTH_LU:.0f} are meant to lie between them."
        )
    figures = Loudness(round(got.integrated_lufs, 1), round(got.true_peak_dbtp, 1))
    return MixedTrack(figures, depth_lu, record, tuple(notes))


def plan_mix(
    programme: Programme,
    control: MixControl,
    settled: Mapping[PlacedTake, Settled] | None = None,
) -> tuple[Balance, float]:
    """Return how a mix is made and how loud it is to be, in LUFS.

    Args:
        programme: What is mixed.
        control: Progress and cancel.
        settled: What was decided before about takes; see `balance`.

    Raises:
        JobCancelled: As `control` says.
    """
    watch = Measuring(control.progress, control.cancelled)
    steps = round(programme.duration_s / STEP_S)
    bed = sound_levels(programme.bed, watch).lasting(steps)
    original = bed
    if programme.original != programme.bed:
        original = sound_levels(programme.original, watch).lasting(steps)
        bed = bed.going_over(original, programme.wordless)
    spans = [line.span for line in programme.lines]
    depths_db = channel_depths(programme.style, bed.layout, programme.bed, spans)
    takes = take_levels([line.take.path for line in programme.lines])
    plan = balance(
        programme.lines, takes, original, bed, depths_db, MAX_DUCK_DB[programme.style], settled
    )
    goal_lufs = TARGET_LUFS
    if programme.match and original.integrated_lufs > SILENCE_LUFS:
        goal_lufs = original.integrated_lufs
    return plan, goal_lufs


def _is_right(got: Loudness, goal_lufs: float, tolerance_lu: float) -> bool:
    near = abs(got.integrated_lufs - goal_lufs) <= tolerance_lu
    return near and got.true_peak_dbtp <= MAX_TRUE_PEAK_DBTP - METERS_DIFFER_DB
