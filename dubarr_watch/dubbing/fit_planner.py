"""When each take starts and what is done to it: a plan made of lengths alone, without any I/O.

A take starts where the original starts; nothing is ever shifted by what came before, so timing
errors cannot add up over a film. A take that is too long gets, in this order: the gap to the next
line, another wording, its pauses shortened, a higher speed, and a fade at the end of a word. One
that says much less than the original is slowed a little and moved towards its middle.

Where speakers talked at the same time, each on a lane of their own, so do their takes, and for no
longer than the originals. No other two takes ever overlap.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dubarr_watch.engines.base import Span

GUARD_S = 0.05
"""Silence kept before the next line."""

BORROW_S = 2.0
"""A take may go on for this long after the original has ended, where nobody speaks then.

It is what a viewer forgives who sees a closed mouth, and long enough for a word that takes a
sentence in another language. Subtitles commonly linger for as long.
"""

EARLY_S, LATE_S = 0.045, 0.125
"""How far from the original a take may start unnoticed (ITU-R BT.1359-1, detectability)."""

CENTRED_LATE_S = 0.1
"""How late a take is placed to be centred: its voice may begin 20 ms into it."""

CLOSE_ENOUGH = 1.005
"""A take this little too long loses no more than its last breath."""

SILENT_SPEEDUP = 1.15
"""Speed up to which nobody hears that a take was sped up."""

SLOWEST = 0.9
"""Speed of a take that says much less than the original; MOS 4.14 of 4.64 (QoMEX 2019)."""

MUCH_LESS = 0.75
"""Share of the original's speech below which a take is slowed."""

KEPT_PAUSE_S = 0.12
"""What is left of a pause at least, so that it is still heard as one."""

_LEAST_S = 0.001
_SHORTEST_CUT_SHARE = 0.5
"""A cut at a word's end may cost this share of what would fit; else it falls inside a word."""


class Why(StrEnum):
    """What was done to a take and why it does not simply lie on the original."""

    BORROWED = "gap borrowed"
    EARLY = "started early"
    PAUSES = "pauses shortened"
    FASTER = "sped up"
    HURRIED = "sped up audibly"
    CUT = "cut at a word"
    CUT_INSIDE = "cut inside a word"
    SLOWED = "slowed"
    CENTRED = "centred"
    NO_ROOM = "no room"


@dataclass(frozen=True, slots=True)
class FitLine:
    """What a plan needs to know of a line and of its take.

    Attributes:
        start_s: Where the original starts.
        end_s: Where it ends.
        take_s: Measured length of its take at the voice's own rate, if there is one.
        predicted_s: Predicted length; used as long as there is no take. 0: no wording.
        pauses: Silences inside the take, in order, in seconds of the take.
        word_ends_s: Where words of the take end, in order.
        lane: The speaker's: lines on different lanes may overlap as their originals do.
    """

    start_s: float
    end_s: float
    take_s: float | None = None
    predicted_s: float = 0.0
    pauses: tuple[Span, ...] = ()
    word_ends_s: tuple[float, ...] = ()
    lane: int = 0

    @property
    def length_s(self) -> float:
        """What is known of the take's length."""
        return self.predicted_s if self.take_s is None else self.take_s

    @property
    def original_s(self) -> float:
        """Length of the original."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class FitPlan:
    """How one take is heard.

    Attributes:
        start_s: When it starts.
        duration_s: How long it is heard; 0 when it is not.
        speed: Factor of the voice's own rate.
        cuts: What is taken out of its pauses, in order, in seconds of the take.
        wanted_s: Length of the wording that should be tried instead; None when this one is fine.
        trimmed: Whether its end is faded out and lost.
        why: What was done, in that order.
    """

    start_s: float
    duration_s: float = 0.0
    speed: float = 1.0
    cuts: tuple[Span, ...] = ()
    wanted_s: float | None = None
    trimmed: bool = False
    why: tuple[Why, ...] = ()

    @property
    def end_s(self) -> float:
        """When it ends."""
        return self.start_s + self.duration_s

    @property
    def cut_s(self) -> float:
        """What is taken out of its pauses, in all."""
        return sum((cut.duration_s for cut in self.cuts), 0.0)


def plan_in_slots(
    lines: Sequence[FitLine], slots: Sequence[Span], max_speedup: float, free_from_s: float = 0.0
) -> list[FitPlan]:
    """Return a plan for each line.

    Args:
        lines: In order of start.
        slots: As from `slots_of`.
        max_speedup: MAX_SPEEDUP.
        free_from_s: When takes before these lines have ended, and the guard after them.
    """
    plans: list[FitPlan] = []
    for line, slot in zip(lines, slots, strict=True):
        plan = _plan(line, slot, free_from_s, max_speedup)
        if plan.duration_s > 0:
            free_from_s = max(free_from_s, plan.end_s + GUARD_S)
        plans.append(plan)
    return plans


def slots_of(lines: Sequence[FitLine], video_end_s: float) -> list[Span]:
    """Return for each line the time that its take may fill without starting early.

    A slot runs from the line's start to `GUARD_S` before the next line that is not spoken at the
    same time, but to no more than `BORROW_S` after the line's end, and never past the video's.
    Where somebody else is still talking when a line ends there is no gap to borrow.

    Args:
        lines: In order of start.
        video_end_s: Length of the video.
    """
    slots: list[Span] = []
    still: list[FitLine] = []
    for i, line in enumerate(lines):
        still = [one for one in still if one.end_s > line.start_s]
        alone = all(one.end_s < line.end_s for one in still if one.lane != line.lane)
        end_s = min(video_end_s, line.end_s + (BORROW_S if alone else 0.0))
        for j in range(i + 1, len(lines)):
            later = lines[j]
            if later.start_s - GUARD_S >= end_s:
                break
            if line.lane == later.lane or later.start_s >= line.end_s:
                end_s = later.start_s - GUARD_S
                break
            if later.end_s > line.end_s:
                end_s = min(end_s, line.end_s)
        slots.append(Span(line.start_s, max(end_s, line.start_s)))
        still.append(line)
    return slots


def _plan(line: FitLine, slot: Span, free_from_s: float, max_speedup: float) -> FitPlan:
    if line.length_s <= 0:
        return FitPlan(slot.start_s)
    if slot.duration_s <= 0:
        return FitPlan(slot.start_s, why=(Why.NO_ROOM,))
    if line.length_s > slot.duration_s * CLOSE_ENOUGH:
        return _squeezed(line, slot, free_from_s, max_speedup)
    if line.length_s < line.original_s * MUCH_LESS:
        return _stretched(line, slot)
    duration_s = min(line.length_s, slot.duration_s)
    borrows = slot.start_s + duration_s > line.end_s
    return FitPlan(slot.start_s, duration_s, why=(Why.BORROWED,) if borrows else ())


def _stretched(line: FitLine, slot: Span) -> FitPlan:
    """Slow a take and centre it on the original's speech, as far as its start may move."""
    speed = min(1.0, max(SLOWEST, round(line.length_s / slot.duration_s, 4)))
    duration_s = min(line.length_s / speed, slot.duration_s)
    centred_s = line.start_s + (line.original_s - duration_s) / 2
    latest_s = min(slot.start_s + CENTRED_LATE_S, slot.end_s - duration_s)
    start_s = max(slot.start_s, min(centred_s, latest_s))
    return FitPlan(start_s, duration_s, speed, why=(Why.SLOWED, Why.CENTRED))


