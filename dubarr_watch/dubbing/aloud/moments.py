"""Dates, times and years in words."""

from __future__ import annotations

import re

from dubarr_watch.dubbing.aloud import polish
from dubarr_watch.dubbing.aloud.quantities import NOT_WITHIN, german_ordinal
from dubarr_watch.dubbing.aloud.tongue import Tongue

_FIRST_YEAR, _LAST_YEAR = 1100, 2099
_YEAR = r"(?:1[1-9]|20)\d\d"
_DAY_OF = {"es": " de ", "pt": " de "}
_FIRST = {"fr": "premier", "it": "primo", "pt": "primeiro"}
_EVENING = r"(?:\s?(?P<half>[AaPp])\.?\s?[Mm]\.?(?!\w))?"


def dates(text: str, tongue: Tongue) -> str:
    """Say dates, in figures or with the month's name."""
    text = re.sub(
        rf"{NOT_WITHIN}(?P<y>{_YEAR})-(?P<m>\d\d)-(?P<d>\d\d)(?!\d)",
        lambda found: _date(found, tongue, text), text,
    )  # fmt: skip
    text = re.sub(
        rf"{NOT_WITHIN}(?P<d>\d{{1,2}})(?P<mark>[./-])\s?(?P<m>\d{{1,2}})(?P=mark)\s?(?P<y>\d{{4}})(?!\d)",
        lambda found: _date(found, tongue, text), text,
    )  # fmt: skip
    names = "|".join(tongue.words["months"])
    text = re.sub(
        rf"{NOT_WITHIN}(?P<d>\d{{1,2}})(?:st|nd|rd|th|er|º|\.)?(?: (?:de|of))? (?P<name>{names})"
        rf"(?:,?(?: de)? (?P<y>{_YEAR})(?!\d))?(?!\w)",
        lambda found: _date(found, tongue, text), text, flags=re.IGNORECASE,
    )  # fmt: skip
    if tongue.language == "pl":
        text = re.sub(r"\broku r\.(?=(\s*$)?)", lambda f: "roku" if f[1] is None else "roku.", text)
    if tongue.language == "en":
        text = re.sub(
            rf"(?P<name>{names}) (?P<d>\d{{1,2}})(?:st|nd|rd|th)?"
            rf"(?:,? (?P<y>{_YEAR})(?!\d))?(?![\w.,]*\d|:)",
            lambda found: _date(found, tongue, text), text,
        )  # fmt: skip
    return text


def _date(found: re.Match[str], tongue: Tongue, text: str) -> str:
    parts = found.groupdict()
    day, name = int(parts["d"]), parts.get("name")
    month = int(parts["m"]) if parts.get("m") else 0
    # Americans, and translators who learned from them, put the month first.
    if tongue.language == "en" and parts.get("mark") == "/" and month <= 31 and day <= 12:
        day, month = month, day
    if not 1 <= day <= 31 or (month and not month <= 12) or (not name and not month):
        return found[0]
    named = name or tongue.words["months"][month - 1]
    before = text[: found.start()].rsplit(maxsplit=1)[-1:]
    said = _day(day, before[0] if before else "", tongue)
    between = _DAY_OF.get(tongue.language, " ")
    if tongue.language == "en":
        american = bool(name) and found[0].startswith(name or " ")
        said, between = (f"{named} {said}", "") if american else (f"the {said} of {named}", "")
        named = ""
    year = _year_of_date(int(parts["y"]), tongue) if parts.get("y") else ""
    return f"{said}{between}{named}{year}"


def _day(day: int, before: str, tongue: Tongue) -> str:
    if tongue.language == "en":
        return tongue.ordinal(day)
    if tongue.language == "de":
        return german_ordinal(day, before, tongue)
    if tongue.language == "pl":
        return polish.ordinal(day, "genitive", tongue.cardinal)
    if day == 1 and tongue.language in _FIRST:
        return _FIRST[tongue.language]
    return tongue.cardinal(day)


def _year_of_date(year: int, tongue: Tongue) -> str:
    if tongue.language == "pl":
        return f" {polish.ordinal(year, 'genitive', tongue.cardinal)} roku"
    mark = ", " if tongue.language == "en" else _DAY_OF.get(tongue.language, " ")
    return f"{mark}{tongue.year(year)}"


def times(text: str, tongue: Tongue) -> str:
    """Say times of day."""
    marks = {"de": "[:.]", "fr": r"(?:\s?h\s?|:)", "pt": "[:h]", "it": ":", "pl": "[:.]"}
    mark = marks.get(tongue.language, ":")
    oclock = {"de": r"\s?Uhr(?!\w)", "fr": r"(?:\s?h(?:eures?)?)?(?!\w)"}.get(tongue.language, "")
    if tongue.language == "pl":
        # 8.30 is a time of day only where somebody says when.
        mark = r"(?:(?<=\bo \d)[.:]|(?<=\bo \d\d)[.:]|:)"
    pattern = rf"{NOT_WITHIN}(?P<h>[01]?\d|2[0-4]){mark}(?P<m>[0-5]\d)(?![\d:])"
    if tongue.language == "de":
        text = re.sub(rf"{pattern}{oclock}", lambda found: _time(found, tongue, text), text)
        pattern = pattern.replace("[:.]", ":")
    text = re.sub(pattern + _EVENING, lambda found: _time(found, tongue, text), text)
    if tongue.language == "en":
        text = re.sub(
            rf"{NOT_WITHIN}(?P<h>1[0-2]|[1-9])\s?(?P<half>[AaPp])\.?\s?[Mm]\b\.?",
            lambda found: _time(found, tongue, text), text,
        )  # fmt: skip
    return text


