"""Texts as bare words, so that what was written can be compared with what was heard."""

from __future__ import annotations

import re
import unicodedata

from dubarr_watch.dubbing.aloud import spoken_form
from dubarr_watch.dubbing.aloud.tongue import rbnf

UNSPACED = frozenset({"zh", "yue", "ja", "th", "lo", "my", "km", "bo"})
"""Languages that are written without spaces: each character counts as a word."""

_NUMBER = re.compile(r"\d{1,3}(?:[., \u00a0\u202f]\d{3})+(?!\d)|\d+(?:[.,]\d+)?")
_GROUPED = re.compile(r"(?<=\d)[., \u00a0\u202f](?=\d{3}(?!\d))")
_LONGEST_NUMBER = 15


def bare_words(text: str, language: str) -> list[str]:
    """Return the words of a text in one form: lower case, no punctuation, as it is spoken.

    Args:
        text: Any text.
        language: ISO 639-1 code; decides how numbers are spoken.
    """
    said = spoken_form(text, language)
    spelled = _NUMBER.sub(lambda found: f" {_in_words(found[0], language)} ", said)
    # An apostrophe parts words as any mark does: transcribers split there or not as they like.
    folded = unicodedata.normalize("NFKC", spelled).casefold()
    kept = "".join(ch if _is_letter(ch) else " " for ch in folded)
    return list(kept.replace(" ", "")) if language in UNSPACED else kept.split()


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMN"


def _in_words(number: str, language: str) -> str:
    engine = rbnf(language)
    plain = _GROUPED.sub("", number).replace(",", ".")
    if engine is None or len(plain) > _LONGEST_NUMBER:
        return number
    whole, _, rest = plain.partition(".")
    # What follows the point is compared digit by digit: languages differ in how they say it.
    digits = (engine.format_number(int(digit)).text for digit in rest)
    return " ".join([engine.format_number(int(whole)).text, *digits])
