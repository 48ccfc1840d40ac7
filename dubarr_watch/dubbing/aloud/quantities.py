"""Amounts in words: money, percentages, units, ordinals and plain numbers."""

from __future__ import annotations

import re

from dubarr_watch.dubbing.aloud.tongue import Tongue

NOT_WITHIN = r"(?<![\w.,])"
"""What a number may not stand right behind: B52 and version 1.2.3 are names."""

_SCALES = {"Mio.", "Mrd.", "tys.", "mln", "mld"}
_FRACTIONS = {"1/2": "½", "1/4": "¼", "3/4": "¾", "1/3": "⅓", "2/3": "⅔"}
_SIGNED = r"(?P<sign>(?:(?<=\s)|^)[-−–](?=\d))?"
_COUNTING = {"es", "pt", "it"}
_ORDINALS = {
    "en": r"(?P<n>\d+)(?P<m>st|nd|rd|th)\b",
    "es": r"(?P<n>\d+)\.?(?:(?P<f>ª|(?:ra|da)\b)|(?P<m>º|(?:er|ro|do)\b))",
    "pt": r"(?P<n>\d+)\.?(?:(?P<f>ª)|(?P<m>º|°(?!\s?[CF])))",
    "it": r"(?P<n>\d+)(?:(?P<f>ª)|(?P<m>º))",
    "fr": r"(?P<n>\d+)(?:(?P<f>re|ère)|(?P<m>er|e|ème|eme|nd|nde))\b",
}
_FEMININE = re.compile(r"(?<![imí])as$|ãs$|[^aeo]mas$")
_SHORT_ORDINALS = {"primero": "primer", "tercero": "tercer"}


def money(text: str, tongue: Tongue) -> str:
    """Say amounts of money, with what is written after the point as the smaller coin."""
    coins = tongue.words["money"]
    signs = "|".join(re.escape(sign) for sign in sorted(coins, key=len, reverse=True))
    scaled = [*tongue.words["scales"], *(one for one in tongue.words["units"] if one in _SCALES)]
    scales = "|".join(re.escape(word) for word in sorted(scaled, key=len, reverse=True))
    pattern = re.compile(
        rf"{NOT_WITHIN}(?:(?P<s1>{signs})\s?(?P<n1>{tongue.number})"
        rf"|(?P<n2>{tongue.number})(?:\s?(?P<k2>{scales}))?\s?(?P<s2>{signs})(?!\w))"
        rf"(?:[ -](?P<k1>{scales})(?!\w))?"
    )

    def said(found: re.Match[str]) -> str:
        number = found["n1"] or found["n2"]
        forms = coins[found["s1"] or found["s2"]]
        scale = found["k1"] or found["k2"]
        if scale:
            known = tongue.words["units"].get(scale)
            many = tongue.counted(number, known) if known else f"{tongue.said(number)} {scale}"
            of = " " if tongue.language in {"en", "de", "pl"} else tongue.words["of"]
            return f"{many}{of}{tongue.many(forms)}"
        whole, rest = tongue.taken_apart(number)
        if len(rest) != 2 or len(forms) < 4:
            return tongue.counted(number, forms)
        amount = tongue.counted(whole, forms)
        if rest == "00":
            return amount
        if tongue.language == "pl" or not forms[2]:
            return f"{amount}{tongue.words['cents']}{tongue.cardinal(int(rest))}"
        return f"{amount}{tongue.words['cents']}{tongue.counted(str(int(rest)), forms[2:])}"

    return pattern.sub(said, text)


def percent(text: str, tongue: Tongue) -> str:
    """Say percentages; a sign that stands alone too."""
    forms = tongue.words["percent"]

    def said(found: re.Match[str]) -> str:
        minus = f"{tongue.words['minus']} " if found["sign"] else ""
        return minus + tongue.counted(found["n"], forms if len(forms) > 1 else forms * 2)

    text = re.sub(rf"{_SIGNED}{NOT_WITHIN}(?P<n>{tongue.number})\s?%", said, text)
    return text.replace("%", f" {forms[0]} ")


def units(text: str, tongue: Tongue) -> str:
    """Say numbers with a unit; a unit that stands all alone is said in its plural."""
    known = tongue.words["units"]
    lone = known.get(text.strip(" .,;:!?"))
    if lone is not None and len(text.strip(" .,;:!?")) > 1:
        return tongue.many(lone)
    names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
    # "1980s" is a decade, and nobody writes seconds so close.
    pattern = (
        rf"{_SIGNED}{NOT_WITHIN}(?P<n>{tongue.number})"
        rf"(?:\s(?P<u2>s|h)|\s?(?!s\b)(?P<u>{names}))(?![\w²³/])"
    )

    def said(found: re.Match[str]) -> str:
        minus = f"{tongue.words['minus']} " if found["sign"] else ""
        unit = found["u"] or found["u2"]
        # The point of a shortened unit may end a sentence.
        end = "." if unit.endswith(".") and found.end() == len(text) else ""
        return minus + tongue.counted(found["n"], known[unit]) + end

    text = text.replace("km/std", "km/h").replace("kmh", "km/h").replace("˚", "°")
    text = re.sub(r"(?<=\d)(\s?)(k?c?m)([23])(?!\w)", _raised, text)
    return re.sub(pattern, said, text)


