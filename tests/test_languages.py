"""Languages: what people write, what files carry, what a typo may have meant."""

from __future__ import annotations

import pycountry
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubarr_watch.errors import ExitCode, UnknownLanguage
from dubarr_watch.languages import (
    Language,
    nearest_languages,
    parse_language,
    parse_languages,
    same_language,
)

TWO_LETTERS = [entry for entry in pycountry.languages if hasattr(entry, "alpha_2")]


@pytest.mark.parametrize(
    ("word", "code", "name", "inside"),
    [
        ("en", "en", "English", "eng"),
        ("en-US", "en", "English", "eng"),
        ("de", "de", "German", "ger"),
        ("deu", "de", "German", "ger"),
        ("ger", "de", "German", "ger"),
        ("de-DE", "de", "German", "ger"),
        ("de_AT", "de", "German", "ger"),
        (" GERMAN ", "de", "German", "ger"),
        ("pl", "pl", "Polish", "pol"),
        ("hu", "hu", "Hungarian", "hun"),
        ("pt-BR", "pt", "Portuguese", "por"),
        ("zh-Hans-CN", "zh", "Chinese", "chi"),
        ("zho", "zh", "Chinese", "chi"),
        ("Mandarin", "zh", "Chinese", "chi"),
        ("Castilian", "es", "Spanish", "spa"),
        ("Greek", "el", "Greek", "gre"),
        ("ell", "el", "Greek", "gre"),
        ("Farsi", "fa", "Persian", "per"),
        ("Norwegian Bokmål", "nb", "Norwegian Bokmål", "nob"),
        ("iw", "he", "Hebrew", "heb"),
        ("Slovene", "sl", "Slovenian", "slv"),
        ("fil", "fil", "Filipino", "fil"),
        ("Klingon", "tlh", "Klingon", "tlh"),
    ],
)
def test_what_people_write(word: str, code: str, name: str, inside: str) -> None:
    """Codes of two and three letters, regions, names and everyday names; in any case."""
    assert parse_language(word) == Language(code, name, inside)
    assert parse_language(word.upper()) == parse_language(word.lower())


@pytest.mark.parametrize("code", ["de", "fr", "cs", "nl", "zh", "el", "fa", "ro", "sk", "is"])
def test_the_inside_of_a_file_takes_the_bibliographic_code(code: str) -> None:
    """Where ISO 639-2 has two codes, containers take the one from libraries."""
    language = parse_language(code)
    entry = pycountry.languages.get(alpha_2=code)
    assert language.iso639_2 == getattr(entry, "bibliographic", None)
    assert parse_language(language.iso639_2) == language


def test_every_code_of_two_letters_means_its_own_language() -> None:
    """Rare languages are named En, Hu and Ko; English, Hungarian and Korean come first.

    What is written into a file or its name is read back as the same language.
    """
    for entry in TWO_LETTERS:
        language = parse_language(entry.alpha_2)
        assert language.code == entry.alpha_2
        assert parse_language(language.iso639_2) == language
        assert parse_language(entry.alpha_3) == language


def test_the_title_of_a_track_names_the_language() -> None:
    """As players show it."""
    assert parse_language("pl").track_title == "Polish (AI dub)"


@pytest.mark.parametrize(
    "word", ["", " ", "-", "_", "l", "I", "S", "s", "und", "mul", "mis", "zxx"]
)
def test_what_names_no_language(word: str) -> None:
    """Nothing, single letters, and codes for `none`, `many` and `unknown`."""
    with pytest.raises(UnknownLanguage):
        parse_language(word)


@pytest.mark.parametrize(
    ("typo", "meant"),
    [
        ("germn", "German (de)"),
        ("Spansh", "Spanish (es)"),
        ("polnish", "Polish (pl)"),
        ("frensh", "French (fr)"),
    ],
)
def test_a_typo_is_answered_with_what_was_meant(typo: str, meant: str) -> None:
    """The bad word is named, and the nearest known one comes first."""
    with pytest.raises(UnknownLanguage) as error:
        parse_language(typo)
    assert error.value.message == f"'{typo}' is not a language I know."
    assert error.value.hint.startswith(f"Did you mean {meant}")
    assert error.value.exit_code is ExitCode.WRONG_USAGE
    assert nearest_languages(typo)[0] == meant


def test_a_word_like_no_other_is_answered_with_an_example() -> None:
    """There is always a way out."""
    assert nearest_languages("qqqqqqqq") == []
    with pytest.raises(UnknownLanguage, match="Use a code such as de"):
        parse_language("qqqqqqqq")
    assert len(nearest_languages("an", count=2)) == 2


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("", []),
        (" ,;\n+ ", []),
        ("de", ["de"]),
        ("de,fr;es+it\npl", ["de", "fr", "es", "it", "pl"]),
        ("de fr\tes", ["de", "fr", "es"]),
        ("fr, de, French, fra fr-CA", ["fr", "de"]),
        ("Western Frisian, German Polish", ["fy", "de", "pl"]),
    ],
)
def test_lists_of_languages(text: str, codes: list[str]) -> None:
    """Any separator, order kept, repeats dropped, names of several words between commas."""
    assert [language.code for language in parse_languages(text)] == codes


def test_one_bad_word_fails_the_list() -> None:
    """Nothing is left out in silence."""
    with pytest.raises(UnknownLanguage, match="'klingonn'"):
        parse_languages("de, klingonn, fr")


@pytest.mark.parametrize(
    ("tag", "code", "same"),
    [
        ("ger", "de", True),
        ("deu", "de", True),
        ("de-CH", "de", True),
        ("nob", "no", True),
        ("nno", "no", True),
        ("cmn", "zh", True),
        ("eng", "de", False),
        ("yue", "zh", False),
        ("", "de", False),
        (None, "de", False),
        ("und", "de", False),
        ("xyz123", "de", False),
    ],
)
def test_what_a_file_s_tag_means(tag: str | None, code: str, same: bool) -> None:
    """Any form of the code counts; a tag that says nothing is no language."""
    assert same_language(tag, parse_language(code)) is same


@settings(deadline=None)
@given(st.text(max_size=40))
def test_any_text_is_a_language_or_an_error_that_says_so(text: str) -> None:
    """Nothing that a marker can hold raises anything else."""
    try:
        found = parse_language(text)
    except UnknownLanguage:
        return
    assert len(found.code) in (2, 3)
    assert len(found.iso639_2) == 3
