"""Polish plurals and ordinals, which the rules of CLDR do not have."""

from __future__ import annotations

from collections.abc import Callable

_UNITS = (
    "", "pierwszy", "drugi", "trzeci", "czwarty", "piąty", "szósty", "siódmy", "ósmy", "dziewiąty",
    "dziesiąty", "jedenasty", "dwunasty", "trzynasty", "czternasty", "piętnasty", "szesnasty",
    "siedemnasty", "osiemnasty", "dziewiętnasty",
)  # fmt: skip
_TENS = (
    "", "", "dwudziesty", "trzydziesty", "czterdziesty", "pięćdziesiąty", "sześćdziesiąty",
    "siedemdziesiąty", "osiemdziesiąty", "dziewięćdziesiąty",
)  # fmt: skip
_HUNDREDS = (
    "", "setny", "dwusetny", "trzechsetny", "czterechsetny", "pięćsetny", "sześćsetny",
    "siedemsetny", "osiemsetny", "dziewięćsetny",
)  # fmt: skip
_THOUSANDS = {1: "tysięczny", 2: "dwutysięczny", 3: "trzytysięczny"}
_ENDINGS = {
    "m": ("y", "i", "i"),
    "f": ("a", "a", "ia"),
    "genitive": ("ego", "iego", "iego"),
    "locative": ("ym", "im", "im"),
    "f locative": ("ej", "iej", "iej"),
}


def plural(value: int) -> int:
    """Return which form of a noun goes with a number: 0 one, 1 two to four, 2 five and more."""
    if value == 1:
        return 0
    few = value % 10 in (2, 3, 4) and value % 100 not in (12, 13, 14)
    return 1 if few else 2


def ordinal(value: int, case: str, cardinal: Callable[[int], str]) -> str:
    """Return an ordinal up to 3999.

    Args:
        value: The number, 1 or more.
        case: Of `_ENDINGS`: m and f are the nominative.
        cardinal: Says the part of the number that is not declined.
    """
    rest = value % 100
    if rest == 0:
        hundred = value // 100 % 10
        last = _HUNDREDS[hundred] if hundred else _THOUSANDS.get(value // 1000, "")
        before = value - 100 * hundred if hundred else 0
        declined = [last] if last else []
    elif rest < 20:
        declined, before = [_UNITS[rest]], value - rest
    else:
        declined, before = (
            [_TENS[rest // 10], *([_UNITS[rest % 10]] if rest % 10 else [])],
            (value - rest),
        )
    if not declined:
        return cardinal(value)
    words = [cardinal(before)] if before else []
    return " ".join([*words, *(_declined(word, case) for word in declined)])


def _declined(word: str, case: str) -> str:
    hard, velar, soft = _ENDINGS[case]
    stem, ending = word[:-1], {"drugi": velar, "trzeci": soft}.get(word, hard)
    return stem + ending
