"""Decided names and terms in texts: put in, and missed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from dubarr_watch.engines.texts import Term

_SHORTEST_STEM = 3
_ENDING = 3
_WORD = re.compile(r"\w+")


def spoken_as_agreed(answer: str, source_text: str, terms: Iterable[Term]) -> str:
    """Put the agreed spelling where a translation kept a term as the original has it."""
    for term in terms:
        word = _whole(term.source)
        agreed = term.target.casefold() in answer.casefold()
        if not agreed and word.search(source_text):
            answer = term.target.join(word.split(answer))
    return answer


def missed(answer: str, source_text: str, terms: Iterable[Term]) -> list[Term]:
    """Return the terms of a text that its translation does not have, in any inflection."""
    return [
        term
        for term in terms
        if _whole(term.source).search(source_text) and not _has(answer, term.target)
    ]


def with_terms(text: str, terms: Sequence[Term]) -> str:
    """Return a source text with the terms as the translation is to have them.

    A small model that knows no glossary copies names that it does not know.
    """
    for term in terms:
        text = term.target.join(_whole(term.source).split(text))
    return text


def _whole(source: str) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w){re.escape(source)}(?!\w)")


def _has(answer: str, target: str) -> bool:
    said = answer.casefold()
    if target.casefold() in said:
        return True
    words = _WORD.findall(said)
    stems = [word[: max(_SHORTEST_STEM, len(word) - _ENDING)] for word in _WORD.findall(
        target.casefold())]  # fmt: skip
    return bool(stems) and all(any(w.startswith(stem) for w in words) for stem in stems)