def _raised(found: re.Match[str]) -> str:
    return f"{found[1]}{found[2]}{'²' if found[3] == '2' else '³'}"


def fractions(text: str, tongue: Tongue) -> str:
    """Say halves, thirds and quarters, alone and behind a number."""
    text = re.sub(r"(?<![\w/])(1/[234]|2/3|3/4)(?![\w/])", lambda found: _FRACTIONS[found[1]], text)
    for sign, words in tongue.words["fractions"].items():
        both = rf"(?<!\w)(\d+)\s?{sign}"
        joined = f" {tongue.words['and']} "
        text = re.sub(both, rf"\1{joined}{words}", text).replace(sign, f" {words} ")
    return text


def ordinals(text: str, tongue: Tongue) -> str:
    """Say ordinals that are written with a figure and an ending."""
    pattern = _ORDINALS.get(tongue.language)
    if tongue.language == "de":
        return _german_ordinals(text, tongue)
    if pattern is None:
        return text

    def said(found: re.Match[str]) -> str:
        feminine = bool(found.groupdict().get("f"))
        words = tongue.ordinal(int(found["n"]), feminine=feminine)
        # Before a noun, as the ending -er says.
        if tongue.language == "es" and found[0].endswith("er"):
            words = _SHORT_ORDINALS.get(words, words)
        return words

    return re.sub(rf"{NOT_WITHIN}{pattern}", said, text)


def _german_ordinals(text: str, tongue: Tongue) -> str:
    """Say "3. Mal" and the like; a point after a number may as well end a sentence."""
    nouns = "|".join([*tongue.words["counted"], *tongue.words["months"]])

    def said(found: re.Match[str]) -> str:
        before = text[: found.start()].rsplit(maxsplit=1)[-1:]
        return german_ordinal(int(found[1]), before[0] if before else "", tongue)

    return re.sub(rf"{NOT_WITHIN}(\d{{1,3}})\.(?= (?:{nouns})(?!\w))", said, text)


def german_ordinal(value: int, before: str, tongue: Tongue) -> str:
    """Return an ordinal with the ending that the word before it asks for."""
    word = before.casefold().strip("„\"'(")
    weak = {"am", "vom", "zum", "dem", "den", "des", "im", "beim", "einem", "einen", "seinem",
            "ihrem", "meinem", "seinen", "ihren", "meinen"}  # fmt: skip
    articles = {"der", "die", "das", "eine", "seine", "ihre", "meine"}
    ending = "n" if word in weak else "" if word in articles else "s" if word == "ein" else "r"
    return tongue.ordinal(value) + ending


def digit_strings(text: str, tongue: Tongue) -> str:
    """Say telephone numbers and codes digit by digit; in French in pairs."""

    def said(found: re.Match[str]) -> str:
        groups = re.findall(r"\d+", found[0])
        plus = "plus " if found[0].startswith("+") else ""
        return plus + ", ".join(_group(group, tongue) for group in groups)

    phone = (
        r"\+\d[\d ().-]{5,}\d|(?:\(\d{2,5}\)|\d{2,5})(?:[ .-]\d{2,4}){3,}|\d{3}-\d{3}-\d{4}"
        r"|\d{3}-\d{4}|\(\d{2,4}\) ?\d{3,}[\d -]*\d|\b0\d{2,4}[ /-]\d{3,}(?:[ -]\d{2,})*"
    )
    text = re.sub(rf"(?<![\w.,-])(?:{phone})(?![\w-]|[.,]\d)", said, text)
    # A zero in front, or many digits without an end in zeros, is no amount.
    return re.sub(rf"(?<!\d[\s:]){NOT_WITHIN}(?:0\d+|\d{{7,}}(?<!000))(?![\w]|[.,]\d)", said, text)


def _group(digits: str, tongue: Tongue) -> str:
    if tongue.language == "fr" and len(digits) == 2 and digits[0] != "0":
        return tongue.cardinal(int(digits))
    return tongue.digits(digits)


def plain_numbers(text: str, tongue: Tongue) -> str:
    """Say whatever numbers are left."""

    def said(found: re.Match[str]) -> str:
        after = re.match(r"\s([^\W\d_]+)", text[found.end() :])
        counting = tongue.language in _COUNTING and after is not None
        feminine = bool(counting and after and _FEMININE.search(after[1]))
        minus = f"{tongue.words['minus']} " if found["sign"] else ""
        return minus + tongue.said(found["n"], counting=counting, feminine=feminine)

    return re.sub(rf"{_SIGNED}{NOT_WITHIN}(?P<n>{tongue.number})(?!\w)", said, text)
