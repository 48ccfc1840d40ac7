"""From what a diarizer found to turns: each moment of voice once, and who talks beside that."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from dubarr_watch.engines.base import Span, Turn
from dubarr_watch.engines.pieces import Timeline

# Less than a syllable is an edge that two models see at different times, not a turn.
_SHORTEST_S = 0.2


@dataclass(frozen=True, slots=True)
class Heard:
    """A stretch in which a diarizer hears somebody; others may talk at the same time."""

    start_s: float
    end_s: float
    name: Hashable


def cover(
    voice: Sequence[Span], heard: Sequence[Heard], words_of: Iterable[Heard] = ()
) -> list[Turn]:
    """Give every moment of voice to one speaker, and say who talks beside them.

    Where several talk, the word is whose `words_of` says, else of the one who began first; where
    nobody was heard, of whoever talks nearest in time. Outside of the voice nobody talks.

    Args:
        voice: Voice activity, disjoint and in order.
        heard: What was found, in any order.
        words_of: The same with one speaker at a time, where the diarizer can tell whose words are
            understood.

    Returns:
        Turns in order, speakers numbered as they first appear; one speaker when none was heard.
    """
    having = _having_the_word(voice, _one_at_a_time(words_of or heard))
    found = [(piece, False) for piece in having]
    found += [(piece, True) for piece in _beside(voice, heard, having)]
    found.sort(key=lambda one: (one[0].start_s, one[1]))
    names: dict[Hashable, int] = {}
    return [
        Turn(
            round(piece.start_s, 3),
            round(piece.end_s, 3),
            names.setdefault(piece.name, len(names)),
            beside,
        )
        for piece, beside in found
    ]


def _having_the_word(voice: Sequence[Span], single: Sequence[Heard]) -> list[Heard]:
    pieces: list[Heard] = []
    first = 0
    for span in voice:
        while first < len(single) and single[first].end_s <= span.start_s:
            first += 1
        inside = _inside(span, single, first) or [_nearest(span, single, first)]
        pieces += _stretched(span, inside)
    return pieces


def _beside(
    voice: Sequence[Span], heard: Iterable[Heard], having: Sequence[Heard]
) -> Iterator[Heard]:
    """Yield where somebody was heard in voice while another had the word; slivers are left out."""
    spans = Timeline([Heard(span.start_s, span.end_s, None) for span in voice])
    words: dict[Hashable, list[Heard]] = {}
    for piece in having:
        words.setdefault(piece.name, []).append(piece)
    own = {name: Timeline(pieces) for name, pieces in words.items()}
    for piece in _joined(heard):
        for span in spans.touching(piece.start_s, piece.end_s):
            start_s, end_s = max(piece.start_s, span.start_s), min(piece.end_s, span.end_s)
            having_it = own[piece.name].touching(start_s, end_s) if piece.name in own else []
            for word in having_it:
                if word.start_s - start_s >= _SHORTEST_S:
                    yield Heard(start_s, word.start_s, piece.name)
                start_s = word.end_s
            if end_s - start_s >= _SHORTEST_S:
                yield Heard(start_s, end_s, piece.name)


def _one_at_a_time(heard: Iterable[Heard]) -> list[Heard]:
    """Cut what overlaps off the one who began later."""
    single: list[Heard] = []
    for piece in sorted(heard, key=lambda piece: (piece.start_s, piece.end_s)):
        start_s = max(piece.start_s, single[-1].end_s) if single else piece.start_s
        if piece.end_s > start_s:
            single.append(replace(piece, start_s=start_s))
    return single


def _joined(heard: Iterable[Heard]) -> list[Heard]:
    """Join what overlaps of the same speaker."""
    joined: dict[Hashable, list[Heard]] = {}
    for piece in sorted(heard, key=lambda piece: piece.start_s):
        own = joined.setdefault(piece.name, [])
        if own and piece.start_s <= own[-1].end_s:
            own[-1] = replace(own[-1], end_s=max(own[-1].end_s, piece.end_s))
        else:
            own.append(piece)
    return [piece for own in joined.values() for piece in own]


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
