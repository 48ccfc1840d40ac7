"""What is wrong with a translation that is one: another way of address, or feet and miles left.

Both are asked for in the rules; this looks whether the answer keeps to them, as far as its words
tell that for sure. What is objected to is asked for once more, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from re import Pattern

from dubarr_watch.engines.texts import Address, FilmContext


def objection(
    answer: str, source_text: str, speaker: int | None, film: FilmContext, target: str
) -> str:
    """Return what is wrong, as a sentence for the model; empty when nothing is.

    Args:
        answer: The translation.
        source_text: What was translated.
        speaker: Who says it.
        film: Says how its characters address each other.
        target: ISO 639-1 code of the translation.
    """
    return _wrong_address(answer, source_text, speaker, film, target) or _old_units(
        answer, source_text, target
    )


@dataclass(frozen=True, slots=True)
class _Register:
    """What tells how one person is addressed.

    Attributes:
        informal: Words of the informal way.
        formal: Words of the formal way; German and Italian ones count inside a sentence only, where
            their capital letter tells them from "she" and "they".
        plural: The formal words also address several people.
    """

    informal: Pattern[str]
    formal: Pattern[str]
    plural: bool = False


def _words(words: str) -> Pattern[str]:
    return re.compile(rf"(?i)(?<!\w)(?:{'|'.join(words.split())})(?!\w)")


def _inside(words: str) -> Pattern[str]:
    return re.compile(rf"(?<=[^\W\dA-Z_][ ,]) ?(?:{'|'.join(words.split())})(?!\w)")


_REGISTERS: Mapping[str, _Register] = {
    "de": _Register(_words("du dich dir dein(?:e[mnrs]?)?"), _inside("Sie Ihnen Ihr(?:e[mnrs]?)?")),
    "es": _Register(_words("tú ti te contigo tus? tuy[oa]s?"), _words("usted")),
    "fr": _Register(
        _words("tu te toi ton ta tes t['’]\\w+"), _words("vous votre vos"), plural=True
    ),
    "it": _Register(_words("tu te ti tuo tua tuoi tue"), _inside("Lei Suo Sua Suoi Sue")),
    "nl": _Register(_words("jij jou jouw"), _words("u uw")),
    "pl": _Register(
        _words("ty ciebie cię tobie tobą tw(?:ój|oja|oje|ojego|ojej|oim|oją|oich|ojemu)"),
        re.compile(r"(?<!\w)[Pp]an(?:i|a|u|em|ią)?(?!\w)(?! *[A-ZĆŁŚŹŻ])"),
    ),
    "pt": _Register(_words("tu te ti teus? tuas? contigo"), _words("o\\s+senhor a\\s+senhora")),
    "ru": _Register(
        _words("ты тебя тебе тобой твой твоя твоё твое твои твоего твоей твоих твоим твою"),
        _words("вы вас вам вами ваш ваша ваше ваши вашего вашей ваших вашим вашу"),
        plural=True,
    ),
}
"""Languages in which pronouns tell it dependably; verbs alone are not looked at."""

_SEVERAL = _words(
    "all both everybody everyone folks guys people two three kids boys girls children gentlemen "
    "ladies friends men"
)

_NUMBER = (
    r"(?:\d[\d.,]*|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|fif\w+|twenty|"
    r"thirty|forty|sixty|seventy|eighty|ninety|hundred|thousand|half a|couple of|few|several)"
)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A unit of which people who use the metric system have no idea.

    Attributes:
        source: What it looks like in an English line, its number included.
        kept: Words that stand for it in other languages; its English ones stand for it in all.
    """

    source: Pattern[str]
    kept: Pattern[str]


def _unit(english: str, others: str, number: str = rf"{_NUMBER}[- ]") -> _Unit:
    return _Unit(re.compile(rf"(?i)\b{number}(?:{english})\b"), _words(f"{english} {others}"))


_UNITS = (
    _unit(
        "miles?|mph",
        "Meilen? millas? milles migli[ao] mil[ae] mijlen? мил(?:я|и|ь|ю|ей|ям|ями|ях) milhas?",
    ),
    _unit("feet|foot|ft", "Fuß pies pieds? piedi? stóp stopy voet pés фут(?:а|ы|у|ов|ам|ах)?"),
    _unit("inch|inches", "Zoll pulgadas? pouces? pollici?o? cali cale polegadas? дюйм\\w*"),
    _unit("yards?", "Yards? yardas? verges? iarde? jard(?:y|ów|ami|ach)? jardas? ярд\\w*"),
    _unit("gallons?", "Gallonen? galones gallons? galloni? galon\\w* galões галлон\\w*"),
    _unit("ounces?|oz", "Unzen? onzas? onces? once oncia uncj\\w+ onças? унци\\w+"),
    _unit("fahrenheit", "Fahrenheita? фаренгейт\\w*", number=r"degrees? "),
    # Without a word of weight they may be money.
    _Unit(
        re.compile(
            rf"(?i)\b{_NUMBER}[- ]lbs?\b|\b(?:weigh\w*|gain\w*|lost|los\w+|heavy|lift\w*)\b.*"
            rf"\b{_NUMBER}[- ]pounds?\b|\b{_NUMBER}[- ]pounds? of\b"
        ),
        _words("lbs? pounds? Pfund libras? livres? libbre funt\\w* pond фунт\\w*"),
    ),
)
_IMPERIAL = frozenset({"en"})
"""Languages whose speakers know these units; British ones know most of them as well."""


def _expected(source_text: str, speaker: int | None, film: FilmContext) -> Address:
    """Return how a line's speaker addresses whoever is meant, where that is known."""
    who = next((one for one in film.characters if one.speaker == speaker), None)
    if speaker is None or who is None or who.address is Address.UNKNOWN:
        return Address.UNKNOWN
    if not who.except_to:
        return who.address
    if _names(source_text, who.except_to):
        other = {Address.FORMAL: Address.INFORMAL, Address.INFORMAL: Address.FORMAL}
        return other[who.address]
    return Address.UNKNOWN  # it may be said to one of those


def _names(text: str, names: Iterable[str]) -> bool:
    said = set(re.findall(r"\w+", text.casefold()))
    return any(said & set(re.findall(r"\w+", name.casefold())) for name in names)


def _wrong_address(
    answer: str, source_text: str, speaker: int | None, film: FilmContext, target: str
) -> str:
    register = _REGISTERS.get(target)
    expected = _expected(source_text, speaker, film)
    if register is None or expected is Address.UNKNOWN:
        return ""
    informal = bool(register.informal.search(answer))
    formal = bool(register.formal.search(answer))
    if informal == formal:
        return ""
    if formal and register.plural and _SEVERAL.search(source_text):
        return ""
    found = Address.FORMAL if formal else Address.INFORMAL
    if found is expected:
        return ""
    return (
        f"The speaker is {expected.value} to others, and this is {found.value}. Keep it only where "
        "several people are addressed, or somebody else is quoted."
    )


def _old_units(answer: str, source_text: str, target: str) -> str:
    if target in _IMPERIAL:
        return ""
    if not any(one.source.search(source_text) and one.kept.search(answer) for one in _UNITS):
        return ""
    return (
        "It has a unit that listeners do not use. Give the length, weight, volume or temperature "
        "in metric units, converted and rounded. Keep it only where it is money or an idiom."
    )
