"""Lines into another language: whole sentences translated together, then split back into lines.

A small model that is given fragments translates their neighbours into them and shifts the rest.
So the unit of translation is the sentence; its translation is split afterwards where the source
pauses. Every translation is checked before anything is spoken, asked for again alone when it looks
wrong, and left out when it still does: source text is never spoken in place of a translation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from itertools import groupby

from dubarr_watch.dubbing.asking import ALONE, Asking, ask_for_all
from dubarr_watch.dubbing.durations import Law
from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.wording_checks import DENSE, looks_wrong, worth_letters
from dubarr_watch.engines.base import Progress, SourceText, Translator, no_progress
from dubarr_watch.engines.pieces import Timeline

MIN_BUDGET_CHARS = 12
BUDGET_SLACK = 1.1
"""A tenth over the budget is left to the fitting of the take."""

_BREAK = re.compile(r"[,;:.!?…—–，。！？、；：][\"'”’)\]]*$")
# Where there are no spaces a break may fall after any character.
_PIECE = re.compile(rf"{DENSE}[^\w\s「『（《]*")
GROWTH = 1.15
"""Letters of a translation for each of the original's, as long as nobody has translated it.

Agencies reckon with 15 to 25 % more from English into most languages of Europe.
"""

SHARES = (1.0, 0.85, 0.7)
"""Budgets of the wordings that are asked for at once."""

COVERED_SHARE = 0.3
"""A cue is spoken by every line that shares this much of the cue or of the line with it."""


class Origin(StrEnum):
    """Where a line's wording comes from.

    A `joined` line has none of its own: its sentence is so short in the other language that the
    lines before it say all of it. A `song` stays as it is in the original.
    """

    MODEL = "model"
    SUBTITLES = "subtitles"
    JOINED = "joined"
    SONG = "song"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class TranslatedLine:
    """The wording of one line in one language; empty text when there is none.

    `others` are shorter wordings that came with it, longest first.
    """

    index: int
    text: str
    origin: Origin
    others: tuple[str, ...] = ()


def translate_lines(
    lines: Sequence[Line],
    translator: Callable[[], Translator],
    *,
    source: str,
    target: str,
    slots_s: Sequence[float],
    laws: Mapping[int, Law],
    cues: Sequence[Cue] = (),
    songs: Set[int] = frozenset(),
    asking: Asking = ALONE,
    progress: Progress = no_progress,
) -> list[TranslatedLine]:
    """Return a wording for every line, in order.

    Args:
        lines: All lines of the video.
        translator: Gives the engine; called only when a line needs it.
        source: ISO 639-1 code of the lines.
        target: ISO 639-1 code of the result.
        slots_s: For each line the seconds its take may fill.
        laws: How long texts take to say, by speaker.
        cues: Subtitles in the target language; their wording is used where they lie on a line.
        songs: Indices of the lines that are sung and get no wording.
        asking: What goes along with a question, and where it queues.
        progress: Called with (sentences done, sentences in all).
    """
    spoken = [line for line in lines if line.index not in songs]
    found = _from_subtitles(spoken, cues)
    found |= {index: TranslatedLine(index, "", Origin.SONG) for index in songs}
    grouped = [list(group) for _, group in groupby(spoken, key=lambda line: line.sentence)]
    sentences = [part for part in grouped if any(line.index not in found for line in part)]
    texts = [
        text
        for part in sentences
        for text in _questions(part, slots_s, laws[part[0].speaker], asking.wordings, len(lines))
    ]
    answers = (
        ask_for_all(texts, translator(), asking, source=source, target=target, progress=progress)
        if texts
        else {}
    )
    for part in sentences:
        first = part[0].index
        wordings = [answers.get(first + n * len(lines), "") for n in range(len(SHARES))]
        for said in _worded(part, wordings, slots_s, laws[part[0].speaker]):
            found.setdefault(said.index, said)
    return [found.get(line.index, TranslatedLine(line.index, "", Origin.MISSING)) for line in lines]


def needs_model(lines: Sequence[Line], cues: Sequence[Cue]) -> bool:
    """Tell whether any line has no wording in subtitles, so that a model is asked."""
    return len(_from_subtitles(lines, cues)) < len(lines)


def split_wording(text: str, durations_s: Sequence[float]) -> list[str]:
    """Split a sentence over the lines it was spoken in, in proportion to their lengths.

    Breaks fall between words, after punctuation where one is near.

    Args:
        text: The translated sentence.
        durations_s: Length of each source line.

    Returns:
        As many pieces as durations; a piece is empty when there are too few words.
    """
    text = " ".join(text.split())
    if len(durations_s) == 1:
        return [text]
    words = _breakable(text)
    total_s = sum(durations_s) or 1.0
    total_chars = sum(map(len, words))
    pieces: list[str] = []
    start, spoken_s = 0, 0.0
    for i, duration_s in enumerate(durations_s[:-1]):
        spoken_s += duration_s
        left = len(durations_s) - 1 - i
        cut = _best_cut(words, start, len(words) - left, total_chars * spoken_s / total_s)
        pieces.append("".join(words[start:cut]).strip())
        start = cut
    return [*pieces, "".join(words[start:]).strip()]


def _questions(
    sentence: Sequence[Line], slots_s: Sequence[float], law: Law, wordings: int, step: int
) -> Iterator[SourceText]:
    """Yield what asks for a sentence: further wordings of it too where it will hardly fit.

    Their ids are the first one's and a multiple of `step`.
    """
    text = " ".join(line.text for line in sentence)
    room = law.chars(sum(slots_s[line.index] for line in sentence), takes=len(sentence))
    hard = GROWTH * worth_letters(text) > room * BUDGET_SLACK
    for n, share in enumerate(SHARES[: wordings if hard else 1]):
        yield SourceText(
            id=sentence[0].index + n * step,
            text=text,
            speaker=sentence[0].speaker,
            max_chars=max(MIN_BUDGET_CHARS, round(room * share * BUDGET_SLACK)),
            shorter=n,
        )


def _worded(
    sentence: Sequence[Line], wordings: Sequence[str], slots_s: Sequence[float], law: Law
) -> Iterator[TranslatedLine]:
    """Yield what each line of a sentence says.

    A line that is a sentence keeps all wordings, the voice shows which fits. Of a longer sentence
    the longest is taken that is predicted to fit: parts of two wordings make no sentence.
    """
    known = sorted({text for text in wordings if text}, key=len, reverse=True)
    if not known:
        return
    if len(sentence) == 1:
        yield TranslatedLine(sentence[0].index, known[0], Origin.MODEL, tuple(known[1:]))
        return
    room = law.chars(sum(slots_s[line.index] for line in sentence), takes=len(sentence))
    chosen = next((text for text in known if len(text) <= room), known[-1])
    pieces = split_wording(chosen, [line.duration_s for line in sentence])
    for line, piece in zip(sentence, pieces, strict=True):
        yield TranslatedLine(line.index, piece, Origin.MODEL if piece else Origin.JOINED)


def _from_subtitles(lines: Sequence[Line], cues: Sequence[Cue]) -> dict[int, TranslatedLine]:
    """Give each cue to the lines it lies on; a line with several says them in turn."""
    spoken = Timeline(lines)
    wording: dict[int, list[str]] = {}
    for cue in cues:
        own = _lines_of(cue, spoken.touching(cue.start_s, cue.end_s))
        pieces = split_wording(cue.text, [_overlap_s(cue, line) for line in own]) if own else []
        for line, piece in zip(own, pieces, strict=True):
            if piece:
                wording.setdefault(line.index, []).append(piece)
    found = {index: " ".join(texts) for index, texts in wording.items()}
    for _, group in groupby(lines, key=lambda line: line.sentence):
        part = list(group)
        if not _agree(part, found):
            for line in part:
                found.pop(line.index, None)
    return {index: TranslatedLine(index, text, Origin.SUBTITLES) for index, text in found.items()}


def _agree(sentence: Sequence[Line], found: Mapping[int, str]) -> bool:
    """Tell whether subtitles can say what a sentence does, so far as they have words for it."""
    own = [line for line in sentence if line.index in found]
    said = " ".join(line.text for line in own)
    shown = " ".join(found[line.index] for line in own)
    return not own or not looks_wrong(said, shown, len(shown))


def cues_by_line(lines: Sequence[Line], cues: Sequence[Cue]) -> dict[int, list[Cue]]:
    """Return the cues that lie on each line, whole, by index; lines with none are left out."""
    spoken = Timeline(lines)
    found: dict[int, list[Cue]] = {}
    for cue in cues:
        for line in _lines_of(cue, spoken.touching(cue.start_s, cue.end_s)):
            found.setdefault(line.index, []).append(cue)
    return found


def _lines_of(cue: Cue, near: Sequence[Line]) -> list[Line]:
    """Return the lines that a cue lies on, of those that it touches."""
    own = [line for line in near if _lies_on(cue, line)]
    return own or ([max(near, key=partial(_overlap_s, cue))] if near else [])


def _lies_on(cue: Cue, line: Line) -> bool:
    shortest_s = min(line.duration_s, cue.end_s - cue.start_s)
    return _overlap_s(cue, line) >= COVERED_SHARE * shortest_s


def _overlap_s(cue: Cue, line: Line) -> float:
    return min(line.end_s, cue.end_s) - max(line.start_s, cue.start_s)


def _best_cut(words: Sequence[str], start: int, end: int, wanted_chars: float) -> int:
    """Return the cut in `start + 1 .. end` nearest to the wanted length, punctuation preferred."""
    spoken = sum(map(len, words[:start]))
    best, best_cost = min(start + 1, len(words)), float("inf")
    for cut in range(start + 1, end + 1):
        spoken += len(words[cut - 1])
        cost = abs(spoken - wanted_chars) - (8 if _BREAK.search(words[cut - 1].rstrip()) else 0)
        if cost < best_cost:
            best, best_cost = cut, cost
    return best


def _breakable(text: str) -> list[str]:
    """Cut a text where it may be broken; every piece keeps the space after it."""
    pieces: list[str] = []
    for word in text.split():
        end = 0
        for match in _PIECE.finditer(word):
            if match.start() > end:
                pieces.append(word[end : match.start()])
            pieces.append(match[0])
            end = match.end()
        if end < len(word):
            pieces.append(word[end:])
        pieces[-1] += " "
    return pieces
