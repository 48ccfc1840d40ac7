from __future__ import annotations

import hashlib

import pytest

from dubarr_watch.engines.translation_checks import acceptable, cleaned, told_apart


def fit(answer: str, source: str, target: str = "es") -> bool:
    return acceptable(answer, source, target=target, max_chars=80)


@pytest.mark.parametrize(
    ("answer", "source", "text"),
    [
        ('"Hola, amigo."', "Hello, friend.", "Hola, amigo."),
        ("Hola,\n amigo.", "Hello, friend.", "Hola, amigo."),
        ("Hola (informal).", "Hello.", "Hola."),
        ("Hola (dijo ella).", "Hello (she said).", "Hola (dijo ella)."),
        ("Translation: Hola.", "Hello.", "Hola."),
        ("2. Hola.", "Hello.", "Hola."),
        ("1984 fue un buen año.", "1984 was a good year.", "1984 fue un buen año."),
        ("**Hola**", "Hello", "Hola"),
    ],
)
def test_wrapping_is_taken_off(answer: str, source: str, text: str) -> None:
    """Quotes, labels, notes and markup go, unless the source has them too."""
    assert cleaned(answer, source) == text


def test_the_source_is_no_translation() -> None:
    """Not with other punctuation either, and not with a word or two changed."""
    source = "Nobody has seen him since the war."
    assert not fit(source, source)
    assert not fit("nobody has seen him since the war", source)
    assert not fit("Nobody has seen him desde the war.", source)
    assert fit("Nadie lo ha visto desde la guerra.", source)


@pytest.mark.parametrize("same", ["No.", "Hotel California", "Sarah Connor, John Connor", "Taxi!"])
def test_names_and_cognates_may_stay(same: str) -> None:
    """One or two words, or names alone, can be the same in two languages."""
    assert fit(same, same)


def test_an_answer_of_absurd_length_is_refused() -> None:
    """Up to three times the budget is only long; beyond that it is something else."""
    letters = "".join(hashlib.sha512(bytes([n])).hexdigest() for n in range(3))
    assert fit(letters[:260], "Short.")
    assert not fit(letters[:261], "Short.")


def test_a_loop_is_refused() -> None:
    """A phrase again and again is a model that lost its way."""
    assert not fit("y luego y luego " * 8, "And then we went home, all of us together, at last.")


def test_another_script_is_refused() -> None:
    """A language is written in its own letters."""
    assert not fit("Hello there", "Hello there, friend", "ru")
    assert fit("Привет, друг", "Hello there, friend", "ru")
    assert not fit("Привет, друг", "Hello there, friend", "es")
    assert fit("你好，朋友", "Hello there, friend", "zh")


def test_an_answer_without_words_is_refused() -> None:
    """Dots are no translation of a sentence."""
    assert not fit("...", "Are you there?")
    assert fit("42", "42")


def test_an_answer_given_twice_belongs_to_nobody() -> None:
    """Different texts with one answer are both asked again; repeated texts may repeat."""
    answers = {1: "Sí.", 2: "Hace calor.", 3: "¡Hace calor!", 4: "No.", 5: "No."}
    sources = {1: "Yes.", 2: "It is warm.", 3: "Why does that matter?", 4: "No.", 5: "No!"}
    assert told_apart(answers, sources) == {1: "Sí.", 4: "No.", 5: "No."}