def _time(found: re.Match[str], tongue: Tongue, text: str) -> str:
    parts = found.groupdict()
    hour, minute = int(parts["h"]), int(parts.get("m") or 0)
    code, half = tongue.language, parts.get("half")
    if code == "en":
        return _english_time(hour, minute, half, tongue)
    minutes = tongue.cardinal(minute) if minute else ""
    if code == "de":
        hours = "ein" if hour == 1 else tongue.cardinal(hour)
        return f"{hours} Uhr {minutes}".strip()
    if code == "fr":
        return f"{tongue.counted(str(hour), ['f heure', 'heures'])} {minutes}".strip()
    if code == "pl":
        at = re.search(r"\b(?:[oO]|od|po|około)\s$", text[: found.start()])
        case = "f locative" if at else "f"
        hours = polish.ordinal(hour, case, tongue.cardinal) if hour else "zero"
        return f"{hours} {minutes}".strip()
    hours = tongue.cardinal(hour, counting=True, feminine=True)
    if code == "it":
        hours = "una" if hour == 1 else tongue.cardinal(hour)
    return f"{hours} {tongue.words['and']} {minutes}" if minutes else hours


def _english_time(hour: int, minute: int, half: str | None, tongue: Tongue) -> str:
    words = [tongue.cardinal(hour)]
    if minute:
        words += [*(["oh"] if minute < 10 else []), tongue.cardinal(minute)]
    if half:
        words += [half.upper(), "M"]
    elif not minute:
        words.append("o'clock" if hour <= 12 else "hundred")
    return " ".join(words)


def ranges(text: str, tongue: Tongue) -> str:
    """Say "5-10" as from one to the other, years among them."""

    def said(found: re.Match[str]) -> str:
        first, last = found[1], found[2]
        if not int(re.sub(r"\D", "", first)) < int(re.sub(r"\D", "", last)):
            return f"{first} {last}"
        if re.fullmatch(_YEAR, first) and re.fullmatch(_YEAR, last):
            first, last = tongue.year(int(first)), tongue.year(int(last))
        return f"{first} {tongue.words['to']} {last}"

    return re.sub(
        rf"(?<![\w.,-])({tongue.number})\s?[-–]\s?({tongue.number})(?![\w-]*\d)", said, text
    )


def years(text: str, tongue: Tongue) -> str:
    """Say years where a language has words of its own for them."""
    if tongue.language == "pl":
        return _polish_years(text, tongue)
    if tongue.language == "en":
        text = re.sub(rf"{NOT_WITHIN}(\d{{3}})0['’]?s(?!\w)", lambda f: _decade(f, tongue), text)
        text = re.sub(r"(?<!\w)['’]?([2-9])0['’]?s(?!\w)", lambda f: _decade(f, tongue), text)
    after = tongue.words.get("year_after")
    if not after:
        return text

    def said(found: re.Match[str]) -> str:
        before = re.findall(r"[^\W\d_]+", text[: found.start()])
        follows = text[found.end() :].lstrip(" ")[:1]
        of_year = bool(before) and before[-1].casefold() in after
        alone = not follows or follows in '.,;:!?…)"”'
        return tongue.year(int(found[0])) if of_year or alone else found[0]

    return re.sub(rf"{NOT_WITHIN}{_YEAR}(?![\w%]|[.,]\d)", said, text)


def _decade(found: re.Match[str], tongue: Tongue) -> str:
    if len(found[1]) == 3:
        century = tongue.year(int(f"{found[1]}0"))
        if found[1].endswith("00"):
            return f"{century}s"
        return re.sub(r"y$", "ies", century) if century.endswith("y") else f"{century}s"
    return re.sub(r"y$", "ies", tongue.cardinal(int(found[1]) * 10))


def _polish_years(text: str, tongue: Tongue) -> str:
    def said(found: re.Match[str]) -> str:
        if found["before"]:
            return f"{found['before']} {polish.ordinal(int(found['y']), 'm', tongue.cardinal)}"
        inside = re.search(r"\b[wW]\s$", text[: found.start()])
        case = "locative" if inside else "genitive"
        end = "." if found["r"] == "r." and found.end() == len(text) else ""
        return f"{polish.ordinal(int(found['y']), case, tongue.cardinal)} roku{end}"

    text = re.sub(rf"{NOT_WITHIN}(?P<before>)(?P<y>{_YEAR}) ?(?P<r>r\.|roku\b)", said, text)
    return re.sub(rf"\b(?P<before>rok) (?P<y>{_YEAR})(?P<r>)(?!\w)", said, text)
