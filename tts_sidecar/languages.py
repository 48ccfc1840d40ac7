"""The languages that somebody here speaks, as ISO 639-1 codes (639-3 where there is no such)."""

from __future__ import annotations

import difflib

# ISO code to espeak-ng's own name of the language. Left out are constructed and extinct languages
# and Japanese: espeak-ng spells out kanji as "Chinese letter" instead of reading them.
_SAME_NAME = """
    af am an ar as az ba be bg bn bs ca cs cy da de el eo es et eu fa fi fr ga gd gn gu haw he hi
    hr ht hu hy id is it ka kk kl kn ko kok ku ky la lb lt lv mi mk ml mr ms mt my nb ne nl nog om
    or pa pap pl pt ro ru sd shn si sk sl smj sq sr sv sw ta te th tk tn tr tt ug uk ur uz vi yue
"""
ESPEAK_VOICES: dict[str, str] = {
    **{code: code for code in _SAME_NAME.split()},
    "en": "en-us",
    "no": "nb",
    "zh": "cmn",
}

# Why a language that users may well expect is not offered.
UNSPOKEN = {"ja": "no engine here reads kanji"}


def base_language(code: str) -> str:
    """Return the language without its region: `pt` for `pt-BR` or `PT_br`."""
    return code.strip().lower().replace("_", "-").split("-")[0]


def nearest(word: str, known: list[str], count: int = 8) -> str:
    """Return known words as a list in words: the nearest ones in spelling, else the first ones."""
    close = difflib.get_close_matches(word, known, n=count, cutoff=0.6)
    return ", ".join(close or known[:count])
