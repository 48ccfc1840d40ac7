"""Translations that are none too good: another way of address, units that nobody uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from dubarr_watch.engines.llm.objections import objection
from dubarr_watch.engines.texts import Address, Character, FilmContext, ShortenRequest
from tests.engines.llm.conftest import Ask
from tests.engines.llm.samples import request
from tests.services.openai_server import OpenAIServer

FORMAL, INFORMAL = 0, 1
FILM = FilmContext(
    "A doctor and her patient.",
    (
        Character("Dr. Roy", "female", FORMAL, "", Address.FORMAL),
        Character("Tom", "male", INFORMAL, "", Address.INFORMAL),
        Character("Ann", "female", 2, "", Address.FORMAL, ("Tom",)),
        Character("The captain", "male", 3),
    ),
)
LINE = "Where have you been?"

ADDRESSES = {
    "de": ("Wo warst du?", "Wo waren Sie denn?"),
    "es": ("¿Y tú dónde estabas?", "¿Dónde estaba usted?"),
    "fr": ("Où est-ce que tu étais ?", "Où étiez-vous ?"),
    "it": ("E tu dov'eri?", "Ma dov'era Lei?"),
    "nl": ("Waar was jij?", "Waar was u?"),
    "pl": ("A ty gdzie byłaś?", "Gdzie pan był?"),
    "pt": ("Onde é que tu estavas?", "Onde é que o senhor estava?"),
    "ru": ("Где ты был?", "Где вы были?"),
}


def objected(answer: str, speaker: int, target: str = "de", said: str = LINE) -> bool:
    return bool(objection(answer, said, speaker, FILM, target))


class TestAddress:
    @pytest.mark.parametrize("target", ADDRESSES)
    def test_the_other_way_of_address_is_objected_to(self, target: str) -> None:
        informal, formal = ADDRESSES[target]
        assert objected(informal, FORMAL, target)
        assert objected(formal, INFORMAL, target)
        assert not objected(formal, FORMAL, target)
        assert not objected(informal, INFORMAL, target)

    @pytest.mark.parametrize(
        ("answer", "target"),
        [
            ("Sie kommt morgen.", "de"),  # she, at the start of a sentence
            ("Ich weiß, sie kommt.", "de"),
            ("Komm rein.", "de"),  # nobody is named by a pronoun
            ("Pan Kowalski już idzie.", "pl"),  # of somebody, not to him
            ("Lei non viene.", "it"),
            ("Der Duft ist gut.", "de"),
        ],
    )
    def test_what_is_no_address_is_none(self, answer: str, target: str) -> None:
        assert not objected(answer, INFORMAL, target)
        assert not objected(answer, FORMAL, target)

    def test_several_people_are_addressed_formally_where_the_word_is_one(self) -> None:
        assert not objected("Où étiez-vous tous ?", INFORMAL, "fr", said="Where were you all?")
        assert objected("Où étiez-vous ?", INFORMAL, "fr")

    def test_who_makes_exceptions_is_judged_where_one_is_named(self) -> None:
        assert not objected("Wo warst du?", 2)  # it may be Tom
        assert not objected("Wo waren Sie denn?", 2)
        assert objected("Tom, wo waren Sie denn?", 2, said="Tom, where have you been?")

    def test_nothing_is_known_of_others(self) -> None:
        assert not objected("Wo warst du?", 3)
        assert not objected("Wo warst du?", 7)
        assert not objected("Var har du varit?", FORMAL, "sv")


class TestUnits:
    @pytest.mark.parametrize(
        ("said", "kept", "converted", "target"),
        [
            ("It is five miles away.", "Es sind fünf Meilen.", "Es sind acht Kilometer.", "de"),
            ("It is 5 miles away.", "Está a 5 miles.", "Está a ocho kilómetros.", "es"),
            (
                "He is a six-foot man.",
                "Il fait six pieds.",
                "Il fait un mètre quatre-vingts.",
                "fr",
            ),
            ("Ten inches of rain.", "Dziesięć cali deszczu.", "Ćwierć metra deszczu.", "pl"),
            ("It has twenty gallons.", "Ne ha venti galloni.", "Ne ha settanta litri.", "it"),
            ("A hundred degrees Fahrenheit.", "Hundert Fahrenheit.", "38 Grad.", "de"),
            ("I weigh 200 pounds.", "Ich wiege 200 Pfund.", "Ich wiege 90 Kilo.", "de"),
            ("Sixty miles, you see.", "Шестьдесят миль.", "Сто километров.", "ru"),
        ],
    )
    def test_a_unit_that_nobody_uses_is_objected_to(
        self, said: str, kept: str, converted: str, target: str
    ) -> None:
        assert "metric" in objection(kept, said, None, FILM, target)
        assert objection(converted, said, None, FILM, target) == ""

    @pytest.mark.parametrize(
        ("said", "answer", "target"),
        [
            ("It is five miles away.", "It is five miles away.", "en"),
            ("You owe me ten pounds.", "Du schuldest mir zehn Pfund.", "de"),  # money
            ("Give him an inch.", "Keinen Zoll breit!", "de"),  # an idiom, without a number
            ("My feet hurt.", "Me duelen los pies.", "es"),
            ("We walked sixty miles and feet.", "Мы любим футбол и милицию.", "ru"),
        ],
    )
    def test_what_is_no_measure_is_left(self, said: str, answer: str, target: str) -> None:
        assert objection(answer, said, None, FILM, target) == ""


def speaks(first: Mapping[str, str], second: Mapping[str, str]) -> OpenAIServer:
    """Answer lines by their text, differently once something was wrong with the answer."""

    def answer(data: Mapping[str, Any]) -> object:
        return {
            key: (second if "refused" in line else first)[line["text"]]
            for key, line in data["lines"].items()
        }

    return OpenAIServer(answer=answer)


class TestAskedAgain:
    LINES = ("Where have you been, then?", "I walked five miles to be here.")

    def test_the_wrong_ones_once_with_the_reason(self, asking: Ask) -> None:
        first = dict(zip(self.LINES, ("Wo warst du denn?", "Ich ging fünf Meilen."), strict=True))
        second = {self.LINES[0]: "Wo waren Sie denn?", self.LINES[1]: "Ich ging acht Kilometer."}
        translator, server = asking(server=speaks(first, second))
        found = translator.translate(request(*self.LINES, target="de", film=FILM))
        assert list(found.values()) == list(second.values())
        _, again = server.asked
        lines = list(again.data["lines"].values())
        assert [line["refused"] for line in lines] == list(first.values())
        assert "formal to others" in lines[0]["because"]
        assert "metric units" in lines[1]["because"]
        assert "`refused`" in again.rules
        assert "`refused`" not in server.asked[0].rules

    def test_only_the_wrong_ones(self, asking: Ask) -> None:
        first = dict(zip(self.LINES, ("Wo waren Sie denn?", "Ich ging fünf Meilen."), strict=True))
        second = {self.LINES[1]: "Acht Kilometer ging ich."}
        translator, server = asking(server=speaks(first, second))
        translator.translate(request(*self.LINES, target="de", film=FILM))
        assert [asked.texts for asked in server.asked] == [list(self.LINES), [self.LINES[1]]]

    def test_what_is_no_better_stays_as_it_was(self, asking: Ask) -> None:
        """It is a translation; a line is never lost for its tone."""
        first = {self.LINES[0]: "Wo warst du denn?"}
        translator, server = asking(server=speaks(first, {self.LINES[0]: "Und wo warst du?"}))
        found = translator.translate(request(self.LINES[0], target="de", film=FILM))
        assert list(found.values()) == ["Wo warst du denn?"]
        assert len(server.asked) == 2

    def test_a_good_answer_costs_nothing_more(self, asking: Ask) -> None:
        translator, server = asking()
        translator.translate(request(*self.LINES, target="es", film=FILM))
        assert len(server.asked) == 1

    def test_a_shorter_wording_keeps_the_way_of_address(self, asking: Ask) -> None:
        def answer(data: Mapping[str, Any]) -> object:
            said = ("Wo warst du?", "Und wo waren Sie?", "Wo denn, wo waren Sie?")
            return {key: said[n % 3] for n, key in enumerate(data["lines"])}

        translator, _ = asking(server=OpenAIServer(answer=answer))
        long = ShortenRequest(1, LINE, "Wo um alles in der Welt waren Sie denn nur?", 20, FORMAL)
        (wordings,) = translator.shorten("de", [long], film=FILM).values()
        assert "Und wo waren Sie?" in wordings
        assert "Wo warst du?" not in wordings
