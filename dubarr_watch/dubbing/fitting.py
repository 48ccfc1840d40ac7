"""Takes into slots: every line starts where the original starts, and no two ever overlap.

A line's slot runs from its own start to 50 ms before the next line. A take that is too long gets,
in this order, a shorter wording, a higher speed up to MAX_SPEEDUP, and a fade at the end of its
slot. Nothing is ever shifted, so timing errors cannot add up over a film.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Span

GUARD_S = 0.05
"""Silence kept before the next line."""

WITHIN_S = 0.05
"""A take may run over its slot by this much and still count as within."""

_CLOSE_ENOUGH = 1.005
"""A take this little too long loses no more than its last breath."""


class Outcome(StrEnum):
    """How a line ended; `misspoken`: what was heard in its take is not its text."""

    OK = "ok"
    RETRIED = "retried"
    FALLBACK_VOICE = "fallback_voice"
    TRIMMED = "trimmed"
    SILENT = "silent"
    MISSPOKEN = "misspoken"


@dataclass(frozen=True, slots=True)
class Take:
    """One synthesis of a line, as it came from the engine.

    Attributes:
        index: The line's index.
        path: Mono WAV file.
        text: What it says.
        voice: Id of the voice that says it.
        duration_s: Its length at the voice's own rate.
        attempts: Syntheses made for this line so far.
        outcome: ok, retried or fallback_voice.
        suspect: The engine doubts that it says no more and no less than the text.
    """

    index: int
    path: Path
    text: str
    voice: str
    duration_s: float
    attempts: int
    outcome: Outcome
    suspect: bool = False


@dataclass(frozen=True, slots=True)
class Fit:
    """What is done to a take so that it fills no more than its slot.

    Attributes:
        speed: Factor of its own rate, 1.0 or more.
        duration_s: Length after that, and after trimming.
        trimmed: Whether its end is faded out at the end of the slot.
    """

    speed: float
    duration_s: float
    trimmed: bool


def make_slots(lines: Sequence[Line], video_end_s: float) -> list[Span]:
    """Return the slot of each line: from its start to just before the next line.

    Args:
        lines: In order of start.
        video_end_s: Length of the video; the last slot ends there.
    """
    starts = [line.start_s for line in lines[1:]]
    ends = [start_s - GUARD_S for start_s in starts] + [video_end_s]
    return [
        Span(line.start_s, max(end_s, line.start_s))
        for line, end_s in zip(lines, ends, strict=False)
    ]


def overlong(duration_s: float, slot_s: float) -> bool:
    """Tell whether a take is so long that another wording should be tried."""
    return duration_s > slot_s * _CLOSE_ENOUGH


def fitting_chars(text: str, duration_s: float, slot_s: float) -> int:
    """Return how many characters of this text's kind fill the slot at the voice's own rate."""
    return max(4, int(len(text) * slot_s / duration_s)) if duration_s > 0 else len(text)


def fit(duration_s: float, slot_s: float, max_speedup: float) -> Fit:
    """Return the gentlest change that makes a take fit its slot.

    Args:
        duration_s: Length of the take at the voice's own rate.
        slot_s: Length of its slot.
        max_speedup: Speed that is never exceeded.
    """
    if duration_s <= slot_s * _CLOSE_ENOUGH:
        return Fit(1.0, min(duration_s, slot_s), trimmed=False)
    if duration_s <= slot_s * max_speedup:
        return Fit(min(round(duration_s / slot_s, 4), max_speedup), slot_s, trimmed=False)
    return Fit(max_speedup, slot_s, trimmed=True)
