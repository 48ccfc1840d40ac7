"""What a model answers beside or instead of a translation is never said."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from dubarr_watch.dubbing.durations import Law
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.translation import Origin, translate_lines
from dubarr_watch.engines.base import Translator
from dubarr_watch.engines.context import EngineContext
from dubarr_watch.engines.llm.api import ApiTranslator
from dubarr_watch.engines.llm.chat import Patience
from tests.engines.test_openai_translator import Service
from tests.services.openai_server import KEY, MODEL, OpenAIServer

SOURCE = "We should really leave this house before it gets dark outside."
GOOD = "Deberíamos irnos de esta casa antes de que oscurezca."

CLEANED = [
    GOOD,
    f"  {GOOD}  ",
    f'"{GOOD}"',
    f"«{GOOD}»",
    f"**{GOOD}**",
    f"*{GOOD}*",
    f"_{GOOD}_",
    f"`{GOOD}`",
    f"<i>{GOOD}</i>",
    f'<speak><prosody rate="fast">{GOOD}</prosody></speak>',
    f"Translation: {GOOD}",
    f"Traducción: {GOOD}",
    f"1. {GOOD}",
    f"- {GOOD}",
    f"# {GOOD}",
    f"{GOOD} (literally: before dark)",
    f"{GOOD} [laughs]",
    f"{GOOD} *sighs*",
    f"{GOOD}\u200b\u202e",
    f"{GOOD} 🙂",
    GOOD.replace("í", "&iacute;"),
    f"{GOOD}\n\n",
    f"♪ {GOOD} ♪",
]

REFUSED = [
    "",
    "...",
    "N/A",
    "null",
    "[TBD]",
    SOURCE,
    SOURCE.upper(),
    f"{GOOD} {SOURCE}",
    f"{GOOD} / {SOURCE}",
    "Deberíamos leave this house before it gets dark.",
    f"Sure! Here is the translation: {GOOD}",
    f"Here's the Spanish line: {GOOD}",
    f"¡Claro! Aquí tienes la traducción: {GOOD}",
    f"{GOOD} Note: 'dark' is literal here.",
    f"{GOOD} Nota: traducción literal.",
    f"{GOOD} N. del T.: literal.",
    f"{GOOD} / Vámonos antes de la noche.",
    "I'm sorry, but I can't assist with that.",
    "As an AI language model, I cannot translate this.",
    "Lo siento, no puedo ayudar con esa solicitud.",
    "Como modelo de lenguaje, no puedo traducir esto.",
    f'{{"1": "{GOOD}"}}',
    f"JUAN: {GOOD}",
    f"Hablante 1: {GOOD}",
    f"{GOOD} Véase https://example.com",
    "我们应该在天黑之前离开这所房子。",
    "<think>The user wants Spanish</think>",
    "{{translation}}",
    "la " * 60,
]


@pytest.fixture(params=["small", "large"])
def answering(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Translator]]:
    """Makes a translator whose model answers one thing to every line."""
    servers: list[Any] = []

    def make(answer: str) -> Translator:
        if request.param == "small":
            return Service(lambda texts: dict.fromkeys(texts, answer)).translator()

        def all_lines(data: Mapping[str, Any]) -> dict[str, str]:
            return dict.fromkeys(data["lines"], answer)

        server = OpenAIServer(answer=all_lines).running()
        servers.append(server)
        translator = ApiTranslator(
            context=EngineContext(kind="translator"), api_key=KEY, model=MODEL,
            base_url=server.__enter__().base_url, patience=Patience(2, 0.01, 0.1),
        )  # fmt: skip
        servers.append(translator)
        return translator

    yield make
    for one in reversed(servers):
        one.__exit__(None, None, None)


def said(translator: Translator) -> tuple[str, Origin]:
    (line,) = translate_lines(
        [Line(0, 0.0, 4.0, 0, SOURCE, 0)], lambda: translator, source="en", target="es",
        slots_s=[4.5], laws={0: Law(0.0, 1 / 15)},
    )  # fmt: skip
    return line.text, line.origin


@pytest.mark.parametrize("answer", CLEANED)
def test_what_is_around_a_translation_is_taken_off(
    answering: Callable[[str], Translator], answer: str
) -> None:
    assert said(answering(answer)) == (GOOD, Origin.MODEL)


@pytest.mark.parametrize("answer", REFUSED)
def test_what_is_no_translation_is_never_said(
    answering: Callable[[str], Translator], answer: str
) -> None:
    assert said(answering(answer)) == ("", Origin.MISSING)


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("Wait: there is one more thing (he said).", "Espera: hay una cosa más (dijo)."),
        ("Note: the door is locked.", "Nota: la puerta está cerrada."),
        ("I'm sorry, I can't help you with that.", "Lo siento, no puedo ayudarte con eso."),
        ("He wrote it on www.example.com yesterday.", "Lo escribió en www.example.com ayer."),
        ("Dr. Roy: twenty five.", "Dr. Roy: veinticinco."),
        ("John Ronald, Edith Bratt.", "John Ronald, Edith Bratt."),
        ("And then: nothing at all happened.", "Y entonces: no pasó nada."),
    ],
)
def test_what_the_film_says_itself_is_said(
    answering: Callable[[str], Translator], source: str, answer: str
) -> None:
    (line,) = translate_lines(
        [Line(0, 0.0, 4.0, 0, source, 0)], lambda: answering(answer), source="en", target="es",
        slots_s=[4.5], laws={0: Law(0.0, 1 / 15)},
    )  # fmt: skip
    assert line.text == answer
