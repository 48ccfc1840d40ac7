"""A finished track with some lines changed: only what they touch is mixed and encoded again.

Everything else keeps its packets. A line that is as it was keeps its gain, and the film its one
static gain; so what is encoded again is, where it meets the rest, the same sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import soundfile

from dubarr_watch.dubbing.balance import Balance, Settled
from dubarr_watch.dubbing.codecs import TrackCodec
from dubarr_watch.dubbing.ducking import ATTACK_S, RELEASE_S
from dubarr_watch.dubbing.encoding import Recipe, encoded
from dubarr_watch.dubbing.layouts import layout_of
from dubarr_watch.dubbing.levels import Loudness
from dubarr_watch.dubbing.mixing import (
    TOLERANCES_LU,
    MixedTrack,
    MixRecord,
    plan_mix,
    stamps_of,
    told,
)
from dubarr_watch.dubbing.programme import MixControl, Programme
from dubarr_watch.dubbing.splicing import FRAME_SAMPLES, GRID, Share, join
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, ends_at_most_s
from dubarr_watch.dubbing.track_check import (
    MAX_TRUE_PEAK_DBTP,
    METERS_DIFFER_DB,
    true_peak_dbtp,
)
from dubarr_watch.dubbing.wordless import FADE_S
from dubarr_watch.engines.base import Span

MOST_SHARE = 0.5
"""Of a track; where more of it changes, all of it is made anew."""

_BEFORE_S, _BEHIND_S = 0.1, 0.5
"""How far a limiter reaches: it looks ahead by 20 ms and lets go within 200 ms. And two packets."""


@dataclass(frozen=True, slots=True)
class Made:
    """A track that can be patched.

    Attributes:
        record: How it was mixed.
        key: Content key of what cannot change: its bed, its style and its codec.
        size_bytes: Of its file.
        mtime_ns: Of its file.
    """

    record: MixRecord
    key: str
    size_bytes: int
    mtime_ns: int

    @staticmethod
    def of(record: MixRecord, key: str, track: Path) -> Made:
        """Return what is known of a track that was just written."""
        stat = track.stat()
        return Made(record, key, stat.st_size, stat.st_mtime_ns)

    def still_is(self, key: str, track: Path) -> bool:
        """Tell whether a file is still this track, and everything else is what it was."""
        try:
            stat = track.stat()
        except OSError:
            return False
        return (key, stat.st_size, stat.st_mtime_ns) == (self.key, self.size_bytes, self.mtime_ns)


def patch(
    programme: Programme, track: Path, codec: TrackCodec, record: MixRecord, control: MixControl
) -> MixedTrack | None:
    """Change those parts of a track in which its programme is another one now.

    Args:
        programme: What it is to be.
        track: The finished track, which gets the changes once they are whole and right.
        codec: How it is encoded.
        record: How it was mixed.
        control: Progress, cancel and stall.

    Returns:
        Nothing, and the track as it was, where all of it has to be made anew: too much changed, the
        codec's packets depend on each other, or it would not keep its loudness or its peaks.

    Raises:
        MediaError: ffmpeg failed.
        OSError: The disk is full.
        JobCancelled: As `control` says.
    """
    if codec.name not in FRAME_SAMPLES:
        return None
    duration_s = programme.duration_s
    takes = [line.take for line in programme.lines]
    stamps = stamps_of(takes)
    files = dict(zip(takes, stamps, strict=True))
    settled = {
        replace(take, gains=()): Settled(take, duck)
        for take, duck, stamp in zip(record.takes, record.ducks, record.stamps, strict=True)
        if files.get(replace(take, gains=())) == stamp
    }
    plan, _ = plan_mix(programme, control.part(0, duration_s), settled)
    layout = layout_of(soundfile.info(programme.bed).channels)
    recipe = Recipe(programme, plan, layout, codec)
    changed = _changed(record, plan, stamps, programme.wordless)
    windows = _windows(changed, recipe.total)
    if not windows:
        return told(record, plan.depth_lu)
    again = sum((recipe.total if last is None else last) - first for first, last in windows)
    if again > MOST_SHARE * recipe.total:
        return None
    patched = track.with_name(f"{track.stem}.patched{track.suffix}")
    try:
        with encoded(recipe, track, record.turn, windows, control.part(1, duration_s)) as parts:
            shares = _between(track, [part.share for part in parts])
            join(shares, patched, codec.name, control.cancelled)
        peaks = [
            true_peak_dbtp(patched, _heard(window, recipe.total), codec, control.cancelled)
            for window in windows
        ]
        now = _measured(record, plan, programme.wordless, max(peaks))
        if now is None:
            return None
        now = replace(now, stamps=stamps)
        patched.replace(track)
    finally:
        patched.unlink(missing_ok=True)
    control.part(2, duration_s).progress(1, 1)
    return told(now, plan.depth_lu)


def _measured(
    record: MixRecord, plan: Balance, wordless: Sequence[Span], peak_db: float
) -> MixRecord | None:
    """Return the record of a patched track, unless it is not what it has to be."""
    before = record.loudness
    now_lufs = before.integrated_lufs + plan.integrated_lufs - record.planned_lufs
    allowed_lu = max(max(TOLERANCES_LU), abs(before.integrated_lufs - record.goal_lufs))
    if abs(now_lufs - record.goal_lufs) > allowed_lu:
        return None
    if peak_db > max(MAX_TRUE_PEAK_DBTP - METERS_DIFFER_DB, before.true_peak_dbtp):
        return None
    return replace(
        record,
        takes=plan.takes,
        ducks=plan.ducks,
        wordless=tuple(wordless),
        planned_lufs=plan.integrated_lufs,
        loudness=Loudness(now_lufs, max(before.true_peak_dbtp, peak_db)),
    )


def _changed(
    record: MixRecord,
    plan: Balance,
    stamps: Sequence[tuple[int, int]],
    wordless: Sequence[Span],
) -> list[Span]:
    """Return where a mix becomes another one, in no order."""
    before = set(zip(record.takes, record.ducks, record.stamps, strict=True))
    now = set(zip(plan.takes, plan.ducks, stamps, strict=True))
    spans = [
        Span(
            min(take.start_s, duck.span.start_s - ATTACK_S),
            max(ends_at_most_s(take), duck.span.end_s + RELEASE_S),
        )
        for take, duck, _ in before ^ now
    ]
    other = set(record.wordless) ^ set(wordless)
    return spans + [Span(span.start_s - FADE_S, span.end_s + FADE_S) for span in other]


def _windows(changed: Sequence[Span], total: int) -> list[tuple[int, int | None]]:
    """Return the stretches of the grid that hold what changed, in order and apart."""
    found: list[tuple[int, int | None]] = []
    for span in sorted(changed, key=lambda span: span.start_s):
        first = max(int((span.start_s - _BEFORE_S) * SAMPLE_RATE), 0) // GRID * GRID
        last: int | None = -(-int((span.end_s + _BEHIND_S) * SAMPLE_RATE) // GRID) * GRID
        if found and (found[-1][1] is None or first <= found[-1][1]):
            first, before = found.pop()
            last = None if before is None or last is None else max(before, last)
        if last is None or last + GRID >= total:
            last = None  # what is left behind it would be less than a share
        found.append((first, last))
    return found


def _heard(window: tuple[int, int | None], total: int) -> Span:
    """Return when a window is heard, with what the packets around it make of its ends."""
    first, last = window
    return Span(first / SAMPLE_RATE - _BEFORE_S, (last or total) / SAMPLE_RATE + _BEFORE_S)


def _between(track: Path, parts: Sequence[Share]) -> list[Share]:
    """Return shares of a whole track: some parts, and the track as it is between them."""
    shares: list[Share] = []
    kept_from = 0
    for part in parts:
        if part.first > kept_from:
            shares.append(Share(track, 0, kept_from, part.first))
        shares.append(part)
        if part.last is None:
            return shares
        kept_from = part.last
    return [*shares, Share(track, 0, kept_from, None)]
