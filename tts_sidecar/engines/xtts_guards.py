"""Doubts about a take: XTTS sometimes goes on talking, stops too early, drones or falls silent.

A take is judged by its length against the text, by its pauses, by its energy and by its codes (the
tokens, 21.5 a second, that the model chose). None of these hears words: a take without doubts may
still say something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tts_sidecar.audio import Samples
from tts_sidecar.engines.xtts_text import Bounds

# What there may be to doubt, and how much worse than another it is.
RUNAWAY = "runaway"  # it would have gone on beyond any plausible length
SHORT = "short"  # too short for all of the text
LOOP = "loop"  # the same codes over and over
DRONE = "drone"  # a sound that does not change, as speech always does
SILENCE = "silence"  # a long gap inside
LONG = "long"  # rather long, with a gap after which it may be babble
WEIGHTS = {RUNAWAY: 8.0, LOOP: 6.0, SHORT: 6.0, DRONE: 4.0, SILENCE: 3.0, LONG: 1.0}

_FRAME_S = 0.01
_QUIET_DB = -35.0
# A pause between two sentences of one piece is shorter; dramatic ones are cut by the translation
# into lines anyway.
_LONGEST_GAP_S = 1.1
_GAP_LEFT_S = 0.4
_GAP_S = 0.18
_LONG = 1.45
_DRONE_S = 1.5
# The level of speech changes by 5 dB and more from frame to frame of a syllable; recorded vowels
# that are held for long stay above this.
_DRONE_DB = 1.0
_LONGEST_PERIOD = 32
_LOOP_CODES = 24
# Takes of one text by a slow speaker are equally long; babble is not.
_ALIKE = 1.25


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try at a piece, judged.

    Attributes:
        samples: float32, mono.
        doubts: Keys of `WEIGHTS`.
        gaps: Silences inside, as seconds of start and end, in order.
        duration_s: Length without silence at the ends.
        tail_s: Where a gap begins behind which there may be babble; None when there is none.
    """

    samples: Samples
    doubts: tuple[str, ...]
    gaps: tuple[tuple[float, float], ...]
    duration_s: float
    tail_s: float | None = None


def judge(
    samples: Samples,
    sample_rate: int,
    *,
    bounds: Bounds,
    codes: Sequence[int] = (),
    ended: bool = True,
    speed: float = 1.0,
) -> Attempt:
    """Return a take with all doubts about it.

    Args:
        samples: float32, mono.
        sample_rate: In Hz.
        bounds: How long the text should take at speed 1.
        codes: What the model chose, without its stop token.
        ended: Whether the model stopped by itself.
        speed: How much faster than that the take is.
    """
    level = _levels(samples, sample_rate)
    active = np.flatnonzero(level > level.max(initial=-120.0) + _QUIET_DB)
    if not len(active) or float(level.max()) < -70.0:
        return Attempt(samples, (SHORT,), (), 0.0)
    start, end = int(active[0]), int(active[-1]) + 1
    duration_s = (end - start) * _FRAME_S
    gaps = _gaps(level, start, end)
    tail_s = _tail(gaps, start * _FRAME_S, duration_s, bounds.expected_s / speed)
    found = {
        RUNAWAY: not ended or duration_s > bounds.most_s / speed,
        SHORT: duration_s < bounds.least_s / speed,
        LOOP: _loops(codes),
        DRONE: _drones(level[start:end]),
        SILENCE: any(until - since > _LONGEST_GAP_S / speed for since, until in gaps),
        LONG: tail_s is not None,
    }
    doubts = tuple(doubt for doubt, there in found.items() if there)
    return Attempt(samples, doubts, gaps, duration_s, tail_s)


def best(attempts: Sequence[Attempt], expected_s: float) -> int:
    """Return the index of the attempt with the least to doubt, and the most plausible length."""

    def badness(index: int) -> tuple[float, float]:
        one = attempts[index]
        doubt = sum(WEIGHTS[doubt] for doubt in one.doubts)
        return doubt, abs(np.log(max(one.duration_s, 0.01) / expected_s))

    return min(range(len(attempts)), key=badness)


