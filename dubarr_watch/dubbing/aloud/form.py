"""The spoken form of a text: one rule after another, each leaving words where there were signs."""

from __future__ import annotations

import re
from functools import lru_cache

from dubarr_watch.dubbing.aloud import moments, quantities
from dubarr_watch.dubbing.aloud.roman import roman_numerals
from dubarr_watch.dubbing.aloud.tongue import Tongue, tongue

_SENTENCE_ENDERS = {"et cetera", "etcétera", "eccetera", "und so weiter", "i tak dalej",
                    "i tym podobne", "Junior", "Senior"}  # fmt: skip
_BEFORE_A_NAME = {("en", "St."), ("de", "St."), ("fr", "M."), ("fr", "St"), ("fr", "Ste"),
                  ("fr", "Dr"), ("fr", "Pr")}  # fmt: skip
_NUMBER_SIGN = re.compile(r"(?:\b[Nn]o\.|\b[Nn][º°]|№|#|\b[Nn]r\.?|\b[Nn]úm\.|\b[Nn]\.º) ?(?=\d)")


@lru_cache(maxsize=4096)
def spoken_form(text: str, language: str) -> str:
    """Return a text as it is said aloud: no figures, no signs, no abbreviations.

    Known are English, Spanish, French, German, Italian, Portuguese and Polish; a text in any other
    language comes back as it is, for its voice to read.

    Args:
        text: As it is written.
        language: ISO 639-1 code.
    """
    known = tongue(language)
    if known is None:
        return text
    said = _abbreviations(text, known)
    for rule in (
        roman_numerals, moments.dates, moments.times, quantities.digit_strings, moments.ranges,
        quantities.money, quantities.percent, quantities.fractions, quantities.units,
        moments.years, quantities.ordinals, quantities.plain_numbers, _signs,
    ):  # fmt: skip
        said = rule(said, known)
    return re.sub(r"\s+(?=[,;.!?…](?:\s|$))", "", " ".join(said.split())) if said != text else text


def _abbreviations(text: str, known: Tongue) -> str:
    number = known.words["number"]
    text = _NUMBER_SIGN.sub(
        lambda found: f"{number.capitalize() if found[0][0] == 'N' else number} ", text
    )
    if known.language == "en":
        text = re.sub(r"(?<=[a-z] )St\.(?!\s[A-Z])", "Street", text)
    for short, full in known.words["short"].items():
        name = r"(?=\s[A-ZÀ-Ý])" if (known.language, short) in _BEFORE_A_NAME else ""
        first = re.escape(short[0])
        if short[0].islower():
            first = f"[{first}{short[0].upper()}]"
        pattern = rf"(?<![\w.]){first}{re.escape(short[1:])}(?![\w])(?!\.\w){name}"
        text = re.sub(pattern, lambda found, f=full: _full(found, f), text)  # type: ignore[misc]
    return text


def _full(found: re.Match[str], full: str) -> str:
    after = found.string[found.end() :].lstrip(" ")
    ends = found[0].endswith(".") and (
        not after or (full in _SENTENCE_ENDERS and after[:1].isupper())
    )
    if found[0][0].isupper() and full[0].islower() and found.start() == 0:
        full = full[0].upper() + full[1:]
    return f"{full}." if ends else full


def _signs(text: str, known: Tongue) -> str:
    text = re.sub(r"\s?&\s?", f" {known.words['and']} ", text)
    return re.sub(r"(?<=\w)\s\+\s(?=\w)", " plus ", text)
