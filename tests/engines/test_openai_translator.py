from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import httpx
import openai
import pytest

from dubarr_watch.engines.base import FilmContext, ShortenRequest, SourceText, TranslationRequest
from dubarr_watch.engines.openai_translator import OpenAITranslator
from dubarr_watch.engines.texts import Term
from dubarr_watch.errors import EngineError, KeyMissing
from tests.engines.contracts import TranslatorContract

Answer = Callable[[dict[str, str]], object]


def spanish(texts: dict[str, str]) -> dict[str, str]:
    """Translate nothing, but into words that are not the source's."""
    return {key: f"Palabras nuevas {text[::-1]}" for key, text in texts.items()}


class Service:
    """A chat service that answers by a function, and remembers what it was asked."""

    def __init__(self, answer: Answer, status: int = 200) -> None:
        self.asked: list[dict[str, str]] = []
        self.bodies: list[dict[str, object]] = []
        self._answer = answer
        self._status = status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        self.bodies.append(body)
        question = body["messages"][-1]["content"]
        texts = json.loads(question[question.index("{") :])
        self.asked.append(texts)
        if self._status != 200:
            return httpx.Response(self._status, json={"error": {"message": "no"}})
        answer = self._answer(texts)
        content = answer if isinstance(answer, str) else json.dumps(answer)
        message = {"role": "assistant", "content": content}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return httpx.Response(
            200,
            json={
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": "m",
                "choices": [choice],
            },
        )

    def translator(self, *, batch: int = 4, context_lines: int = 0) -> OpenAITranslator:
        client = openai.OpenAI(
            base_url="http://127.0.0.1:1/v1",
            api_key="key",
            max_retries=0,
            # Newer releases of openai bring an httpx of their own name, with the same methods.
            http_client=cast(Any, httpx.Client(transport=httpx.MockTransport(self))),
        )
        return OpenAITranslator(
            client=client, model="m", parallel=1, batch=batch, context_lines=context_lines
        )


def request(*texts: str, before: tuple[str, ...] = ()) -> TranslationRequest:
    sources = tuple(SourceText(10 + n, text, 0, 80) for n, text in enumerate(texts))
    return TranslationRequest("en", "es", sources, before)


LINES = ("The first line is here.", "Another one follows it.", "The third has words.", "The end.")


class TestOpenAITranslator(TranslatorContract):
    @pytest.fixture
    def translator(self) -> OpenAITranslator:
        return Service(spanish).translator()


def test_keys_count_from_one_and_every_one_is_required() -> None:
    """Ids stay here; the schema leaves the model no other shape."""
    service = Service(spanish)
    found = service.translator().translate(request(*LINES))
    assert list(found) == [10, 11, 12, 13]
    assert [list(texts) for texts in service.asked] == [["1", "2", "3", "4"]]
    shape = service.bodies[0]["response_format"]
    assert isinstance(shape, dict)
    schema = shape["json_schema"]["schema"]
    assert schema["required"] == ["1", "2", "3", "4"]
    assert schema["additionalProperties"] is False


def test_what_is_missing_is_asked_in_halves_down_to_one() -> None:
    """A text that the model only translates alone still gets its translation."""

    def shy(texts: dict[str, str]) -> dict[str, str]:
        return spanish(texts) if len(texts) == 1 else {}

    service = Service(shy)
    found = service.translator().translate(request(*LINES))
    assert len(found) == 4
    assert [len(texts) for texts in service.asked] == [4, 2, 1, 1, 2, 1, 1]


def test_only_what_is_unusable_is_asked_again() -> None:
    """Good answers of a batch are kept."""

    def lazy(texts: dict[str, str]) -> dict[str, str]:
        answer = spanish(texts)
        if len(texts) == 4:
            answer["3"] = texts["3"]
        return answer

    service = Service(lazy)
    assert len(service.translator().translate(request(*LINES))) == 4
    assert [list(texts.values()) for texts in service.asked[1:]] == [[LINES[2]]]


def test_what_the_model_never_translates_is_left_out() -> None:
    """The source text does not stand in for its own translation."""

    def stubborn(texts: dict[str, str]) -> dict[str, str]:
        return {k: t if t == LINES[0] else f"Nuevo {t[::-1]}" for k, t in texts.items()}

    found = Service(stubborn).translator().translate(request(*LINES))
    assert set(found) == {11, 12, 13}


@pytest.mark.parametrize("broken", ['{"1": "Cortado a la mi', "[]", "", '{"1": 5}'])
def test_an_answer_that_is_no_object_of_texts_counts_as_missing(broken: str) -> None:
    """Cut-off and misshapen answers lose the batch, not the job."""

    def once(texts: dict[str, str]) -> object:
        return broken if len(texts) == 2 else spanish(texts)

    assert len(Service(once).translator().translate(request(*LINES[:2]))) == 2