def merely_slow(attempts: Sequence[Attempt]) -> bool:
    """Tell whether attempts are long, but all equally so: a slow speaker, and no babble."""
    lengths = [one.duration_s for one in attempts]
    long = all(one.doubts == (LONG,) for one in attempts)
    return long and len(lengths) > 1 and max(lengths) <= _ALIKE * min(lengths)


def mended(chosen: Attempt, attempts: Sequence[Attempt], sample_rate: int) -> Samples:
    """Return the samples without what can be cut away: a babbling tail, a long gap.

    A tail is cut at the gap before it, unless the speaker is merely slow.

    Args:
        chosen: The attempt to mend.
        attempts: All at the same piece.
        sample_rate: In Hz.
    """
    samples, gaps = chosen.samples, chosen.gaps
    if chosen.tail_s is not None and not merely_slow(attempts):
        samples = samples[: round((chosen.tail_s + 0.05) * sample_rate)]
        gaps = tuple(gap for gap in gaps if gap[0] < chosen.tail_s)
    if SILENCE in chosen.doubts:
        samples = _without_gaps(samples, gaps, sample_rate)
    return samples


def _levels(samples: Samples, sample_rate: int) -> NDArray[np.float64]:
    """Return the level of each frame of 10 ms in dB of full scale."""
    frame = max(1, round(_FRAME_S * sample_rate))
    frames = samples[: len(samples) // frame * frame].reshape(-1, frame)
    energy = np.mean(np.square(frames, dtype=np.float64), axis=1)
    levels: NDArray[np.float64] = 10 * np.log10(energy + 1e-12)
    return levels


def _gaps(level: NDArray[np.float64], start: int, end: int) -> tuple[tuple[float, float], ...]:
    quiet = level[start:end] <= level.max() + _QUIET_DB
    edges = np.flatnonzero(np.diff(np.concatenate([[0], quiet.astype(np.int8), [0]])))
    return tuple(
        ((start + since) * _FRAME_S, (start + until) * _FRAME_S)
        for since, until in edges.reshape(-1, 2).tolist()
        if (until - since) * _FRAME_S >= _GAP_S
    )


def _tail(
    gaps: Sequence[tuple[float, float]], start_s: float, duration_s: float, expected_s: float
) -> float | None:
    """Return the start of the first gap near or after the expected end of a take that is long."""
    if duration_s <= _LONG * expected_s + 0.3:
        return None
    return next((since for since, _ in gaps if since - start_s >= 0.8 * expected_s), None)


def _loops(codes: Sequence[int]) -> bool:
    """Tell whether a run of codes repeats three times or more, for longer than a second."""
    row = np.asarray(codes)
    for period in range(1, min(_LONGEST_PERIOD, len(row) // 3) + 1):
        same = row[period:] == row[:-period]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
        runs = edges[1::2] - edges[::2]
        if len(runs) and int(runs.max()) >= max(_LOOP_CODES, 2 * period):
            return True
    return False


def _drones(level: NDArray[np.float64]) -> bool:
    width = round(_DRONE_S / _FRAME_S)
    if len(level) < width:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(level, width)[::5]
    flat = windows.std(axis=1) < _DRONE_DB
    return bool(np.any(flat & (windows.mean(axis=1) > level.max() - 20)))


def _without_gaps(
    samples: Samples, gaps: Sequence[tuple[float, float]], sample_rate: int
) -> Samples:
    parts: list[Samples] = []
    at = 0
    for since, until in gaps:
        if until - since > _LONGEST_GAP_S:
            half = _GAP_LEFT_S / 2
            parts.append(samples[at : round((since + half) * sample_rate)])
            at = round((until - half) * sample_rate)
    parts.append(samples[at:])
    return np.concatenate(parts)
