"""Translation by any chat model behind an OpenAI-compatible API."""

from __future__ import annotations

import concurrent.futures
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import openai
import structlog
from openai.types.chat import ChatCompletionMessageParam

from dubarr_watch.engines.base import (
    EMPTY_FILM,
    AnalysisRequest,
    CorrectionRequest,
    FilmContext,
    Progress,
    ShortenRequest,
    TranslationRequest,
    Usage,
    no_progress,
)
from dubarr_watch.engines.translation_checks import acceptable, cleaned, normalised, told_apart
from dubarr_watch.engines.translation_prompts import (
    answer_schema,
    shortening_messages,
    translation_messages,
)
from dubarr_watch.errors import EngineError, KeyMissing

log = structlog.get_logger(__name__)

_BATCH_CHARS = 900
_TOKENS_PER_CHAR = 0.7  # Latin text needs 0.3 to 0.5; other scripts up to 1 for fewer characters
_TOKENS_PER_LINE = 24


@dataclass(frozen=True, slots=True)
class _Text:
    id: int
    text: str
    max_chars: int


_Ask = Callable[[Mapping[str, str]], list[ChatCompletionMessageParam]]
_Judge = Callable[[str, _Text], bool]


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
        texts = [_Text(text.id, text.text, text.max_chars) for text in request.texts]
        history = [*request.before, *(text.text for text in request.texts)]
        place = {text.id: n + len(request.before) for n, text in enumerate(request.texts)}

        def work(batch: Sequence[_Text]) -> dict[int, str]:
            first = place[batch[0].id]
            before = history[max(0, first - self._context_lines) : first]
            return self._answers(
                batch,
                lambda keyed: translation_messages(request.source, request.target, keyed, before),
                lambda answer, text: acceptable(
                    answer, text.text, target=request.target, max_chars=text.max_chars
                ),
            )

        return self._spread(texts, work, progress)

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, str]:
        """See `Translator`."""

        def work(batch: Sequence[_Text]) -> dict[int, str]:
            return self._answers(
                batch,
                lambda keyed: shortening_messages(target, keyed),
                lambda answer, text: _is_shorter(answer, text.text, target),
                halve=False,
            )

        asked = [_Text(text.id, text.text, text.max_chars) for text in texts]
        return self._spread(asked, work, progress)

    def usage(self) -> Usage:
        """Return nothing: no tokens are counted here."""
        return Usage()

    def _spread(
        self,
        texts: Sequence[_Text],
        work: Callable[[Sequence[_Text]], dict[int, str]],
        progress: Progress,
    ) -> dict[int, str]:
        """Work on all batches, some at a time; progress counts texts that are done with."""
        found: dict[int, str] = {}
        done = 0
        progress(0, len(texts))
        with concurrent.futures.ThreadPoolExecutor(self._parallel) as pool:
            futures = {pool.submit(work, batch): len(batch) for batch in self._batches(texts)}
            try:
                for future in concurrent.futures.as_completed(futures):
                    found.update(future.result())
                    done += futures[future]
                    progress(done, len(texts))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return {text.id: found[text.id] for text in texts if text.id in found}

    def _batches(self, texts: Sequence[_Text]) -> Iterator[list[_Text]]:
        batch: list[_Text] = []
        for text in texts:
            chars = sum(len(one.text) for one in batch) + len(text.text)
            if batch and (len(batch) == self._batch or chars > _BATCH_CHARS):
                yield batch
                batch = []
            batch.append(text)
        if batch:
            yield batch

    def _answers(
        self, batch: Sequence[_Text], ask: _Ask, judge: _Judge, *, halve: bool = True
    ) -> dict[int, str]:
        sources = {text.id: text.text for text in batch}
        answers = self._request(batch, ask)
        good = {
            text.id: answer
            for text in batch
            if (answer := cleaned(answers.get(text.id, ""), text.text)) and judge(answer, text)
        }
        good = told_apart(good, sources)
        rest = [text for text in batch if text.id not in good]
        if rest:
            log.debug("translation unusable", asked=len(batch), unusable=len(rest))
        if halve and len(batch) > 1:
            size = max(1, len(batch) // 2)
            for first in range(0, len(rest), size):
                good.update(self._answers(rest[first : first + size], ask, judge))
        return good

    def _request(self, batch: Sequence[_Text], ask: _Ask) -> dict[int, str]:
        """Return the raw answers of one request; none when they are no valid JSON."""
        # Keys count from 1: a small model copes with those better than with large ids.
        keyed = {str(number): text for number, text in enumerate(batch, 1)}
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
            for key, value in _parsed(reply.choices[0].message.content or "").items()
            if key in keyed and isinstance(value, str)
        }


def _parsed(content: str) -> dict[str, object]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}  # cut off at max_tokens: asked again in smaller batches
    return found if isinstance(found, dict) else {}


def _is_shorter(answer: str, text: str, target: str) -> bool:
    # The check for the source's own words does not apply: a shorter wording keeps most of them.
    return (
        len(answer) < len(text)
        and normalised(answer) != normalised(text)
        and acceptable(answer, "", target=target, max_chars=len(text))
    )
