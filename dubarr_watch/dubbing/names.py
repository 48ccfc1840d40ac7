"""Names kept alike through a film where no model has understood it: what most lines do, all do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence, Set
from dataclasses import replace
from itertools import groupby

from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.translation import Origin, TranslatedLine
from dubarr_watch.engines.texts import Term

SEVERAL = 2
MOST = 0.6
"""A name is decided when so many sentences, and this share of those that say it, keep it."""

ALIKE = 0.75
"""A word at least so like a name, by its letters, is that name misspelled."""

_NOUNS_ARE_CAPITALISED = frozenset({"de", "lb"})
# Behind a word in small letters: at the start of a sentence everything has a capital.
_NAME = re.compile(r"(?<=[^\W\d_A-ZÀ-Þ][ ,]) ?([^\W\d_a-zß-ÿ][^\W\d_]{2,})(?![\w'’])")
_CAPITALISED = re.compile(r"(?<!\w)[^\W\d_a-zß-ÿ][^\W\d_]{2,}")


def names_alike(
    lines: Sequence[Line], wording: Sequence[TranslatedLine], source: str, decided: Set[str]
) -> tuple[list[TranslatedLine], list[Term]]:
    """Return the wording with names spelled alike, and the names that it decides.

    Args:
        lines: All lines.
        wording: Theirs, in the same order.
        source: ISO 639-1 code of the lines.
        decided: Names that are decided already, as the original has them.
    """
    if source in _NOUNS_ARE_CAPITALISED:
        return list(wording), []
    said = [
        (" ".join(line.text for line, _ in part), " ".join(told.text for _, told in part))
        for part in (
            list(group)
            for _, group in groupby(
                zip(lines, wording, strict=True), key=lambda pair: pair[0].sentence
            )
        )
        if any(told.origin is Origin.MODEL for _, told in part)
    ]
    names = dict.fromkeys(name for text, _ in said for name in _NAME.findall(text))
    kept = [name for name in names if name not in decided and _is_kept(name, said)]
    everywhere = {*kept, *(name for name in decided if name in names)}
    return (
        [_alike(line, told, everywhere) for line, told in zip(lines, wording, strict=True)],
        [Term(name, name) for name in kept],
    )


def _is_kept(name: str, said: Sequence[tuple[str, str]]) -> bool:
    own = [told for text, told in said if _has(text, name)]
    keeping = sum(_has(told, name) for told in own)
    return keeping >= SEVERAL and keeping >= MOST * len(own)


def _alike(line: Line, told: TranslatedLine, names: Set[str]) -> TranslatedLine:
    """Spell a name as everywhere where this line has a word that is nearly it."""
    if told.origin is not Origin.MODEL:
        return told
    others = tuple(_spelled(line, text, names) for text in told.others)
    return replace(told, text=_spelled(line, told.text, names), others=others)


def _spelled(line: Line, text: str, names: Set[str]) -> str:
    for name in names:
        if not _has(line.text, name) or _has(text, name):
            continue
        near = [
            word
            for word in _CAPITALISED.findall(text)
            if not _has(line.text, word)
            and difflib.SequenceMatcher(None, word.casefold(), name.casefold()).ratio() >= ALIKE
        ]
        if len(near) == 1:
            text = re.sub(rf"(?<!\w){near[0]}(?!\w)", name, text)
    return text


def _has(text: str, word: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None
