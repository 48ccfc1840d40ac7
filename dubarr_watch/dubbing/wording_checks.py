"""Whether a wording can be that of a line, whichever engine wrote it.

An engine looks at the shape of what its model answers, so as to ask again; this is the last look
before anything is spoken: at meaning, as far as length, numbers and words tell it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence

DENSE = r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"
"""One character of Chinese, Japanese or Thai, which are written without spaces, as a pattern."""

_WORD = re.compile(r"\w+")
_DIGITS = re.compile(r"\d+")
_BESIDE = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?i)^\W*(?:translat\w*|answer|output)\b[^.!?]*:|[(（]",
        # Notes of a translator, in the languages that they are written in.
        r"(?i)(?:^|\W)(?:note|nota|anmerkung|hinweis|remarque|uwaga|opmerking"
        r"|n\. ?d(?:el|u|a|\.)? ?t\.|przyp\. tłum\.?) ?:",
        r"(?i)^\W*(?:sure|of course|certainly|here(?:'s| is| are)|claro|por supuesto|aquí|bien sûr"
        r"|voici|natürlich|hier ist|certo|ecco|oczywiście|oto|aqui está)\b[^.?]*:",
        r"^\W*(?:[A-ZÀ-Þ]{2,}(?: [A-ZÀ-Þ]{2,})?|[^\W\d_]+ \d{1,3}):\s",
        r"\w\W? / \W?\w",
        r"(?i)https?:|\bwww\.",
        r"[{}<>|\\]|\[[^\[\]]{3,}",
        r"(?i)^\W*(?:n/?a|null|none|undefined|tbd|translation)\W*$",
        r"(?i)\blanguage model\b|modelo de (?:lenguaje|linguagem)|modèle de langage|sprachmodell"
        r"|modello linguistico|model\w* językow|taalmodel|\bas an? ai\b",
        r"(?i)\bcan(?:no|')?t (?:assist|help) with th(?:at|is)\b(?! \w)"
        r"|\bno puedo (?:ayudar\w*|cumplir|asistir\w*) con \w+ (?:solicitud|petición)",
    )
)
"""What stands beside a translation or in its place, unless the film itself says so."""

_SOURCE_RUN = 5
_SOURCE_SHARE = 0.4
"""So many words in a row of the source, and such a share of the answer, were not translated."""
_IMPERIAL = re.compile(
    r"(?i)\b(?:miles?|foot|feet|ft|inch(?:es)?|yards?|pounds?|lbs?|ounces?|gallons?|fahrenheit|mph"
    r"|acres?|°\s*f)\b|\d\s*°"
)
_DENSE_CHAR = re.compile(DENSE)
_DENSE_WORTH = 3
"""Letters of an alphabet that say as much as one such character."""


def looks_wrong(source: str, translation: str, max_chars: int) -> bool:
    """Tell whether a translation cannot be right, by its length, its numbers or its words.

    The checks know no language: they find refusals, notes, untouched source text and answers that
    belong to another line, not clumsy wording.
    """
    text = translation.strip()
    if not _WORD.search(text) or "\n\n" in text or "```" in text:
        return True
    source_length, length = worth_letters(source), worth_letters(text)
    if length > 40 + 2.5 * max(source_length, max_chars):
        return True
    if source_length > 40 and length < 0.25 * source_length:
        return True
    source_words, words = _words(source), _words(text)
    if (
        len(source_words) > 3
        and _is_translatable(source)
        and difflib.SequenceMatcher(None, source_words, words).ratio() > 0.8
    ):
        return True
    if source_words == words and _is_translatable(source):
        return True
    if any(mark.search(text) and not mark.search(source) for mark in _BESIDE):
        return True
    if _has_source(words, source_words, source):
        return True
    # Other numbers than the source's are the mark of a neighbour's answer, but not of miles in km.
    wanted, got = _numbers(source), _numbers(text)
    return not _IMPERIAL.search(source) and bool(wanted and got and wanted.isdisjoint(got))


def _has_source(words: Sequence[str], source_words: Sequence[str], source: str) -> bool:
    """Tell whether much of the source stands in an answer as it was; names may."""
    match = difflib.SequenceMatcher(None, source_words, words, autojunk=False).find_longest_match()
    run = _WORD.findall(source)[match.a : match.a + match.size]
    long = match.size >= max(_SOURCE_RUN, _SOURCE_SHARE * len(words))
    return long and sum(word.islower() for word in run) >= _SOURCE_RUN - 1


def _is_translatable(source: str) -> bool:
    """Tell names and interjections, which stay as they are, from words that must change."""
    found = _WORD.findall(source)
    return len(set(map(str.lower, found))) > 1 and any(word.islower() for word in found)


def worth_letters(text: str) -> int:
    """Return the length of a text in letters of an alphabet that say as much."""
    return len(text) + (_DENSE_WORTH - 1) * len(_DENSE_CHAR.findall(text))


def _numbers(text: str) -> set[int]:
    return {int(digits) for digits in _DIGITS.findall(text)}


def _words(text: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(text)]
