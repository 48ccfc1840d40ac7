"""Lines that are sung, so that they can be left in the original's voice.

Four things tell: notes (♪) in what was heard, subtitles that mark songs, refrains, and their sound.
To a network that tells music from speech, speech over music is speech as long as it is the louder,
and who sings makes music. Of eight people who spoke for 4 to 12 s it took nothing for music when
they were alone, at most 0.69 of the moments over music 6 dB below them, and 0.99 over music as loud
as they were; of those who spoke for 8 s and more at most 0.85; and over noises 10 dB above them at
most 0.72. Of a singer alone it took 0.71 to 0.82, and with a band 5 dB below all. So where voices
were taken out of the sound most of a passage has to sound sung, over music nearly all of it, and a
passage is long. Singing without any music is dubbed where voices were not taken out.

A pitch that is held does not tell: of 16 voices' time up to 0.20 lay in stretches of 200 ms within
40 cents when they spoke over held chords, and 0.00 to 0.27 when they were made to sing over them.
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
from dubarr_watch.engines.voice_prints import Singing

COVERED_SHARE = 0.6
"""A line is sung when subtitles mark this much of it as a song."""

REFRAIN_WORDS = 12
REFRAIN_S = 6.0
REFRAIN_AGAIN_S = 240.0
"""So many words in a row, so long, that come back word for word within this time are a refrain."""

JOINED_S = 2.0
"""Sung lines closer together than this are one song: what lies between is its music."""

SUNG_ALONE, SUNG_OVER_MUSIC = 0.6, 0.95
"""How much of a passage sounds sung: of voices alone, and of voices in the midst of music."""

_LINE_SHARE = 0.4
_PASSAGE_S = 8.0
_PASSAGE_GAP_S = 5.0
"""A passage is sung voice of that length, in lines with no longer pauses; less tells too little."""

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


def sounding_sung(
    lines: Sequence[Line], singing: Sequence[Singing], *, alone: bool
) -> frozenset[int]:
    """Return the indices of the lines that sound sung.

    Args:
        lines: In order of start.
        singing: How each sounds.
        alone: Whether voices alone were listened to.
    """
    needed, found = SUNG_ALONE if alone else SUNG_OVER_MUSIC, set[int]()
    for passage in _passages(lines, singing):
        moments = [moment for _, heard in passage for moment in heard]
        voice_s = sum(line.duration_s for line, _ in passage)
        if voice_s >= _PASSAGE_S and sum(moments) >= needed * len(moments):
            found |= {line.index for line, _ in passage}
    return frozenset(found)


def _passages(
    lines: Sequence[Line], singing: Sequence[Singing]
) -> Iterator[list[tuple[Line, Singing]]]:
    """Yield lines that follow each other and may be sung, each with its sound."""
    passage: list[tuple[Line, Singing]] = []
    for line, heard in zip(lines, singing, strict=True):
        may_be = sum(heard) >= _LINE_SHARE * len(heard)
        if passage and not (may_be and line.start_s - passage[-1][0].end_s <= _PASSAGE_GAP_S):
            yield passage
            passage = []
        if may_be:
            passage.append((line, heard))
    yield passage


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
