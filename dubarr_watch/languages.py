"""Language codes and names: what people write, what files want, what engines know.

One language has one `Language` value everywhere inside. People write `de`, `deu`, `ger`, `de-DE`
or `German`; Matroska and MP4 want ISO 639-2 (`ger`), Jellyfin and Kodi read ISO 639-1 from a file
name (`de`).
"""

from __future__ import annotations

import difflib
import functools
import re
from dataclasses import dataclass
from typing import Any

import pycountry

from dubarr_watch.errors import UnknownLanguage

# Containers store ISO 639-2; these twenty languages have two codes there, and both the Matroska
# specification and FFmpeg's MP4 writer use the bibliographic one.
_BIBLIOGRAPHIC = "bibliographic"

# Spoken names that differ from the one in ISO 639, as people write them in a marker.
_EVERYDAY_NAMES = {
    "greek": "el",
    "modern greek": "el",
    "farsi": "fa",
    "mandarin": "zh",
    "chinese": "zh",
    "castilian": "es",
    "spanish": "es",
    "flemish": "nl",
    "norwegian": "no",
    "swahili": "sw",
    "malay": "ms",
    "punjabi": "pa",
    "brazilian": "pt",
    "nepali": "ne",
    "khmer": "km",
    "uyghur": "ug",
    "slovene": "sl",
    "bokmål": "nb",
    "bokmal": "nb",
    "nynorsk": "nn",
}

# Codes that ISO 639 withdrew; old files still carry them.
_WITHDRAWN = {"iw": "he", "in": "id", "ji": "yi", "mo": "ro"}

# Codes of one variety that files use for the whole language: who asks for Norwegian does not want
# a dub of a film that is tagged Bokmål.
_SAME = {
    "nb": "no",
    "nn": "no",
    "cmn": "zh",
    "arb": "ar",
    "pes": "fa",
    "swh": "sw",
    "zsm": "ms",
    "ekk": "et",
    "lvs": "lv",
    "npi": "ne",
    "uzn": "uz",
    "als": "sq",
}

_SPLIT = re.compile(r"[\s,;+]+")


@dataclass(frozen=True, slots=True, order=True)
class Language:
    """One language.

    Attributes:
        code: ISO 639-1 where the language has one, else ISO 639-3; lower case.
        name: English name, e.g. `Polish`.
        iso639_2: Bibliographic ISO 639-2 code for the inside of a file, e.g. `pol`, `ger`.
    """

    code: str
    name: str
    iso639_2: str

    @property
    def track_title(self) -> str:
        """Title that a player shows for a dub in this language."""
        return f"{self.name} (AI dub)"


def parse_language(word: str) -> Language:
    """Return the language that a code or an English name stands for.

    Args:
        word: `de`, `deu`, `ger`, `de-DE`, `de_DE`, `German`; case does not matter.

    Raises:
        UnknownLanguage: Nothing matches; the hint names the nearest known words.
    """
    cleaned = word.strip().lower()
    found = _lookup(cleaned) or _lookup(
        re.split(r"[-_]", cleaned)[0] if "-" in cleaned or "_" in cleaned else ""
    )
    if found is None:
        near = nearest_languages(cleaned)
        raise UnknownLanguage(
            f"'{word.strip()}' is not a language I know.",
            hint=f"Did you mean {' or '.join(near)}?"
            if near
            else "Use a code such as de, or a name such as German.",
        )
    return found


def parse_languages(text: str) -> list[Language]:
    """Return the languages in a list separated by commas, spaces, semicolons, plus signs or lines.

    Order is kept, repeats are dropped. English names of several words are understood only when
    they stand alone between commas or on a line of their own.

    Raises:
        UnknownLanguage: At the first word that names no language.
    """
    found: list[Language] = []
    for chunk in re.split(r"[,;+\n]", text):
        if not chunk.strip():
            continue
        whole = _lookup(chunk.strip().lower())
        parts = [whole] if whole else [parse_language(word) for word in _SPLIT.split(chunk.strip())]
        found.extend(language for language in parts if language not in found)
    return found


def same_language(code: str | None, language: Language) -> bool:
    """Tell whether a code found in a file (any ISO 639 form, or nothing) means this language."""
    if not code:
        return False
    try:
        found = parse_language(code).code
    except UnknownLanguage:
        return False
    return _SAME.get(found, found) == _SAME.get(language.code, language.code)


def nearest_languages(word: str, count: int = 3) -> list[str]:
    """Return up to `count` known languages spelled most like `word`, as `Name (code)`."""
    cleaned = word.strip().lower()
    matches = difflib.get_close_matches(cleaned, _spellings(), n=count * 3, cutoff=0.55)
    found: list[str] = []
    for match in matches:
        language = _lookup(match)
        if language is not None and (shown := f"{language.name} ({language.code})") not in found:
            found.append(shown)
    return found[:count]


@functools.cache
def _lookup(word: str) -> Language | None:
    if len(word) < 2:  # pycountry also finds the one letter that classifies a language
        return None
    word = _EVERYDAY_NAMES.get(word) or _WITHDRAWN.get(word) or word
    entry = _entry(word)
    if entry is None or entry.scope == "S":  # und, mul, mis, zxx: codes that name no language
        return None
    code = str(getattr(entry, "alpha_2", entry.alpha_3)).lower()
    name = str(entry.name).split(" (")[0].split(",")[0]
    if code == "el":
        name = "Greek"
    return Language(code, name, str(getattr(entry, _BIBLIOGRAPHIC, entry.alpha_3)).lower())


def _entry(word: str) -> Any:
    # Codes before names: rare languages are named En, Hu and Ko, and pycountry's own look-up
    # takes English, Hungarian and Korean for them.
    for field in ("alpha_2", "alpha_3", _BIBLIOGRAPHIC):
        entry = pycountry.languages.get(**{field: word})
        if entry is not None:
            return entry
    try:
        return pycountry.languages.lookup(word)
    except LookupError:
        return None


@functools.cache
def _spellings() -> tuple[str, ...]:
    # Only languages with two letters: suggesting a rare one for a typo would confuse.
    known = [entry for entry in pycountry.languages if hasattr(entry, "alpha_2")]
    words = {entry.alpha_2 for entry in known} | {entry.alpha_3 for entry in known}
    words |= {entry.name.split(" (")[0].lower() for entry in known} | set(_EVERYDAY_NAMES)
    return tuple(sorted(words))
