"""Words and speaker turns into lines: one utterance each, with the span where it is really heard.

Whisper's own cue ends are loose, so a line's span comes from voice activity, and words that lie
in no voice are dropped as hallucinated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dubarr_watch.engines.base import Span, Transcript, Turn, Word

PAUSE_S = 0.6
"""A silence this long inside a sentence starts a new line, so that the dub keeps the pause."""

SENTENCE_GAP_S = 0.15
"""Sentences closer together than this stay one line while it is short."""

SHORT_LINE_S = 2.5
LONG_LINE_S = 12.0
"""A line longer than this is split at its widest inner gap: shorter lines stay closer in time."""

SAME_SENTENCE_GAP_S = 3.0
"""A pause longer than this ends a sentence for translation, whatever the punctuation says."""

VOICE_REACH_S = 0.3
"""How far outside of voice activity a word may lie before it counts as hallucinated."""

_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*$")
_CLAUSE_END = re.compile(r"[,;:—–-]+[\"'”’)\]]*$")
_SPOKEN = re.compile(r"\w")


@dataclass(frozen=True, slots=True)
class Line:
    """One utterance of one speaker.

    Attributes:
        index: Position in the video, from 0.
        start_s: Where its voice starts.
        end_s: Where its voice ends.
        speaker: Speaker number, by first appearance.
        text: What is said, in the source language.
        sentence: Lines with the same number are parts of one sentence, translated together.
    """

    index: int
    start_s: float
    end_s: float
    speaker: int
    text: str
    sentence: int

    @property
    def duration_s(self) -> float:
        """Length of the original utterance."""
        return self.end_s - self.start_s


def make_lines(transcript: Transcript, turns: Sequence[Turn]) -> list[Line]:
    """Return the lines of a video, in order of start, none overlapping the next.

    Args:
        transcript: Words with times, and voice activity.
        turns: Who speaks when; empty means one speaker.
    """
    words = [word for word in transcript.words if _is_heard(word, transcript.voice)]
    speakers = _smooth(words, [_speaker_of(word, turns) for word in words])
    groups = [part for group in _split(words, speakers) for part in _split_long(group)]
    lines: list[Line] = []
    for group, speaker in groups:
        text = " ".join(word.text for word in group).strip()
        if not _SPOKEN.search(text):
            continue
        span = _true_span(group, transcript.voice, lines[-1].end_s if lines else 0.0)
        lines.append(Line(len(lines), span.start_s, span.end_s, speaker, text, 0))
    return _number_sentences(_number_speakers(lines))


def _is_heard(word: Word, voice: Sequence[Span]) -> bool:
    middle = (word.start_s + word.end_s) / 2
    return any(s.start_s - VOICE_REACH_S <= middle <= s.end_s + VOICE_REACH_S for s in voice)


def _speaker_of(word: Word, turns: Sequence[Turn]) -> int:
    if not turns:
        return 0

    def closeness(turn: Turn) -> tuple[float, float]:
        overlap = min(word.end_s, turn.end_s) - max(word.start_s, turn.start_s)
        return (max(overlap, 0.0), min(overlap, 0.0))

    return max(turns, key=closeness).speaker


def _smooth(words: Sequence[Word], speakers: Sequence[int]) -> list[int]:
    """Let the majority of a sentence win over single stray words at its edges."""
    smooth = list(speakers)
    start = 0
    for i, word in enumerate(words):
        ends = i + 1 == len(words) or _SENTENCE_END.search(word.text)
        if not ends and words[i + 1].start_s - word.end_s < PAUSE_S:
            continue
        part = smooth[start : i + 1]
        winner, votes = Counter(part).most_common(1)[0]
        if votes >= 0.7 * len(part):
            smooth[start : i + 1] = [winner] * len(part)
        start = i + 1
    return smooth


def _split(words: Sequence[Word], speakers: Sequence[int]) -> Iterable[tuple[list[Word], int]]:
    group: list[Word] = []
    for i, (word, speaker) in enumerate(zip(words, speakers, strict=True)):
        if group and _starts_line(group, word, speaker, speakers[i - 1]):
            yield group, speakers[i - 1]
            group = []
        group.append(word)
    if group:
        yield group, speakers[-1]


def _starts_line(group: Sequence[Word], word: Word, speaker: int, before: int) -> bool:
    gap_s = word.start_s - group[-1].end_s
    if speaker != before or gap_s >= PAUSE_S:
        return True
    if not _SENTENCE_END.search(group[-1].text):
        return False
    is_short = group[-1].end_s - group[0].start_s < SHORT_LINE_S
    return gap_s >= SENTENCE_GAP_S or not is_short


def _split_long(group: tuple[list[Word], int]) -> Iterable[tuple[list[Word], int]]:
    words, speaker = group
    if words[-1].end_s - words[0].start_s <= LONG_LINE_S or len(words) < 6:
        yield group
        return
    cut = max(range(2, len(words) - 1), key=lambda i: _cut_quality(words, i))
    yield from _split_long((words[:cut], speaker))
    yield from _split_long((words[cut:], speaker))


def _cut_quality(words: Sequence[Word], cut: int) -> float:
    """Prefer wide gaps and clause ends near the middle of the line."""
    gap_s = words[cut].start_s - words[cut - 1].end_s
    clause = 0.4 if _CLAUSE_END.search(words[cut - 1].text) else 0.0
    position = (words[cut].start_s - words[0].start_s) / (words[-1].end_s - words[0].start_s)
    return gap_s + clause - abs(position - 0.5)


def _true_span(words: Sequence[Word], voice: Sequence[Span], after_s: float) -> Span:
    """Return where the voice of these words is active, never before `after_s`."""
    start_s, end_s = words[0].start_s, words[-1].end_s
    reached = [
        span
        for span in voice
        if span.end_s > start_s - VOICE_REACH_S and span.start_s < end_s + VOICE_REACH_S
    ]
    if reached:
        first, last = reached[0], reached[-1]
        # A word's own start is only trusted inside the voice; at its edge the voice decides.
        if abs(first.start_s - start_s) <= VOICE_REACH_S or start_s < first.start_s:
            start_s = first.start_s
        elif start_s > first.end_s and len(reached) > 1:
            start_s = reached[1].start_s
        if abs(last.end_s - end_s) <= VOICE_REACH_S or end_s > last.end_s:
            end_s = last.end_s
    start_s = max(start_s, after_s)
    return Span(round(start_s, 3), round(max(end_s, start_s + 0.1), 3))


def _number_speakers(lines: Iterable[Line]) -> list[Line]:
    numbers: dict[int, int] = {}
    return [replace(line, speaker=numbers.setdefault(line.speaker, len(numbers))) for line in lines]


def _number_sentences(lines: Sequence[Line]) -> list[Line]:
    numbered: list[Line] = []
    for line in lines:
        before = numbered[-1] if numbered else None
        continues = (
            before is not None
            and before.speaker == line.speaker
            and not _SENTENCE_END.search(before.text)
            and line.start_s - before.end_s < SAME_SENTENCE_GAP_S
        )
        sentence = 0 if before is None else before.sentence + (0 if continues else 1)
        numbered.append(replace(line, sentence=sentence))
    return numbered
