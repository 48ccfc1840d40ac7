"""Lines that are sung, so that they can be left in the original's voice.

Three things tell: notes (♪) in what was heard, subtitles that mark songs, and refrains. Sound
alone is not listened to: singing that nobody marked and that does not come back is dubbed. A pitch
that is held does not tell it from speech. Of 16 voices' time up to 0.20 lay in stretches of 200 ms
within 40 cents when they spoke over held chords, and 0.00 to 0.27 when they were made to sing over
such chords with a vibrato of 50 cents; without chords 0.00 to 0.11, with a vibrato of 100 none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dubarr_watch.dubbing.fitting import Outcome
from dubarr_watch.dubbing.speaking import FittedTake
from dubarr_watch.dubbing.studio import Part
from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Span

COVERED_SHARE = 0.6
"""A line is sung when subtitles mark this much of it as a song."""

REFRAIN_WORDS = 12
REFRAIN_S = 6.0
REFRAIN_AGAIN_S = 240.0
"""So many words in a row, so long, that come back word for word within this time are a refrain."""

JOINED_S = 2.0
"""Sung lines closer together than this are one song: what lies between is its music."""

_NOTES = re.compile(r"[♪♫♬]")
_WORD = re.compile(r"[^\W\d_]+")


def sung_lines(lines: Sequence[Line], songs: Sequence[Cue]) -> frozenset[int]:
    """Return the indices of the lines that are sung.

    Args:
        lines: All lines, in order of start.
        songs: What subtitles in any language mark as songs.
    """
    marked = {line.index for line in lines if _NOTES.search(line.text)}
    marked |= {line.index for line in lines if _covered_s(line, songs) >= _needed_s(line)}
    return frozenset(marked | set(_refrains(lines)))


def sung_spans(parts: Sequence[Part], fitted: Sequence[FittedTake]) -> list[Span]:
    """Return where the original's voice stays because it sings, in order, neighbours joined."""
    spans: list[Span] = []
    for part, done in zip(parts, fitted, strict=True):
        if done.outcome is not Outcome.SONG:
            continue
        start_s, end_s = part.line.start_s, part.line.end_s
        if spans and start_s - spans[-1].end_s < JOINED_S:
            start_s, end_s = spans[-1].start_s, max(end_s, spans[-1].end_s)
            spans.pop()
        spans.append(Span(start_s, end_s))
    return spans


def united(some: Sequence[Span], others: Sequence[Span]) -> list[Span]:
    """Return the stretches that lie in either, in order and disjoint."""
    found: list[Span] = []
    for span in sorted([*some, *others], key=lambda span: span.start_s):
        if found and span.start_s <= found[-1].end_s:
            found[-1] = Span(found[-1].start_s, max(found[-1].end_s, span.end_s))
        else:
            found.append(span)
    return found


def _needed_s(line: Line) -> float:
    return COVERED_SHARE * line.duration_s


def _covered_s(line: Line, songs: Sequence[Cue]) -> float:
    """Return how much of a line lies in songs; overlapping cues count once."""
    covered_s, until_s = 0.0, line.start_s
    for cue in songs:
        start_s, end_s = max(cue.start_s, until_s), min(cue.end_s, line.end_s)
        if end_s > start_s:
            covered_s, until_s = covered_s + end_s - start_s, end_s
    return covered_s


def _refrains(lines: Sequence[Line]) -> Iterator[int]:
    """Yield the lines of passages that come back word for word soon after."""
    words = [(word.casefold(), line) for line in lines for word in _WORD.findall(line.text)]
    seen: dict[tuple[str, ...], int] = {}
    for at in range(len(words) - REFRAIN_WORDS + 1):
        passage = tuple(word for word, _ in words[at : at + REFRAIN_WORDS])
        first = seen.setdefault(passage, at)
        if first == at:
            continue
        seen[passage] = at
        soon = words[at][1].start_s - words[first][1].start_s <= REFRAIN_AGAIN_S
        apart = at - first >= REFRAIN_WORDS and len(set(passage)) > 2
        copies = [[line for _, line in words[n : n + REFRAIN_WORDS]] for n in (first, at)]
        if soon and apart and all(_lasts_s(copy) >= REFRAIN_S for copy in copies):
            yield from (line.index for copy in copies for line in copy)


def _lasts_s(copy: Sequence[Line]) -> float:
    return copy[-1].end_s - copy[0].start_s
