"""Words and speaker turns into lines: one utterance each, with the span where it is really heard.

Whisper's own cue ends are loose, so a line's span comes from voice activity, and words that lie
in no voice are dropped as hallucinated.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from dubarr_watch.engines.base import Span, Transcript, Turn, Word
from dubarr_watch.engines.pieces import Timeline

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

EDGE_REACH_S = 0.5
"""How much voice before the first word of a line, and after its last, is still of these words.

Whisper's times are loose by up to so much; voice that goes on for longer is a laugh or a breath.
"""

MIN_HEARD_S = 0.15
"""A word whose middle lies in no voice is heard all the same when this much of it does."""

MIN_LINE_S = 0.1

LINE_EDGE_S = 0.1
SHORTEST_SOUND_S = 0.15
"""A shorter stretch of voice between lines is an edge of the detector, not a breath or a laugh."""

STRAY_WORDS = 2
"""Speaker changes within a sentence that last no longer than this are the diarizer's slips."""

BESIDE_GAP_S = 0.1
BESIDE_REACH_S = 1.0
"""How far a line may reach beyond its words because its speaker talks beside another there.

Overlaps in conversation are short, most of them well under half a second (Levinson and Torreira,
"Timing in turn-taking", 2015); who talks beside another for longer says words that are not written.
"""

_SENTENCE_END = re.compile(r"[.!?…。！？]+[\"'”’)\]]*$")
_CLAUSE_END = re.compile(r"[,;:—–-]+[\"'”’)\]]*$")
_SPOKEN = re.compile(r"\w")
_TITLE = re.compile(r"(?i)(?:^|\W)(?:mr|mrs|ms|dr|prof|st|vs|sr|sra|sig|mme)\.$")


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
    """Return the lines of a video, in order of start.

    Lines overlap only where one speaker talks beside another, never two of one speaker: Whisper
    writes what is said at the same time one after the other, so a line that borders on such a
    stretch of its speaker's begins or ends with that.

    Args:
        transcript: Words with times, and voice activity.
        turns: Who speaks when; empty means one speaker.
    """
    voice = Timeline(transcript.voice)
    words = _heard_words(transcript.words, voice)
    speakers = _smooth(words, _speakers(words, [turn for turn in turns if not turn.beside]))
    groups = [part for group in _split(words, speakers) for part in _split_long(group)]
    spoken = [group for group in groups if _SPOKEN.search(_text(group[0]))]
    lines: list[Line] = []
    for i, (group, speaker) in enumerate(spoken):
        after_s = lines[-1].end_s if lines else 0.0
        before_s = spoken[i + 1][0][0].start_s if i + 1 < len(spoken) else transcript.duration_s
        span = _true_span(group, voice, after_s, before_s)
        lines.append(Line(i, span.start_s, span.end_s, speaker, _text(group), 0))
    lines = _talked_beside(lines, [turn for turn in turns if turn.beside])
    return renumbered(lines)


def renumbered(lines: Sequence[Line]) -> list[Line]:
    """Return lines with speakers counted as they appear, and the sentences they are parts of."""
    return _number_sentences(_number_speakers(lines))


def untranscribed_voice(transcript: Transcript, lines: Sequence[Line]) -> list[Span]:
    """Return where there is voice that no line has: laughs, breaths, cries, songs.

    What lies closer to a line than `LINE_EDGE_S` is taken for the edge of its words.

    Args:
        transcript: With voice activity; that of the separated voice where there is one.
        lines: Of the same video, in order of start.

    Returns:
        Stretches of `SHORTEST_SOUND_S` or more, disjoint and in order.
    """
    taken = Timeline(Span(line.start_s - LINE_EDGE_S, line.end_s + LINE_EDGE_S) for line in lines)
    found: list[Span] = []
    for voice in transcript.voice:
        start_s = voice.start_s
        for own in taken.touching(voice.start_s, voice.end_s):
            found.append(Span(start_s, own.start_s))
            start_s = max(start_s, own.end_s)
        found.append(Span(start_s, voice.end_s))
    return [one for one in found if one.duration_s >= SHORTEST_SOUND_S]


def _heard_words(words: Iterable[Word], voice: Timeline[Span]) -> list[Word]:
    """Return the words that lie in voice, their times cut to it, in order of start."""
    heard: list[Word] = []
    for word in words:
        start_s, end_s = word.start_s, max(word.start_s, word.end_s)
        own = max(voice.touching(start_s, end_s), key=lambda s: _shared_s(word, s), default=None)
        middle_s = (start_s + end_s) / 2
        if own is not None and _shared_s(word, own) >= MIN_HEARD_S:
            start_s, end_s = max(start_s, own.start_s), min(end_s, own.end_s)
        elif not voice.touching(middle_s - VOICE_REACH_S, middle_s + VOICE_REACH_S):
            continue
        start_s = max(start_s, heard[-1].start_s if heard else 0.0)
        heard.append(replace(word, start_s=start_s, end_s=max(start_s, end_s)))
    return heard