def test_context_goes_with_the_batch() -> None:
    """Texts before a batch are shown to the model, from this request and from before it."""
    service = Service(spanish)
    service.translator(batch=2, context_lines=2).translate(request(*LINES, before=("Earlier.",)))
    contents = [str(body["messages"][-1]["content"]) for body in service.bodies]  # type: ignore[index]
    assert "Earlier." in contents[0]
    assert LINES[0] in contents[1]
    assert all(LINES[0] not in texts.values() for texts in service.asked[1:])


def test_a_shorter_wording_must_be_shorter() -> None:
    """Longer, equal and empty answers are left out."""
    answers = {
        "1 shorter": "Una respuesta mucho más larga que la pregunta.", "1 shortest": "Más breve.",
        "2 shorter": "Una frase bastante larga.", "2 shortest": "",
    }  # fmt: skip
    service = Service(lambda texts: answers)
    texts = [ShortenRequest(n, "x", "Una frase bastante larga.", 12) for n in (7, 8)]
    assert service.translator().shorten("es", texts) == {7: ("Más breve.",)}


def test_two_wordings_of_a_line_are_asked_for_in_one_request() -> None:
    """They come back longest first; the same twice is one; a line is never torn in two."""
    answers = {
        "1 shorter": "Una frase.", "1 shortest": "Una frase muy larga.",
        "2 shorter": "Breve.", "2 shortest": "Breve.",
    }  # fmt: skip
    service = Service(lambda texts: answers)
    texts = [ShortenRequest(n, "x", "Una frase bastante larga.", 12) for n in (7, 8, 9)]
    found = service.translator(batch=5).shorten("es", texts)
    assert found == {7: ("Una frase muy larga.", "Una frase."), 8: ("Breve.",), 9: found[7]}
    assert [list(asked) for asked in service.asked] == [["1", "2"], ["1"]]


def test_all_wordings_of_a_text_are_asked_for_in_one_request() -> None:
    """A small model sees each text once, and a worked example of all lengths."""
    answers = {"1": "Una frase larga.", "1 shorter": "Una frase.", "1 shortest": "Frase."}
    service = Service(lambda texts: {**answers, "2": "Otra cosa aparte."})
    plain = request(*LINES[:2])
    first, second = plain.texts
    more = [replace(first, id=100 + n, shorter=n) for n in (1, 2)]
    found = service.translator().translate(replace(plain, texts=(first, *more, second)))
    assert found == {10: "Una frase larga.", 101: "Una frase.", 102: "Frase.",
                     11: "Otra cosa aparte."}  # fmt: skip
    assert service.asked == [{"1": LINES[0], "2": LINES[1]}]
    assert schema_keys(service) == ["1", "1 shorter", "1 shortest", "2"]
    assert '"1 shortest"' in str(service.bodies[0]["messages"])
    service.translator().translate(plain)
    assert "shortest" not in str(service.bodies[1]["messages"])


def test_a_wording_without_its_text_is_asked_for_alone() -> None:
    """As it is after a batch was halved; two of them are two texts."""
    said = {"1 shorter": "Una frase.", "2 shorter": "Otra cosa."}
    service = Service(lambda texts: said)
    asked = request(*LINES[:2])
    texts = tuple(replace(text, shorter=1) for text in asked.texts)
    found = service.translator().translate(replace(asked, texts=texts))
    assert found == {10: "Una frase.", 11: "Otra cosa."}
    assert len(service.asked) == 1


def schema_keys(service: Service) -> list[str]:
    shape = cast(Any, service.bodies[0]["response_format"])
    return list(shape["json_schema"]["schema"]["required"])


def test_a_refused_key_is_for_the_user_to_mend() -> None:
    """It ends with the exit code for what the user must provide."""
    with pytest.raises(KeyMissing):
        Service(spanish, status=401).translator().translate(request(*LINES))


def test_a_broken_service_is_an_engine_error() -> None:
    """So that the job may be tried again later."""
    with pytest.raises(EngineError):
        Service(spanish, status=500).translator().translate(request(*LINES))


def test_a_small_model_gets_terms_in_the_text_and_keeps_to_them() -> None:
    """It knows no glossary: what it does not know it copies."""
    service = Service(lambda texts: {"1": "Vamos a Invernalia.", "2": "Veo a Bree, sin duda."})
    film = FilmContext(glossary=(Term("Winterfell", "Invernalia"), Term("Bree", "Bri")))
    asked = replace(request("We ride to Winterfell.", "I see that Bree."), film=film)
    found = service.translator().translate(asked)
    assert service.asked[0] == {"1": "We ride to Invernalia.", "2": "I see that Bri."}
    assert found == {10: "Vamos a Invernalia.", 11: "Veo a Bri, sin duda."}
