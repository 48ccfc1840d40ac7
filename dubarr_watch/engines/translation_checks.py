"""What makes an answer of a language model no answer: its shape, script and repetitions.

What is refused here is asked for again. Length and meaning are judged once more where lines are
translated, whatever engine answered.
"""

from __future__ import annotations

import html
import re
import unicodedata
import zlib
from collections.abc import Iterable, Mapping

_LONGEST = 3.0
_ROOM_CHARS = 20
_SHARED_WORDS = 0.6
_MIN_WORDS_TO_JUDGE = 4
_COGNATE_WORDS = 2
_LOOP_COMPRESSION = 2.4
_WORD = re.compile(r"[^\W\d_]+", re.UNICODE)
# Every repetition is bounded: an answer made to be slow must not hold up a job.
_NOTE = re.compile(r"\s?[(\[][^)\]]{0,500}[)\]]")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_STAGE_DIRECTION = re.compile(r"\s*(?<!\w)\*{1,2}[^*]{1,60}\*{1,2}(?!\w)")
_LABEL = re.compile(
    r"^(?:(?:translat|traduc|traduz|übersetz|tłumacz|vertal|line|output|answer)\w*)?\s*\d*\s*[:.)]\s+",
    re.IGNORECASE,
)
_BULLET = re.compile(r"^(?:[-–—•#>]+\s+)+")
_QUOTES = "\"'“”«»„`_"

# First word of the Unicode name of the letters that each language is written in, where it is not
# Latin.
_SCRIPTS: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("ru", "uk", "bg", "be", "mk", "kk", "mn"), ("CYRILLIC",)),
    **dict.fromkeys(("ar", "fa", "ur"), ("ARABIC",)),
    **dict.fromkeys(("hi", "mr", "ne"), ("DEVANAGARI",)),
    "sr": ("CYRILLIC", "LATIN"),
    "el": ("GREEK",),
    "he": ("HEBREW",),
    "ja": ("HIRAGANA", "KATAKANA", "CJK"),
    "ko": ("HANGUL",),
    "th": ("THAI",),
    "zh": ("CJK",),
    "ta": ("TAMIL",),
    "te": ("TELUGU",),
    "bn": ("BENGALI",),
    "ka": ("GEORGIAN",),
    "hy": ("ARMENIAN",),
}


def cleaned(answer: str, source_text: str) -> str:
    """Return an answer on one line, without quotes, markup, labels and notes that the source lacks.

    What no voice can say goes too: tags, entities, emoji, and characters that cannot be seen.
    """
    text = html.unescape(answer)
    if "<" not in source_text:
        text = _TAG.sub("", text)
    text = " ".join("".join(_seen(char, source_text) for char in text).split())
    if not _NOTE.search(source_text):
        text = _NOTE.sub("", text)
    if "*" not in source_text:
        text = text.strip("*") if text.startswith("*") and text.endswith("*") else text
        text = _STAGE_DIRECTION.sub("", text).replace("*", "")
    for mark in (_LABEL, _BULLET):
        if not mark.match(source_text):
            text = mark.sub("", text)
    if source_text[:1] not in _QUOTES:
        text = text.strip(_QUOTES + " ")
    return text.strip()


def _seen(char: str, source_text: str) -> str:
    kind = unicodedata.category(char)
    if kind[0] == "C":
        return " " if char.isspace() else ""
    # From the arrows on: signs that somebody decorates an answer with.
    return "" if kind == "So" and char >= "\u2190" and char not in source_text else char


def acceptable(answer: str, source_text: str, *, target: str, max_chars: int) -> bool:
    """Tell whether a cleaned answer may be taken for a translation.

    Args:
        answer: What the model said.
        source_text: What it was to translate.
        target: ISO 639-1 code of the language that the answer should be in.
        max_chars: Budget of the answer, which it may exceed, but not absurdly.
    """
    if not _WORD.search(answer) and _WORD.search(source_text):
        return False
    if len(answer) > _LONGEST * max(max_chars, len(source_text)) + _ROOM_CHARS:
        return False
    return not (_repeats_itself(answer) or _is_source(answer, source_text)) and in_script(
        answer, target
    )


def is_shorter(answer: str, text: str, target: str) -> bool:
    """Tell whether a cleaned answer may be taken for a shorter wording of a text."""
    # The check for the source's own words does not apply: a shorter wording keeps most of them.
    return (
        len(answer) < len(text)
        and normalised(answer) != normalised(text)
        and acceptable(answer, "", target=target, max_chars=len(text))
    )


def told_apart(answers: Mapping[int, str], sources: Mapping[int, str]) -> dict[int, str]:
    """Leave out answers that several different texts got: all but one belong elsewhere."""
    by_answer: dict[str, list[int]] = {}
    for key, answer in answers.items():
        by_answer.setdefault(normalised(answer), []).append(key)
    kept: dict[int, str] = {}
    for keys in by_answer.values():
        if len({normalised(sources[key]) for key in keys}) == 1:
            kept.update({key: answers[key] for key in keys})
    return kept


def normalised(text: str) -> str:
    """Return a text as its words alone, so that two spellings of one thing compare equal."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def in_script(answer: str, target: str) -> bool:
    """Tell whether a text is written in letters of its language, most of it at least."""
    wanted = _SCRIPTS.get(target, ("LATIN",))
    letters = [ch for ch in answer if ch.isalpha()]
    return not letters or 2 * _count(letters, wanted) >= len(letters)


def _is_source(answer: str, source_text: str) -> bool:
    """Tell whether an answer is the source, or most of it, in the source's own words."""
    said, asked = normalised(answer).split(), normalised(source_text).split()
    if len(asked) <= _COGNATE_WORDS or _only_names(source_text):
        return False
    if said == asked:
        return True
    if len(said) < _MIN_WORDS_TO_JUDGE:
        return False
    shared = sum(word in asked for word in said)
    return shared > _SHARED_WORDS * len(said)


def _only_names(text: str) -> bool:
    words = _WORD.findall(text)
    return len(words) <= 4 and all(word[0].isupper() for word in words)


def _count(letters: Iterable[str], scripts: tuple[str, ...]) -> int:
    return sum(unicodedata.name(letter, "").startswith(scripts) for letter in letters)


def _repeats_itself(text: str) -> bool:
    raw = text.encode()
    return len(raw) > 80 and len(raw) / len(zlib.compress(raw)) > _LOOP_COMPRESSION
