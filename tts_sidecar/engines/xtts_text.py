"""What XTTS v2 can read at once, and how long it should take to say it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

# Characters that the model reads without losing the end: `VoiceBpeTokenizer.char_limits` of
# coqui-tts, which only warns and then cuts the speech.
LIMITS = {
    **{"ar": 166, "cs": 186, "de": 253, "en": 250, "es": 239, "fr": 273, "hi": 150, "hu": 224},
    **{"it": 213, "ja": 71, "ko": 95, "nl": 251, "pl": 224, "pt": 203, "ru": 182, "tr": 226},
    "zh": 82,
}
LANGUAGES = tuple(sorted(LIMITS))

# Written in characters that stand for syllables or words: their limits count what is written, and
# the model is given their sounds in Latin letters.
_ROMANISED = ("ja", "ko", "zh")

# Characters that a calm speaker says in a second, spaces included, as the model is given them:
# numbers in words, ko and zh and ja in Latin letters (zh with a digit for each tone). From
# syllables per second (Coupé et al., Science Advances 5(9), 2019, table 1) and the letters that a
# syllable takes in each script; only their order of magnitude matters to the guards.
_RATES = {
    **{"ar": 11.0, "cs": 14.0, "de": 15.5, "en": 15.5, "es": 16.0, "fr": 17.0, "hi": 13.0},
    **{"hu": 14.0, "it": 15.5, "ja": 16.5, "ko": 15.5, "nl": 15.5, "pl": 14.5, "pt": 15.5},
    **{"ru": 14.0, "tr": 14.0, "zh": 19.0},
}

_SENTENCE_PAUSE_S = 0.25
_CLAUSE_PAUSE_S = 0.12
_WORD_PAUSE_S = 0.03

# After a closing quotation mark XTTS likes to go on talking; and it reads none of them.
_QUOTES = re.compile('["“”„‟«»‹›「」『』〝〞]')
# Western punctuation ends something only before a space: "3.5" and "10:30" stay whole.
_SENTENCE_END = re.compile(r"[.!?…।؟]+(?=\s)|[。！？]+")
_CLAUSE_END = re.compile(r"[,;:،؛](?=\s)|\s[–—-](?=\s)|[、，；：—]")
_SPACE = re.compile(r"(?<=\S)(?=\s)")
# How much farther from the middle a better place may lie, as a part of the length.
_PLACES = ((_SENTENCE_END, 0.0), (_CLAUSE_END, 0.12), (_SPACE, 0.3))


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long a text should take to say, in seconds."""

    least_s: float
    expected_s: float
    most_s: float


def without_quotes(text: str) -> str:
    """Return the text as XTTS reads it best: without quotation marks."""
    return " ".join(_QUOTES.sub(" ", text).split()) or text


def room_for(language: str, written: str, read: str) -> int:
    """Return how many characters are left below the language's limit; negative when too long.

    Args:
        language: One of `LANGUAGES`.
        written: The text.
        read: What the model is given for it, numbers in words.
    """
    length = len(written) if language in _ROMANISED else max(len(written), len(read))
    return LIMITS[language] - length


def split(text: str, fits: Callable[[str], bool]) -> list[str]:
    """Return the text in pieces that fit, cut near their middles at the best places there are.

    Sentence ends are better than clause ends, those better than spaces, and where there is none
    of them, as in a long Chinese clause, any place will do. Even pieces are better than a full
    one and a rest: XTTS says very short texts worst.

    Args:
        text: White space as single spaces.
        fits: Tells whether a piece is short enough; a single character always counts as such.
    """
    if len(text) < 2 or fits(text):
        return [text]
    at = min(_places(text), key=lambda place: place[1])[0]
    halves = (text[:at].strip(), text[at:].strip())
    return [piece for half in halves if half for piece in split(half, fits)]


def pause_after(piece: str) -> float:
    """Return the silence that follows a piece before the next one, in seconds."""
    if _SENTENCE_END.search(piece[-3:] + " "):
        return _SENTENCE_PAUSE_S
    return _CLAUSE_PAUSE_S if _CLAUSE_END.search(piece[-2:] + " ") else _WORD_PAUSE_S


def bounds_of(language: str, read: str) -> Bounds:
    """Return how long a piece should take.

    Twice the calm length and a second more is still a slow, moved speaker; under two fifths of it
    something was left out.

    Args:
        language: One of `LANGUAGES`.
        read: As for `room_for`.
    """
    expected_s = 0.2 + len(read) / _RATES[language]
    return Bounds(0.4 * (expected_s - 0.2), expected_s, 2.0 * expected_s + 1.0)


def _places(text: str) -> list[tuple[int, float]]:
    """Return where the text may be cut, each with its cost."""
    middle = len(text) / 2
    found = [
        (match.end(), cost + abs(match.end() - middle) / len(text))
        for pattern, cost in _PLACES
        for match in pattern.finditer(text)
        if text[: match.end()].strip() and text[match.end() :].strip()
    ]
    return found or [(len(text) // 2, 1.0)]