def _shared_s(word: Word, piece: Span | Turn) -> float:
    return min(word.end_s, piece.end_s) - max(word.start_s, piece.start_s)


def _speakers(words: Iterable[Word], turns: Sequence[Turn]) -> list[int]:
    """Return for each word the speaker whose turn it shares most of, or lies nearest to."""
    if not turns:
        return [0 for _ in words]
    timeline = Timeline(turns)
    return [
        max(
            timeline.around(word.start_s, word.end_s), key=lambda turn: _shared_s(word, turn)
        ).speaker
        for word in words
    ]


def _smooth(words: Sequence[Word], speakers: Sequence[int]) -> list[int]:
    """Let the majority of a sentence win over stray words, not over a reply of some length."""
    smooth = list(speakers)
    start = 0
    for i, word in enumerate(words):
        ends = i + 1 == len(words) or _ends_sentence(word.text)
        if not ends and words[i + 1].start_s - word.end_s < PAUSE_S:
            continue
        smooth[start : i + 1] = _without_strays(smooth[start : i + 1])
        start = i + 1
    return smooth


def _without_strays(speakers: Sequence[int]) -> list[int]:
    winner, votes = Counter(speakers).most_common(1)[0]
    if 3 * votes < 2 * len(speakers):
        return list(speakers)
    runs = [(speaker, len(list(run))) for speaker, run in groupby(speakers)]
    kept = [winner if length <= STRAY_WORDS else speaker for speaker, length in runs]
    return [speaker for speaker, (_, length) in zip(kept, runs, strict=True) for _ in range(length)]


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
    if not _ends_sentence(group[-1].text):
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


def _true_span(
    words: Sequence[Word], voice: Timeline[Span], after_s: float, before_s: float
) -> Span:
    """Return where the voice of these words is active, between two neighbours."""
    start_s, end_s = words[0].start_s, words[-1].end_s
    reached = voice.touching(start_s, end_s) or voice.touching(
        start_s - VOICE_REACH_S, end_s + VOICE_REACH_S
    )
    if reached:
        # A word's own time is only trusted inside the voice; near its edge the voice decides.
        first, last = reached[0], reached[-1]
        if start_s - first.start_s <= EDGE_REACH_S:
            start_s = first.start_s
        if last.end_s - end_s <= EDGE_REACH_S:
            end_s = last.end_s
    start_s = max(start_s, after_s)
    if before_s > start_s:
        end_s = min(end_s, before_s)
    return Span(round(start_s, 3), round(max(end_s, start_s + MIN_LINE_S), 3))


def _talked_beside(lines: Sequence[Line], beside: Iterable[Turn]) -> list[Line]:
    """Let lines reach as far as their speakers talk beside others, in order of start again."""
    reaching: list[Line] = []
    talking = {
        speaker: Timeline(own)
        for speaker, own in groupby(
            sorted(beside, key=lambda turn: turn.speaker), key=lambda turn: turn.speaker
        )
    }
    of_speaker: dict[int, list[Line]] = {}
    for line in lines:
        of_speaker.setdefault(line.speaker, []).append(line)
    for speaker, own in of_speaker.items():
        turns = talking.get(speaker)
        after_s = 0.0
        for i, line in enumerate(own):
            before_s = own[i + 1].start_s if i + 1 < len(own) else float("inf")
            reached = _reaching(line, turns, after_s, before_s) if turns else line
            reaching.append(reached)
            after_s = reached.end_s
    reaching.sort(key=lambda line: (line.start_s, line.index))
    return [replace(line, index=i) for i, line in enumerate(reaching)]


def _reaching(line: Line, turns: Timeline[Turn], after_s: float, before_s: float) -> Line:
    near = turns.touching(line.start_s - BESIDE_GAP_S, line.end_s + BESIDE_GAP_S)
    # What went on from the line before is that one's.
    start_s = min([line.start_s, *(t.start_s for t in near if t.start_s >= after_s)])
    end_s = max([line.end_s, *(turn.end_s for turn in near)])
    return replace(
        line,
        start_s=max(start_s, line.start_s - BESIDE_REACH_S),
        end_s=min(end_s, line.end_s + BESIDE_REACH_S, max(before_s, line.end_s)),
    )


def _text(words: Iterable[Word]) -> str:
    return " ".join(word.text for word in words).strip()


def _ends_sentence(text: str) -> bool:
    return bool(_SENTENCE_END.search(text)) and not _TITLE.search(text)


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
            and not _ends_sentence(before.text)
            and line.start_s - before.end_s < SAME_SENTENCE_GAP_S
        )
        sentence = 0 if before is None else before.sentence + (0 if continues else 1)
        numbered.append(replace(line, sentence=sentence))
    return numbered
