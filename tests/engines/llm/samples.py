"""What the tests of large models ask."""

from __future__ import annotations

from dubarr_watch.engines.texts import (
    Address,
    Character,
    FilmContext,
    SourceText,
    Term,
    TranslationRequest,
)

LINES = (
    "The first line is here.",
    "Another one follows it.",
    "The third has words.",
    "This is the end.",
)
FILM = FilmContext(
    "A doctor and her patient meet at the harbour.",
    (
        Character("Dr. Ines Roy", "female", 0, "precise", Address.FORMAL, ("Tom",)),
        Character("Tom", "male", 1, "slang", Address.INFORMAL),
        Character("The captain", "male", 2),
    ),
    (Term("Harbour View", "Vista al Puerto"), Term("Zyx", "Siks")),
)


def request(
    *texts: str,
    target: str = "es",
    before: tuple[str, ...] = (),
    after: tuple[str, ...] = (),
    film: FilmContext = FILM,
) -> TranslationRequest:
    """Ask for translations; ids count from 10, voices 0 and 1 take turns."""
    sources = tuple(SourceText(10 + n, text, n % 2, 80) for n, text in enumerate(texts))
    return TranslationRequest("en", target, sources, before, after, film)
