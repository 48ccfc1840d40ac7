"""Names kept alike where no model has understood the film."""

from __future__ import annotations

import pytest

from dubarr_watch.dubbing.names import names_alike
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.translation import Origin, TranslatedLine
from dubarr_watch.engines.texts import Term

SAID = [
    ("I met Tirion in the hall.", "Conocí a Tirion en la sala."),
    ("Then my old friend Tirion left.", "Luego mi viejo amigo Tirion se fue."),
    ("Where is Tirion now?", "¿Dónde está Tyrion ahora?"),
]


def alike(
    said: list[tuple[str, str]], source: str = "en", decided: frozenset[str] = frozenset()
) -> tuple[list[str], list[Term]]:
    lines = [Line(n, n * 3.0, n * 3.0 + 2, 0, text, n) for n, (text, _) in enumerate(said)]
    told = [TranslatedLine(n, text, Origin.MODEL) for n, (_, text) in enumerate(said)]
    wording, terms = names_alike(lines, told, source, decided)
    return [one.text for one in wording], terms


def test_a_name_that_most_lines_keep_is_decided_and_the_odd_one_put_right() -> None:
    texts, terms = alike(SAID)
    assert texts[2] == "¿Dónde está Tirion ahora?"
    assert terms == [Term("Tirion", "Tirion")]


def test_a_name_that_was_decided_before_is_put_right_at_once() -> None:
    texts, terms = alike(SAID[2:], decided=frozenset({"Tirion"}))
    assert texts == ["¿Dónde está Tirion ahora?"]
    assert terms == []


@pytest.mark.parametrize(
    "said",
    [
        [("I met Tirion.", "Conocí a Tirion."), ("Where is Tirion?", "¿Dónde está Tyrion?")],
        [("We went to London.", "Fuimos a Londres."), ("I like London.", "Me gusta Londres."),
         ("Good old London.", "El viejo London.")],
        [("Come. Stop that.", "Ven. Stop."), ("Please. Stop it.", "Stop, por favor.")],
    ],
)  # fmt: skip
def test_what_few_lines_keep_is_none(said: list[tuple[str, str]]) -> None:
    """Once is no rule; London is Londres; a capital at the start of a sentence is no name."""
    texts, terms = alike(said)
    assert texts == [text for _, text in said]
    assert terms == []


def test_a_line_that_does_without_the_name_stays() -> None:
    """And another name that is nearly the same is another person where the line has both."""
    said = [*SAID[:2], ("Then Tirion said it.", "Entonces lo dijo."),
            ("There Tirion saw Tyrion.", "Allí vio a Tyrion.")]  # fmt: skip
    texts, _ = alike(said)
    assert texts[2:] == ["Entonces lo dijo.", "Allí vio a Tyrion."]


def test_german_capitals_tell_nothing() -> None:
    assert alike(SAID, source="de") == ([text for _, text in SAID], [])
