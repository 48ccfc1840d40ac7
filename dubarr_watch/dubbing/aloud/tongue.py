"""What a language says for a number, from the spelling rules of Unicode CLDR and `words.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Any

import tomllib

from dubarr_watch.dubbing.aloud import polish

if TYPE_CHECKING:
    from unicode_rbnf import RbnfEngine

LONGEST_DIGITS = 15
"""A longer number is read digit by digit."""

_GENDERED = {"es", "pt", "it", "fr", "de", "pl"}
_DIGIT_BY_DIGIT = {"en", "de"}
"""Languages that read what follows the point digit by digit, others as a number."""


@dataclass(frozen=True)
class Tongue:
    """A language that numbers are spoken in.

    Attributes:
        language: ISO 639-1 code.
        words: Its part of `words.toml`.
    """

    language: str
    words: Mapping[str, Any]

    @cached_property
    def number(self) -> str:
        """Pattern of a number as this language writes it, without a sign."""
        groups = "," if self.words["decimal"] == "." else "[.\u00a0\u202f ]"
        return rf"(?:\d{{1,3}}(?:{groups}\d{{3}})+(?!\d)(?:[.,]\d+)?|\d+(?:[.,]\d+)?)"

    def taken_apart(self, number: str) -> tuple[str, str]:
        """Return the digits of a number before and after its point."""
        decimal = self.words["decimal"]
        whole, point, rest = number.rpartition(decimal)
        if not point:
            other = "," if decimal == "." else "."
            head, mark, tail = number.rpartition(other)
            # 3.5 in a language that writes 3,5: a group of thousands has three digits.
            if mark and len(tail) != 3 and head.isdecimal():
                whole, rest = head, tail
            else:
                whole, rest = number, ""
        elif decimal == "," and len(rest) == 3 and "," in whole:
            whole, rest = number, ""
        return re.sub(r"\D", "", whole), rest

    def cardinal(self, value: int, *, counting: bool = False, feminine: bool = False) -> str:
        """Return a number in words; `counting` before a noun, whose gender some languages show."""
        rules: list[str] = []
        if counting and self.language in _GENDERED:
            rules = [f"spellout-cardinal-{'feminine' if feminine else 'masculine'}"]
        return self._spelled(value, rules)

    def ordinal(self, value: int, *, feminine: bool = False) -> str:
        """Return an ordinal in words; in German the form that follows `der`."""
        if self.language == "pl":
            return polish.ordinal(value, "f" if feminine else "m", self.cardinal)
        gender = "feminine" if feminine else "masculine"
        rules = ["spellout-ordinal"]
        if self.language in {"es", "fr", "it", "pt"}:
            rules = [f"spellout-ordinal-{gender}"]
        return self._spelled(value, rules)

    def year(self, value: int) -> str:
        """Return a year in words."""
        if self.language in {"en", "de"}:
            return self._spelled(value, ["spellout-numbering-year"])
        return self.cardinal(value)

    def digits(self, text: str) -> str:
        """Return digits one by one."""
        return " ".join(self.cardinal(int(digit)) for digit in text if digit.isdecimal())

    def said(self, number: str, *, counting: bool = False, feminine: bool = False) -> str:
        """Return a number as it is written, in words."""
        whole, rest = self.taken_apart(number)
        if len(whole) > LONGEST_DIGITS:
            return self.digits(whole)
        if not rest:
            return self.cardinal(int(whole), counting=counting, feminine=feminine)
        after = self.digits(rest)
        if self.language not in _DIGIT_BY_DIGIT and len(rest) <= 2:
            zeros = rest[: len(rest) - len(rest.lstrip("0"))]
            after = " ".join(filter(None, [self.digits(zeros), self._after(rest.lstrip("0"))]))
        return f"{self.cardinal(int(whole))} {self.words['point']} {after}"

    def counted(self, number: str, forms: Sequence[str]) -> str:
        """Return a number with the form of a noun that goes with it."""
        feminine = forms[0].startswith("f ")
        nouns = [forms[0].removeprefix("f "), *forms[1:]]
        whole, rest = self.taken_apart(number)
        said = self.said(number, counting=True, feminine=feminine)
        return f"{said} {nouns[self._form(int(whole), rest, len(nouns))]}"

    def many(self, forms: Sequence[str]) -> str:
        """Return the form of a noun that goes with very many."""
        return forms[2] if self.language == "pl" and len(forms) > 2 else forms[1]

    def _form(self, whole: int, rest: str, forms: int) -> int:
        if self.language == "pl":
            number = 3 if rest else polish.plural(whole)
        elif self.language == "fr":
            number = 0 if whole < 2 else 1
        else:
            number = 0 if whole == 1 and not rest else 1
        return min(number, forms - 1)

    def _after(self, digits: str) -> str:
        return self.cardinal(int(digits)) if digits else ""

    def _spelled(self, value: int, rules: list[str]) -> str:
        names = rules or ["spellout-numbering"]
        engine = rbnf(self.language)
        if engine is None:
            return str(value)
        return engine.format_number(value, ruleset_names=names).text.replace("\u00ad", "")


@lru_cache(maxsize=32)
def tongue(language: str) -> Tongue | None:
    """Return how a language says numbers; nothing where only numbers themselves are known."""
    words = _all_words().get(language)
    return Tongue(language, words) if words else None


@lru_cache(maxsize=32)
def rbnf(language: str) -> RbnfEngine | None:
    """Return the spelling rules of a language, where there are any."""
    # Imported where it is used: an idle daemon can do without its 5 MB.
    from unicode_rbnf import RbnfEngine

    try:
        return RbnfEngine.for_language(language)
    except ValueError:
        return None


@lru_cache(maxsize=1)
def _all_words() -> dict[str, Any]:
    file = resources.files(__package__).joinpath("words.toml")
    return tomllib.loads(file.read_text(encoding="utf-8"))