def _squeezed(line: FitLine, slot: Span, free_from_s: float, max_speedup: float) -> FitPlan:
    """Make a take fit that is too long for its slot."""
    why = [Why.BORROWED] if slot.end_s > line.end_s else []
    excess_s = line.length_s - slot.duration_s
    # Early, but over nobody else: a take of another speaker may be heard at this moment.
    early_s = min(EARLY_S, excess_s, slot.start_s - free_from_s)
    early_s = early_s if early_s >= _LEAST_S else 0.0
    start_s, room_s = slot.start_s - early_s, slot.duration_s + early_s
    if early_s > 0:
        why.append(Why.EARLY)
    cuts = _cuts(line.pauses, excess_s - early_s)
    left_s = line.length_s - sum(cut.duration_s for cut in cuts)
    if cuts:
        why.append(Why.PAUSES)
    speed, duration_s, trimmed = 1.0, min(left_s, room_s), False
    if left_s > room_s * CLOSE_ENOUGH:
        speed = max(1.0, min(round(left_s / room_s, 4), max_speedup))
        if speed > 1.0:
            why.append(Why.FASTER if speed <= SILENT_SPEEDUP else Why.HURRIED)
        duration_s = min(left_s / speed, room_s)
        if left_s / speed > room_s * CLOSE_ENOUGH:
            kept_s, at_word = _word_end(line, cuts, room_s * speed)
            duration_s, trimmed = min(kept_s / speed, room_s), True
            why.append(Why.CUT if at_word else Why.CUT_INSIDE)
    return FitPlan(start_s, duration_s, speed, cuts, slot.duration_s, trimmed, tuple(why))


def _cuts(pauses: Iterable[Span], wanted_s: float) -> tuple[Span, ...]:
    """Take up to so many seconds out of pauses: the same share of each, from its middle."""
    spare = [(pause, pause.duration_s - KEPT_PAUSE_S) for pause in pauses]
    spare = [(pause, spare_s) for pause, spare_s in spare if spare_s > 0]
    spare_s = sum(one_s for _, one_s in spare)
    if wanted_s <= 0 or spare_s <= 0:
        return ()
    share = min(1.0, wanted_s / spare_s)
    found: list[Span] = []
    for pause, one_s in spare:
        middle_s = (pause.start_s + pause.end_s) / 2
        found.append(Span(middle_s - share * one_s / 2, middle_s + share * one_s / 2))
    return tuple(found)


def _word_end(line: FitLine, cuts: Sequence[Span], room_s: float) -> tuple[float, bool]:
    """Return how much of a take is kept, at its own rate without the cuts, and if words stay whole.

    Args:
        line: The line.
        cuts: What is taken out of the take's pauses.
        room_s: How much can be kept.
    """
    ends = [end_s - _cut_before(cuts, end_s) for end_s in line.word_ends_s]
    last = bisect_right(ends, room_s) - 1
    if last >= 0 and ends[last] >= room_s * _SHORTEST_CUT_SHARE:
        return ends[last], True
    return room_s, False


def _cut_before(cuts: Iterable[Span], at_s: float) -> float:
    return sum(min(cut.end_s, at_s) - cut.start_s for cut in cuts if cut.start_s < at_s)
