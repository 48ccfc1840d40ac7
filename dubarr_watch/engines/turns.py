"""From what a diarizer found to turns that cover the voice, each moment once."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, replace

from dubarr_watch.engines.base import Span, Turn

# Less than a syllable is an edge that two models see at different times, not a turn.
_SHORTEST_S = 0.2


@dataclass(frozen=True, slots=True)
class Heard:
    """A stretch in which a diarizer hears somebody; others may talk at the same time."""

    start_s: float
    end_s: float
    name: Hashable


def cover(voice: Sequence[Span], heard: Iterable[Heard]) -> list[Turn]:
    """Give every moment of voice to one speaker.

    Where several talk, it is the one who began first; where nobody was heard, whoever talks
    nearest in time. Outside of the voice nobody talks.

    Args:
        voice: Voice activity, disjoint and in order.
        heard: What was found, in any order.

    Returns:
        Turns in order, speakers numbered as they first appear; one speaker when none was heard.
    """
    single = _one_at_a_time(heard)
    names: dict[Hashable, int] = {}
    turns: list[Turn] = []
    first = 0
    for span in voice:
        while first < len(single) and single[first].end_s <= span.start_s:
            first += 1
        inside = _inside(span, single, first) or [_nearest(span, single, first)]
        for piece in _stretched(span, inside):
            speaker = names.setdefault(piece.name, len(names))
            turns.append(Turn(round(piece.start_s, 3), round(piece.end_s, 3), speaker))
    return turns


def _one_at_a_time(heard: Iterable[Heard]) -> list[Heard]:
    """Cut what overlaps off the one who began later."""
    single: list[Heard] = []
    for piece in sorted(heard, key=lambda piece: (piece.start_s, piece.end_s)):
        start_s = max(piece.start_s, single[-1].end_s) if single else piece.start_s
        if piece.end_s > start_s:
            single.append(replace(piece, start_s=start_s))
    return single


def _inside(span: Span, single: Sequence[Heard], first: int) -> list[Heard]:
    """Return what was heard within a span of voice, less slivers if there is anything else."""
    pieces = []
    for piece in single[first:]:
        if piece.start_s >= span.end_s:
            break
        start_s, end_s = max(piece.start_s, span.start_s), min(piece.end_s, span.end_s)
        pieces.append(Heard(start_s, end_s, piece.name))
    long = [piece for piece in pieces if piece.end_s - piece.start_s >= _SHORTEST_S]
    return long or sorted(pieces, key=lambda piece: piece.start_s - piece.end_s)[:1]


def _nearest(span: Span, single: Sequence[Heard], first: int) -> Heard:
    """Return whoever talks nearest to a span in which nobody was heard."""
    around = single[max(0, first - 1) : first + 1]
    if not around:
        return Heard(span.start_s, span.end_s, None)
    return min(around, key=lambda p: max(span.start_s - p.end_s, p.start_s - span.end_s))


def _stretched(span: Span, pieces: Sequence[Heard]) -> list[Heard]:
    """Join what one speaker says, and close the gaps half-way between speakers."""
    joined: list[Heard] = []
    for piece in pieces:
        if joined and joined[-1].name == piece.name:
            joined[-1] = replace(joined[-1], end_s=piece.end_s)
        else:
            joined.append(piece)
    edges_s = [(a.end_s + b.start_s) / 2 for a, b in itertools.pairwise(joined)]
    starts_s, ends_s = [span.start_s, *edges_s], [*edges_s, span.end_s]
    return [
        replace(piece, start_s=start_s, end_s=end_s)
        for piece, start_s, end_s in zip(joined, starts_s, ends_s, strict=True)
    ]
