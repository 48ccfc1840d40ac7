"""Lines, takes and slots as the stages around fitting see them; `fit_planner` plans the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dubarr_watch.dubbing.fit_planner import CLOSE_ENOUGH, FitLine, slots_of
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Span

WITHIN_S = 0.05
"""A take may run over its slot by this much and still count as within."""


EMPTY_SHARE = 0.6
"""A wording that fills less of its slot than this has lost meaning (5.9 s got 2.0 s of speech)."""

MORE_WORDINGS = 2
"""Other wordings of a line that are spoken at most."""


class Outcome(StrEnum):
    """How a line ended.

    `misspoken`: what was heard in its take is not its text. `song`: it is sung and stays as it is
    in the original.
    """

    OK = "ok"
    RETRIED = "retried"
    FALLBACK_VOICE = "fallback_voice"
    TRIMMED = "trimmed"
    SILENT = "silent"
    MISSPOKEN = "misspoken"
    SONG = "song"


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
        speed: Factor of its own rate.
        duration_s: Length after that, and after cutting and trimming.
        trimmed: Whether its end is faded out and lost.
        cut_s: What is taken out of its pauses.
        why: What was done, in that order; see `fit_planner.Why`.
    """

    speed: float
    duration_s: float
    trimmed: bool
    cut_s: float = 0.0
    why: tuple[str, ...] = ()


def make_slots(lines: Sequence[Line], video_end_s: float) -> list[Span]:
    """Return the slot of each line: see `fit_planner.slots_of`.

    Args:
        lines: In order of start.
        video_end_s: Length of the video; no slot goes past it.
    """
    known = [FitLine(line.start_s, line.end_s, lane=line.speaker) for line in lines]
    return slots_of(known, video_end_s)


def overlong(duration_s: float, slot_s: float) -> bool:
    """Tell whether a take is so long that another wording should be tried."""
    return duration_s > slot_s * CLOSE_ENOUGH


def fitting_chars(text: str, duration_s: float, slot_s: float) -> int:
    """Return how many characters of this text's kind fill the slot at the voice's own rate."""
    return max(4, int(len(text) * slot_s / duration_s)) if duration_s > 0 else len(text)


def best_first(
    texts: Sequence[str], said: str, said_s: float, slot_s: float, max_speedup: float
) -> list[str]:
    """Return the wordings worth speaking in place of one that is too long, the best one first.

    The longest that fits says most. After it, and where none fits, come shorter ones. One that
    leaves much of its slot empty has lost meaning: it is only spoken where the wording so far
    would be cut.

    Args:
        texts: Other wordings.
        said: The wording so far.
        said_s: How long that takes to say.
        slot_s: What there is for it.
        max_speedup: MAX_SPEEDUP.
    """
    if not said:
        return []
    rate = said_s / len(said)
    shorter = sorted({text for text in texts if 0 < len(text) < len(said)}, key=len, reverse=True)
    if said_s <= slot_s * max_speedup:
        shorter = [text for text in shorter if len(text) * rate >= slot_s * EMPTY_SHARE]
    fitting = [text for text in shorter if not overlong(len(text) * rate, slot_s)]
    return fitting[:MORE_WORDINGS] or shorter[-1:]
