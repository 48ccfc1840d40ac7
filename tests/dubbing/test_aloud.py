"""What is written in figures and signs, as it is spoken."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubarr_watch.dubbing.aloud import spoken_form
from dubarr_watch.dubbing.aloud.tongue import tongue

LANGUAGES = ("de", "en", "es", "fr", "it", "pl", "pt")

TABLE = [
    line.split("\t")
    for line in Path(__file__).with_name("aloud.tsv").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
]


@pytest.mark.parametrize(("language", "written", "spoken"), TABLE)
def test_it_is_said_in_words(language: str, written: str, spoken: str) -> None:
    assert spoken_form(written, language) == spoken


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("text", ["", "...", "R2D2", "I mix IV.", "MI6", "a/b", "A Roma, sì."])
def test_what_is_no_number_stays(language: str, text: str) -> None:
    assert spoken_form(text, language) == text


def test_a_language_that_is_not_known_is_left_to_its_voice() -> None:
    assert spoken_form("5 km", "xx") == "5 km"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_every_list(language: str) -> None:
    known, english = tongue(language), tongue("en")
    assert known
    assert english
    for name, value in english.words.items():
        if name in {"units", "fractions"} and language != "fr":
            assert value.keys() <= known.words[name].keys()
        elif name != "year_after":
            assert known.words[name]
    assert len(known.words["months"]) == 12
    forms = 4 if language == "pl" else 2
    assert {len(one) for one in known.words["units"].values()} == {forms}


@pytest.mark.parametrize("language", LANGUAGES)
@settings(deadline=None, max_examples=60)
@given(text=st.text("0123456789.,:-–/ %$€kmh°CIVX'ªºer()+&", max_size=40))
def test_nothing_breaks_it(language: str, text: str) -> None:
    """Whatever stands there, words come out, and the same again of what came out."""
    once = spoken_form(text, language)
    assert isinstance(once, str)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_hostile_text_takes_no_time(language: str) -> None:
    started = time.process_time()
    for text in ("1." * 3000, "1 " * 3000, "1-" * 3000, "0 " * 3000, "X" * 6000, "1,000" * 1200):
        spoken_form(text, language)
    assert time.process_time() - started < 5


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_number_leaves_no_figure(language: str) -> None:
    for value in (*range(120), 999, 1001, 1999, 20_000, 100_000, 1_000_000, 2_500_000):
        assert not re.search(r"\d", spoken_form(str(value), language))
