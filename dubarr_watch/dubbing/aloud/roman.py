"""Roman numerals of rulers, parts and centuries; all other letters are left alone."""

from __future__ import annotations

import re

from dubarr_watch.dubbing.aloud import polish
from dubarr_watch.dubbing.aloud.tongue import Tongue

_ROMAN = r"(?P<roman>X{0,3}(?:IX|IV|V?I{0,3}))"
_VALUES = {"I": 1, "V": 5, "X": 10}
_LAST_ORDINAL = {"es": 10, "pt": 10, "fr": 1}
"""Rulers up to this one are ordinals, later ones are counted."""

_CENTURY = {
    "fr": rf"\b{_ROMAN}(?:e|ème) (?=siècle)",
    "it": rf"\b{_ROMAN} (?=secolo)",
    "pl": rf"\b{_ROMAN} (?P<noun>wieku?)\b",
}


def roman_numerals(text: str, tongue: Tongue) -> str:
    """Say the numerals of rulers ("Henry VIII"), parts ("Part II") and centuries."""
    text = _centuries(text, tongue)
    rulers = {name: gender for gender in "mf" for name in tongue.words["rulers"][gender].split()}
    parts = set(tongue.words["part_names"])

    def said(found: re.Match[str]) -> str:
        name, roman = found["name"], found["roman"]
        if not roman:
            return found[0]
        value = _value(roman)
        if name in rulers and not (tongue.language == "en" and _is_pronoun(found, text)):
            return f"{name} {_ruler(value, rulers[name] == 'f', tongue)}{_point(found, text)}"
        # A single letter behind any other word may be just that.
        if name in parts or (len(roman) > 1 and name[:1].isupper()):
            return f"{name} {tongue.cardinal(value)}{found['point'] or ''}"
        return found[0]

    pattern = rf"(?P<name>\b[^\W\d_]+) {_ROMAN}(?![\w'’])(?P<point>\.)?"
    return re.sub(pattern, said, text)


def _is_pronoun(found: re.Match[str], text: str) -> bool:
    """Tell "Henry, I" and "told Henry I would" from Henry the First."""
    follows = text[found.end() :].split()[:1]
    return (
        found["roman"] == "I"
        and bool(follows)
        and follows[0].islower()
        and not re.match(r"(?:of|was|is|had|the|and|died|ruled|reigned)\b", follows[0])
    )


def _point(found: re.Match[str], text: str) -> str:
    """Return the point behind a numeral; in German it belongs to it, unless the text ends."""
    if not found["point"]:
        return ""
    at_end = not text[found.end() :].strip()
    return "." if at_end or not text[found.end() :].lstrip()[:1].islower() else ""


def _ruler(value: int, feminine: bool, tongue: Tongue) -> str:
    code = tongue.language
    if value > _LAST_ORDINAL.get(code, 99):
        return tongue.cardinal(value)
    ordinal = tongue.ordinal(value, feminine=feminine)
    if code == "en":
        return f"the {ordinal.capitalize()}"
    if code == "de":
        return f"{'die' if feminine else 'der'} {ordinal.capitalize()}"
    return ordinal


def _centuries(text: str, tongue: Tongue) -> str:
    pattern = _CENTURY.get(tongue.language)
    if pattern is None:
        return text

    def said(found: re.Match[str]) -> str:
        if not found["roman"]:
            return found[0]
        value = _value(found["roman"])
        if tongue.language == "pl":
            within = re.search(r"\b[wW]e? $", text[: found.start()])
            case = "m" if found["noun"] == "wiek" else "locative" if within else "genitive"
            return f"{polish.ordinal(value, case, tongue.cardinal)} {found['noun']}"
        return f"{tongue.ordinal(value)} "

    return re.sub(pattern, said, text)


def _value(roman: str) -> int:
    numbers = [_VALUES[letter] for letter in roman]
    return sum(
        -one if one < after else one for one, after in zip(numbers, [*numbers[1:], 0], strict=True)
    )
