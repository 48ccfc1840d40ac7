"""Asking a translator for a whole film: in batches, as many at a time as it has slots."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from threading import Lock
from typing import TypeVar

from dubarr_watch.dubbing.wording_checks import looks_wrong
from dubarr_watch.engines.base import (
    EMPTY_FILM,
    FilmContext,
    Progress,
    SourceText,
    TranslationRequest,
    Translator,
    no_progress,
)
from dubarr_watch.engines.dispatch import Dispatcher, Priority, Step, result_unless

T = TypeVar("T")

BATCH_TEXTS = 32
"""Sentences in one request: enough for context, few enough to lose little on a mismatch."""

CONTEXT_TEXTS = 2


@dataclass(frozen=True, slots=True)
class Asking:
    """What goes along with every question, and where questions queue.

    Attributes:
        film: What is known of the film.
        before: Sentences before a batch that go along as context.
        after: Sentences after it.
        batch: Sentences in one request.
        wordings: Of different length, asked for at once where a translation will hardly fit. A
            small model is asked for one: it is a third of the time of a dub, and with shorter
            ones asked for where the translation is predicted not to fit, all before anything is
            spoken, 59 lines took 1.00 takes each in Spanish and 1.03 in French.
        dispatcher: Where the requests of all jobs are queued; without one they go one by one.
        job: Number of the job, which orders its requests among those of others.
        turn: Place of the language in the job, which orders them within it.
        cancelled: Whether to stop; asked while questions wait behind those of other jobs.
    """

    film: FilmContext = EMPTY_FILM
    before: int = CONTEXT_TEXTS
    after: int = 0
    batch: int = BATCH_TEXTS
    wordings: int = 1
    dispatcher: Dispatcher | None = None
    job: int = 0
    turn: int = 0
    cancelled: Callable[[], bool] = lambda: False

    def priority(self, line: int) -> Priority:
        """Return where a question that begins with a line stands in the queue."""
        return Priority(Step.DRAFT, self.job, self.turn, line)

    def first(self, ask: Callable[[], T]) -> T:
        """Ask what comes before all lines, in its place in the queue.

        Raises:
            JobCancelled: Somebody asked for it, or what the job had queued was dropped.
        """
        if self.dispatcher is None:
            return ask()
        waiting = self.dispatcher.submit_unless(self.cancelled, ask, priority=self.priority(-1))
        return result_unless(self.cancelled, waiting)


ALONE = Asking()
"""Nothing is known of the film, and nobody else asks."""


def ask_for_all(
    texts: Sequence[SourceText],
    translator: Translator,
    asking: Asking,
    *,
    source: str,
    target: str,
    progress: Progress = no_progress,
) -> dict[int, str]:
    """Ask in batches, then once more for what is missing or looks wrong, each alone.

    Further wordings of a text go with it, and are not asked for again.

    Returns:
        The translations that do not look wrong, by id.

    Raises:
        EngineError: The translator failed.
        JobCancelled: Somebody asked for it.
    """
    made = _Questions(texts, translator, asking, source, target)
    answers = made.ask(_pieces(texts, asking.batch), _Sum(progress, len(texts)))
    alone = [
        range(i, i + 1)
        for i, text in enumerate(texts)
        if text.id not in answers and not text.shorter
    ]
    if alone:
        answers |= made.ask(alone, _Sum(no_progress, len(texts)))
        progress(len(texts), len(texts))
    return answers


def _pieces(texts: Sequence[SourceText], size: int) -> list[range]:
    """Cut texts into stretches that begin with so many texts of their own."""
    own = [i for i, text in enumerate(texts) if not text.shorter]
    starts = own[::size]
    return [range(start, end) for start, end in pairwise([*starts, len(texts)])]


def _said(texts: Sequence[SourceText]) -> tuple[str, ...]:
    return tuple(text.text for text in texts if not text.shorter)


@dataclass(frozen=True, slots=True)
class _Questions:
    texts: Sequence[SourceText]
    translator: Translator
    asking: Asking
    source: str
    target: str

    def ask(self, pieces: Sequence[range], done: _Sum) -> dict[int, str]:
        """Ask for some stretches of the texts and return what is usable."""
        queue = self.asking.dispatcher
        answers: dict[int, str] = {}
        if queue is None:
            for piece in pieces:
                answers |= self._ask(piece, done)
            return answers
        cancelled = self.asking.cancelled
        queue.resize(self.translator.slots)
        futures: list[Future[dict[int, str]]] = []
        try:
            for piece in pieces:
                priority = self.asking.priority(self.texts[piece[0]].id)
                ask = partial(self._ask, piece, done)
                futures.append(queue.submit_unless(cancelled, ask, priority=priority))
            for future in futures:
                usable = result_unless(cancelled, future)
                answers |= usable
        finally:
            for future in futures:
                future.cancel()
        return answers

    def _ask(self, piece: range, done: _Sum) -> dict[int, str]:
        batch = [self.texts[i] for i in piece]
        first, end = piece[0], piece[-1] + 1
        own = len(_said(self.texts[:first]))
        request = TranslationRequest(
            self.source,
            self.target,
            tuple(batch),
            before=_said(self.texts[:first])[max(0, own - self.asking.before) :],
            after=_said(self.texts[end:])[: self.asking.after],
            film=self.asking.film,
        )
        got = self.translator.translate(request, progress=partial(done.of, first))
        done.of(first, len(batch), len(batch))
        return _usable(batch, got)


@dataclass(slots=True)
class _Sum:
    """Adds up the progress of requests that run at a time."""

    progress: Progress
    total: int
    _done: dict[int, float] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def of(self, piece: int, done: float, total: float) -> None:
        with self._lock:
            self._done[piece] = max(done, self._done.get(piece, 0.0))
            self.progress(min(sum(self._done.values()), self.total), self.total)


def _usable(texts: Sequence[SourceText], answers: Mapping[int, str]) -> dict[int, str]:
    usable: dict[int, str] = {}
    previous = ("", "")
    for text in texts:
        said = answers.get(text.id, "").strip()
        answer = " ".join(said.split())
        repeated = len(answer) > 15 and answer == previous[1] and text.text != previous[0]
        if answer and not repeated and not looks_wrong(text.text, said, text.max_chars):
            usable[text.id] = answer
        previous = (text.text, answer)
    return usable
