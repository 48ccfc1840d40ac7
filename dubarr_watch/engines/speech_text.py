"""Texts for speech services: pieces that are short enough, and how long they take to say."""

from __future__ import annotations

import re
import unicodedata

from dubarr_watch.languages import parse_language

_CHARS_PER_S = 15.0
_DENSE_WORTH = 3  # a character of Chinese or Japanese says as much as three letters
_LONGEST_FACTOR = 3.0
_LONGEST_EXTRA_S = 2.5
_SHORTEST_FACTOR = 0.25
# The best place to part a text first: after a sentence, after a clause, between words, anywhere.
_ENDS = (
    re.compile(r"[.!?…。！？।]+[\"'”’»)\]]*\s*"),
    re.compile(r"[,;:，、；：—–][\"'”’»)\]]*\s*"),
    re.compile(r"\s+"),
)


def split_text(text: str, max_chars: int) -> list[str]:
    """Return a text in as few pieces of a length as there can be, parted where a speaker pauses."""
    pieces: list[str] = []
    text = text.strip()
    while len(text) > max_chars:
        cut = _last_end(text, max_chars)
        pieces.append(text[:cut].strip())
        text = text[cut:].strip()
    return [piece for piece in (*pieces, text) if piece]


def halves(text: str) -> list[str]:
    """Return a text in two or three shorter pieces; one when it is too short to part."""
    return split_text(text, -(-len(text) * 2 // 3) if len(text) > 2 else 1)


def is_implausible(text: str, duration_s: float) -> bool:
    """Tell whether nobody would take so long for a text, or so short: words more, or words less."""
    letters = sum(_DENSE_WORTH if unicodedata.east_asian_width(one) in "WF" else 1 for one in text)
    usual_s = letters / _CHARS_PER_S
    longest_s = usual_s * _LONGEST_FACTOR + _LONGEST_EXTRA_S
    return not usual_s * _SHORTEST_FACTOR - 0.2 <= duration_s <= longest_s


def language_name(code: str) -> str:
    """Return the English name of a language."""
    return parse_language(code).name


def _last_end(text: str, max_chars: int) -> int:
    head = text[:max_chars]
    for kind in _ENDS:
        ends = [found.end() for found in kind.finditer(head)]
        # A piece of two words sounds worse than a pause at a comma, and better than half a word.
        if ends and (ends[-1] >= max_chars // 3 or kind is _ENDS[-1]):
            return ends[-1]
    return max_chars
