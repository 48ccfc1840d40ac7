"""Reads a whole film: its parts side by side, then what they say together."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import structlog

from dubarr_watch.engines.base import Progress
from dubarr_watch.engines.batches import batches
from dubarr_watch.engines.dispatch import Priority, Step
from dubarr_watch.engines.llm.analysis import film_of, put_together, summary_of
from dubarr_watch.engines.llm.chat import ChatService
from dubarr_watch.engines.llm.prompts import analysis_question, summary_question
from dubarr_watch.engines.llm.refusals import ContextTooLong
from dubarr_watch.engines.llm.sizes import Sizes
from dubarr_watch.engines.llm.spreading import Spreader
from dubarr_watch.engines.texts import EMPTY_FILM, AnalysisRequest, FilmContext, SpokenText

log = structlog.get_logger(__name__)

_SHORTEST_PART_CHARS = 400


def read_film(
    request: AnalysisRequest,
    chat: ChatService,
    spreader: Spreader,
    sizes: Sizes,
    progress: Progress,
) -> FilmContext:
    """Return what the model finds in a film; an empty context when it finds nothing.

    Args:
        request: The film.
        chat: The model.
        spreader: Its queue.
        sizes: How much it reads at a time.
        progress: Called with (texts read, texts in all).
    """
    return _Reader(request, chat, spreader, sizes).read(progress)


@dataclass(frozen=True, slots=True)
class _Reader:
    request: AnalysisRequest
    chat: ChatService
    spreader: Spreader
    sizes: Sizes

    def read(self, progress: Progress) -> FilmContext:
        texts = self.request.texts
        progress(0, len(texts))
        if not texts:
            return EMPTY_FILM
        chunks = list(batches(texts, size=len(texts), chars=self.sizes.analysis_chars))
        found: dict[int, list[FilmContext]] = {}

        def ended(number: int, parts: list[FilmContext]) -> None:
            found[number] = parts
            # The last step is left to the summary of all parts.
            progress(min(sum(len(chunks[n]) for n in found), len(texts) - 1), len(texts))

        work = [
            (Priority(Step.DRAFT, line=chunk[0].id), partial(self._part, chunk)) for chunk in chunks
        ]
        self.spreader.run(work, ended)
        parts = [part for number in sorted(found) for part in found[number]]
        if not parts:
            log.warning("film not understood", texts=len(texts))
        summary = self._summary([part.summary for part in parts])
        progress(len(texts), len(texts))
        return put_together(parts, texts, summary)

    def _part(self, chunk: Sequence[SpokenText]) -> list[FilmContext]:
        """Return what is known of a part of a film: in two halves where it is too much at once."""
        asked = self.request
        question = analysis_question(
            asked.source, asked.target, asked.title, chunk, self.sizes.analysis_tokens,
            earlier=asked.earlier,
        )  # fmt: skip
        content = ""
        with contextlib.suppress(ContextTooLong):
            content = self.chat.ask(question)
        film = film_of(content, chunk, target=asked.target, rules=question.rules)
        if film is not None:
            return [film]
        half = len(chunk) // 2
        if not half or sum(len(text.text) for text in chunk) < _SHORTEST_PART_CHARS:
            return []
        return [*self._part(chunk[:half]), *self._part(chunk[half:])]

    def _summary(self, summaries: Sequence[str]) -> str:
        """Return one summary of all parts, or the first one where the model finds no words."""
        parts = list(summaries)
        while len(parts) > 1:
            size = max(2, self.sizes.analysis_chars // max(map(len, parts)))
            parts = [self._summed_up(parts[n : n + size]) for n in range(0, len(parts), size)]
        return parts[0] if parts else ""

    def _summed_up(self, parts: Sequence[str]) -> str:
        if len(parts) == 1:
            return parts[0]
        question = summary_question(parts, self.sizes.analysis_tokens)
        answers: list[str] = []
        with contextlib.suppress(ContextTooLong):
            self.spreader.run(
                [(Priority(Step.DRAFT), partial(self.chat.ask, question))],
                lambda _, answer: answers.append(answer),
            )
        return summary_of("".join(answers), parts, rules=question.rules) or parts[0]
