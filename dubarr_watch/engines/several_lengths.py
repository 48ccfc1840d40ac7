"""Several wordings of one text, each asked for as a text of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from dubarr_watch.engines.texts import ShortenRequest, TranslationRequest


def of_several_lengths(
    texts: Sequence[ShortenRequest], shares: Sequence[float]
) -> list[ShortenRequest]:
    """Return each text once for each share of its budget, with ids that `longest_first` knows."""
    return [
        replace(
            text,
            id=text.id * len(shares) + number,
            max_chars=max(1, round(text.max_chars * share)),
        )
        for text in texts
        for number, share in enumerate(shares)
    ]


def is_further(shares: int) -> Callable[[ShortenRequest], bool]:
    """Return what tells of one from `of_several_lengths` that the one before is of its text."""
    return lambda text: text.id % shares > 0


def longest_first(answers: Mapping[int, str], shares: int) -> dict[int, tuple[str, ...]]:
    """Return the different wordings of each text, longest first.

    Args:
        answers: By the ids of `of_several_lengths`.
        shares: How many shares there were.
    """
    found: dict[int, list[str]] = {}
    for key, answer in answers.items():
        found.setdefault(key // shares, []).append(answer)
    return {
        key: tuple(sorted(dict.fromkeys(wordings), key=len, reverse=True))
        for key, wordings in found.items()
    }


def said_once(request: TranslationRequest) -> tuple[list[str], dict[int, int]]:
    """Return what is said before and in a request, each text once, and the place of each id."""
    said = list(request.before)
    places: dict[int, int] = {}
    for text in request.texts:
        if not text.shorter:
            said.append(text.text)
        places[text.id] = max(0, len(said) - 1)
    return said, places
