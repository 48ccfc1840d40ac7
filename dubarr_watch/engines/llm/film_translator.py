"""Translation with a whole film in mind, by any chat model large enough for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import structlog

from dubarr_watch.engines.base import Progress, no_progress
from dubarr_watch.engines.batches import Questions, Text, batches
from dubarr_watch.engines.context import never
from dubarr_watch.engines.dispatch import Priority, Step
from dubarr_watch.engines.llm.answers import (
    exact_texts,
    is_correction,
    obeys_the_film,
)
from dubarr_watch.engines.llm.chat import ChatService, Question
from dubarr_watch.engines.llm.objections import objection
from dubarr_watch.engines.llm.prompts import (
    correction_question,
    shortening_question,
    translation_question,
)
from dubarr_watch.engines.llm.reading import read_film
from dubarr_watch.engines.llm.refusals import ContextTooLong
from dubarr_watch.engines.llm.sizes import LARGE, Sizes
from dubarr_watch.engines.llm.spreading import Spreader
from dubarr_watch.engines.several_lengths import (
    is_further,
    longest_first,
    of_several_lengths,
    said_once,
)
from dubarr_watch.engines.terms import missed, spoken_as_agreed
from dubarr_watch.engines.texts import (
    EMPTY_FILM,
    AnalysisRequest,
    CorrectionRequest,
    FilmContext,
    ShortenRequest,
    SourceText,
    SpokenText,
    TranslationRequest,
    Usage,
)
from dubarr_watch.engines.translation_checks import acceptable, is_shorter, normalised

log = structlog.get_logger(__name__)

_AGAIN = 1
_SHARES = (1.0, 0.85, 0.7)
"""Budgets of the wordings of one line, in shares of what would fit."""

_OTHER_TEMPERATURE = 0.5

T = TypeVar("T", bound=Text)


class FilmTranslator:
    """A Translator that knows the film.

    Requests of all calls share one queue: shortening before translating, earlier texts before
    later ones. Whatever comes back unusable is asked for again in batches half as large, down to
    single texts, those once more without their context, and then left out.

    Args:
        chat: Answers questions.
        slots: Requests at a time.
        sizes: How much is asked in one.
        cancelled: Asked several times a second while a call lasts.
    """

    def __init__(
        self,
        *,
        chat: ChatService,
        slots: int,
        sizes: Sizes = LARGE,
        cancelled: Callable[[], bool] = never,
    ) -> None:
        self._chat = chat
        self._sizes = sizes
        self._spreader = Spreader(slots, cancelled)

    @property
    def slots(self) -> int:
        """See `Translator`."""
        return self._spreader.slots

    def resize(self, slots: int, sizes: Sizes) -> None:
        """Ask so many requests of that size at a time from now on."""
        self._spreader.resize(slots)
        self._sizes = sizes

    def close(self, *, cancel: bool = False) -> None:
        """End its threads; see `Dispatcher.close`."""
        self._spreader.close(cancel=cancel)

    def usage(self) -> Usage:
        """See `Translator`."""
        return self._chat.usage()

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """See `Translator`."""
        said, places = said_once(request)
        around = _Around([*said, *request.after], places, self._sizes)

        def ask(batch: Sequence[SourceText], tries: int) -> dict[int, str]:
            before, after = ((), ()) if tries else around.of(batch)
            return self._texts(
                batch,
                lambda keyed: translation_question(
                    request.source, request.target, keyed, request.film,
                    before=before, after=after, temperature=_temperature(tries),
                ),
            )  # fmt: skip

        def judge(answer: str, text: SourceText) -> bool:
            return acceptable(answer, text.text, target=request.target, max_chars=text.max_chars)

        questions = Questions(ask, judge, again=_AGAIN)
        found = self._asked(
            request.texts, questions, Step.DRAFT, progress, goes_on=lambda text: text.shorter > 0
        )
        found |= self._mended(request, found)
        terms = request.film.glossary
        return {
            text.id: spoken_as_agreed(found[text.id], text.text, terms)
            for text in request.texts
            if text.id in found
        }

    def _mended(self, request: TranslationRequest, found: Mapping[int, str]) -> dict[int, str]:
        """Ask once more for what is objected to; what is no better is left as it was."""

        terms = request.film.glossary

        def wrong(answer: str, text: SourceText) -> str:
            lost = missed(spoken_as_agreed(answer, text.text, terms), text.text, terms)
            if lost:
                return f"It lacks {lost[0].target}, which is what {lost[0].source} is called here."
            return objection(answer, text.text, text.speaker, request.film, request.target)

        refused = {
            text.id: (found[text.id], why)
            for text in request.texts
            if text.id in found and (why := wrong(found[text.id], text))
        }
        if not refused:
            return {}
        log.debug("translation objected to", texts=len(refused))

        def ask(batch: Sequence[SourceText], tries: int) -> dict[int, str]:
            return self._texts(
                batch,
                lambda keyed: translation_question(
                    request.source, request.target, keyed, request.film,
                    refused={key: refused[text.id] for key, text in keyed.items()},
                ),
            )  # fmt: skip

        def judge(answer: str, text: SourceText) -> bool:
            fits = acceptable(answer, text.text, target=request.target, max_chars=text.max_chars)
            return fits and not wrong(answer, text)

        again = [text for text in request.texts if text.id in refused]
        return self._asked(again, Questions(ask, judge, halve=False), Step.DRAFT, no_progress)

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        """See `Translator`."""
        wanted, wordings = of_several_lengths(texts, _SHARES), len(_SHARES)

        def ask(batch: Sequence[ShortenRequest], tries: int) -> dict[int, str]:
            return self._texts(
                batch,
                lambda keyed: shortening_question(
                    target, keyed, film, temperature=_temperature(tries)
                ),
            )

        def judge(answer: str, text: ShortenRequest) -> bool:
            def wrong(wording: str) -> bool:
                return bool(objection(wording, text.source_text, text.speaker, film, target))

            return is_shorter(answer, text.text, target) and (wrong(text.text) or not wrong(answer))

        def told(done: float, total: float) -> None:
            progress(done / wordings, total / wordings)

        questions = Questions(ask, judge, again=_AGAIN)
        answers = self._asked(wanted, questions, Step.REFINE, told, goes_on=is_further(wordings))
        return longest_first(answers, wordings)

    def correct(
        self, request: CorrectionRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """See `Translator`."""
        around = _Around(
            [text.text for text in request.texts],
            {text.id: n for n, text in enumerate(request.texts)},
            self._sizes,
        )
        doubtful = [
            text
            for text in request.texts
            if text.reference and normalised(text.reference) != normalised(text.text)
        ]

        def ask(batch: Sequence[SpokenText], tries: int) -> dict[int, str]:
            before, after = ((), ()) if tries else around.of(batch)
            return self._texts(
                batch,
                lambda keyed: correction_question(
                    request.source, keyed,
                    before=before, after=after, temperature=_temperature(tries),
                ),
            )  # fmt: skip

        # Two lines that were heard differently may well be the same words.
        questions = Questions(ask, is_correction, again=_AGAIN, apart=False)
        found = self._asked(doubtful, questions, Step.DRAFT, progress)
        heard = {text.id: text.text for text in doubtful}
        return {key: text for key, text in found.items() if text != heard[key]}

    def analyse(self, request: AnalysisRequest, *, progress: Progress = no_progress) -> FilmContext:
        """See `Translator`."""
        return read_film(request, self._chat, self._spreader, self._sizes, progress)

    def _asked(
        self,
        texts: Sequence[T],
        questions: Questions[T],
        step: Step,
        progress: Progress,
        *,
        goes_on: Callable[[T], bool] = lambda text: False,
    ) -> dict[int, str]:
        """Return the answers for all texts; progress counts texts that are done with.

        One that `goes_on` is always asked in one request with the one before it.
        """
        sizes = self._sizes
        parts = list(batches(texts, size=sizes.batch, chars=sizes.batch_chars, goes_on=goes_on))
        found: dict[int, str] = {}
        done = 0
        progress(0, len(texts))

        def ended(number: int, answers: dict[int, str]) -> None:
            nonlocal done
            found.update(answers)
            done += len(parts[number])
            progress(done, len(texts))

        work = [
            (Priority(step, line=part[0].id), partial(questions.answers, part)) for part in parts
        ]
        self._spreader.run(work, ended)
        return {text.id: found[text.id] for text in texts if text.id in found}

    def _texts(
        self, batch: Sequence[T], question_of: Callable[[Mapping[str, T]], Question]
    ) -> dict[int, str]:
        """Return the answers of one request by id; none when they cannot be trusted."""
        # Keys count from 1: short, and no id of ours for the model to be wrong about.
        keyed = {str(number): text for number, text in enumerate(batch, 1)}
        question = question_of(keyed)
        try:
            content = self._chat.ask(question)
        except ContextTooLong:
            log.debug("request too long", texts=len(batch))
            return {}
        return {
            keyed[key].id: answer
            for key, answer in exact_texts(content, keyed).items()
            if not obeys_the_film(answer, keyed[key].text, question.rules)
        }


class _Around:
    """What is said around a batch, from all texts in order."""

    def __init__(self, said: Sequence[str], place: Mapping[int, int], sizes: Sizes) -> None:
        self._said = said
        self._place = place
        self._sizes = sizes

    def of(self, batch: Sequence[Text]) -> tuple[Sequence[str], Sequence[str]]:
        first, last = self._place[batch[0].id], self._place[batch[-1].id]
        before = self._said[max(0, first - self._sizes.before) : first]
        return before, self._said[last + 1 : last + 1 + self._sizes.after]


def _temperature(tries: int) -> float:
    # The likeliest answer was refused, and would be the same again.
    return _OTHER_TEMPERATURE if tries else 0.0
