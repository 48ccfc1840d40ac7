"""Translation by any chat model behind an OpenAI-compatible API."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import openai
from openai.types.chat import ChatCompletionMessageParam

from dubarr_watch.engines.base import (
    EMPTY_FILM,
    AnalysisRequest,
    CorrectionRequest,
    FilmContext,
    Progress,
    ShortenRequest,
    SourceText,
    TranslationRequest,
    Usage,
    no_progress,
)
from dubarr_watch.engines.batches import Questions, Text, batches
from dubarr_watch.engines.llm.answers import json_object
from dubarr_watch.engines.several_lengths import (
    is_further,
    longest_first,
    of_several_lengths,
    said_once,
)
from dubarr_watch.engines.terms import spoken_as_agreed, with_terms
from dubarr_watch.engines.translation_checks import acceptable, is_shorter
from dubarr_watch.engines.translation_prompts import (
    LENGTHS,
    answer_schema,
    shortening_messages,
    translation_messages,
)
from dubarr_watch.errors import EngineError, KeyMissing

_BATCH_CHARS = 900
_TOKENS_PER_CHAR = 0.7  # Latin text needs 0.3 to 0.5; other scripts up to 1 for fewer characters
_TOKENS_PER_LINE = 24


T = TypeVar("T", bound=Text)
_Ask = Callable[[Mapping[str, str]], list[ChatCompletionMessageParam]]


class OpenAITranslator:
    """A Translator that asks a chat model for structured answers.

    Texts go out in small batches, several at a time. Whatever comes back unusable is asked for
    again in batches half as large, down to single texts, and then left out.

    Args:
        client: Where and with which key to ask.
        model: The model's name.
        parallel: Requests at a time.
        batch: Texts in one request.
        context_lines: Texts before a batch that go with it as context.
    """

    def __init__(
        self,
        *,
        client: openai.OpenAI,
        model: str,
        parallel: int = 4,
        batch: int = 8,
        context_lines: int = 3,
    ) -> None:
        self._client = client
        self._model = model
        self._parallel = parallel
        self._batch = batch
        self._context_lines = context_lines

    @property
    def slots(self) -> int:
        """See `Translator`."""
        return 1

    def analyse(self, request: AnalysisRequest, *, progress: Progress = no_progress) -> FilmContext:
        """Return nothing: a small model makes more up about a film than it finds."""
        progress(len(request.texts), len(request.texts))
        return EMPTY_FILM

    def correct(
        self, request: CorrectionRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """Return nothing: a small model corrects what was right."""
        progress(len(request.texts), len(request.texts))
        return {}

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """See `Translator`."""
        history, place = said_once(request)
        terms = request.film.glossary

        def ask(batch: Sequence[SourceText], tries: int) -> dict[int, str]:
            first = place[batch[0].id]
            before = history[max(0, first - self._context_lines) : first]
            return self._request(
                batch,
                lambda keyed: translation_messages(
                    request.source,
                    request.target,
                    {key: with_terms(text, terms) for key, text in keyed.items()},
                    before,
                ),
                _keys(batch),
            )

        def judge(answer: str, text: SourceText) -> bool:
            return acceptable(answer, text.text, target=request.target, max_chars=text.max_chars)

        found = self._spread(
            request.texts, Questions(ask, judge), progress, lambda text: text.shorter > 0
        )
        asked = {text.id: text.text for text in request.texts}
        return {key: spoken_as_agreed(text, asked[key], terms) for key, text in found.items()}

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        """See `Translator`."""
        wordings = len(LENGTHS)

        def ask(batch: Sequence[ShortenRequest], tries: int) -> dict[int, str]:
            return self._request(
                batch,
                lambda keyed: shortening_messages(target, keyed),
                [f"{n // wordings + 1} {LENGTHS[n % wordings]}" for n in range(len(batch))],
            )

        def judge(answer: str, text: ShortenRequest) -> bool:
            return is_shorter(answer, text.text, target)

        def told(done: float, total: float) -> None:
            progress(done / wordings, total / wordings)

        questions = Questions(ask, judge, halve=False)
        wanted = of_several_lengths(texts, wordings * (1.0,))
        answers = self._spread(wanted, questions, told, is_further(wordings))
        return longest_first(answers, wordings)

    def usage(self) -> Usage:
        """Return nothing: no tokens are counted here."""
        return Usage()

    def _spread(
        self,
        texts: Sequence[T],
        questions: Questions[T],
        progress: Progress,
        goes_on: Callable[[T], bool],
    ) -> dict[int, str]:
        """Work on all batches, some at a time; progress counts texts that are done with."""
        found: dict[int, str] = {}
        done = 0
        progress(0, len(texts))
        parts = batches(texts, size=self._batch, chars=_BATCH_CHARS, goes_on=goes_on)
        with concurrent.futures.ThreadPoolExecutor(self._parallel) as pool:
            futures = {pool.submit(questions.answers, part): len(part) for part in parts}
            try:
                for future in concurrent.futures.as_completed(futures):
                    found.update(future.result())
                    done += futures[future]
                    progress(done, len(texts))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return {text.id: found[text.id] for text in texts if text.id in found}

    def _request(self, batch: Sequence[T], ask: _Ask, keys: Sequence[str]) -> dict[int, str]:
        """Return the raw answers of one request; none when they are no valid JSON."""
        keyed = dict(zip(keys, batch, strict=True))
        chars = sum(len(text.text) for text in batch)
        try:
            reply = self._client.chat.completions.create(
                model=self._model,
                messages=ask({key: text.text for key, text in keyed.items()}),
                temperature=0,
                max_tokens=round(_TOKENS_PER_CHAR * chars) + _TOKENS_PER_LINE * len(batch),
                response_format={
                    "type": "json_schema",
                    "json_schema": {
                        "name": "lines",
                        "strict": True,
                        "schema": answer_schema(list(keyed)),
                    },
                },
            )
        except openai.AuthenticationError as error:
            raise KeyMissing(
                "The translation service refused the key.", hint="Check OPENAI_API_KEY."
            ) from error
        except openai.OpenAIError as error:
            raise EngineError(f"The translation service failed: {error}") from error
        return {
            keyed[key].id: value
            for key, value in json_object(reply.choices[0].message.content or "").items()
            if key in keyed and isinstance(value, str)
        }


def _keys(batch: Sequence[SourceText]) -> list[str]:
    """Return a key for each text: a small model copes with small numbers better than with ids."""
    keys: list[str] = []
    number, before = 0, ""
    for text in batch:
        number += not text.shorter or text.text != before
        keys.append(f"{number} {LENGTHS[text.shorter - 1]}" if text.shorter else str(number))
        before = text.text
    return keys
