"""Texts out in batches, answers back by id: what is unusable is asked again in smaller batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import structlog

from dubarr_watch.engines.translation_checks import cleaned, told_apart

log = structlog.get_logger(__name__)


class Text(Protocol):
    """Anything with an id and a text."""

    @property
    def id(self) -> int:
        """Unique among those that are asked together."""
        ...

    @property
    def text(self) -> str:
        """What is asked about."""
        ...


T = TypeVar("T", bound=Text)


def batches(
    texts: Sequence[T], *, size: int, chars: int, goes_on: Callable[[T], bool] = lambda text: False
) -> Iterator[list[T]]:
    """Yield texts in order, in batches of at most so many texts and characters.

    A text longer than that goes alone.

    Args:
        texts: What is asked.
        size: Texts in a batch.
        chars: Characters in a batch.
        goes_on: Tells of a text that it is never torn from the one before it.
    """
    groups: list[list[T]] = []
    for text in texts:
        if groups and goes_on(text):
            groups[-1].append(text)
        else:
            groups.append([text])
    batch: list[T] = []
    length = 0
    for group in groups:
        group_length = sum(len(text.text) for text in group)
        length += group_length
        if batch and (len(batch) + len(group) > size or length > chars):
            yield batch
            batch, length = [], group_length
        batch.extend(group)
    if batch:
        yield batch


@dataclass(frozen=True, slots=True)
class Questions(Generic[T]):
    """How a batch is asked and its answers are judged.

    Attributes:
        ask: Returns raw answers by id; also told how often a single text was asked before.
        judge: Tells whether a cleaned answer may stand for a text.
        halve: Ask again, in halves down to single texts, for what was unusable.
        again: How often a single text is asked again.
        apart: Refuse an answer that several different texts got.
    """

    ask: Callable[[Sequence[T], int], Mapping[int, str]]
    judge: Callable[[str, T], bool]
    halve: bool = True
    again: int = 0
    apart: bool = True

    def answers(self, batch: Sequence[T], tries: int = 0) -> dict[int, str]:
        """Return the usable answers; what never gets one is left out."""
        raw = self.ask(batch, tries)
        good = {
            text.id: answer
            for text in batch
            if (answer := cleaned(raw.get(text.id, ""), text.text)) and self.judge(answer, text)
        }
        if self.apart:
            good = told_apart(good, {text.id: text.text for text in batch})
        rest = [text for text in batch if text.id not in good]
        if rest:
            log.debug("answer unusable", asked=len(batch), unusable=len(rest))
        if self.halve and len(batch) > 1:
            for part in batches(rest, size=max(1, len(batch) // 2), chars=2**31):
                good |= self.answers(part)
        elif rest and len(batch) == 1 and tries < self.again:
            good |= self.answers(rest, tries + 1)
        return good
