"""What the episodes of a series know of each other: names, people, and what happened so far.

What was decided once stays: an episode adds terms and never changes one. A film of its own
remembers what a person decided for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from dubarr_watch.engines.base import EMPTY_FILM, FilmContext
from dubarr_watch.engines.texts import Address, Character, Term
from dubarr_watch.library.series import series_of
from dubarr_watch.store.glossary import Glossary, StoryRecord

_STORIES = 3
"""Summaries of so many episodes before it go along with one."""

_UNKNOWN = -1
_FILM = TypeAdapter(FilmContext)


@dataclass(frozen=True, slots=True)
class SeriesMemory:
    """What is remembered around one video.

    Attributes:
        glossary: Where it is kept.
        scope: The series, or the film by itself.
        place: Season and episode; nothing for a film.
    """

    glossary: Glossary
    scope: str
    place: tuple[int, int] | None = None

    @classmethod
    def of(cls, video: Path, library: Path, glossary: Glossary) -> SeriesMemory:
        """Return what is remembered around a video of a library."""
        series = series_of(video, library)
        if series is None:
            return cls(glossary, f"film\n{video}")
        season, episode = (
            _UNKNOWN if one is None else one for one in (series.season, series.episode)
        )
        return cls(glossary, series.key, (season, episode))

    def earlier(self, language: str) -> FilmContext:
        """Return the terms that were decided, and people and summary of the episodes before."""
        terms = tuple(
            Term(one.source, one.spoken) for one in self.glossary.terms(self.scope, language)
        )
        stories = self._stories_before(language)
        summary = " ".join(one.summary for one in stories[-_STORIES:] if one.summary)
        people = _together(one for story in reversed(stories) for one in story.characters)
        return FilmContext(summary, people, terms)

    def corrected(self, language: str, known: FilmContext) -> FilmContext:
        """Return what `earlier` once said, with what people have said of its terms since."""
        before = {term.source.casefold() for term in known.glossary}
        terms = tuple(
            Term(one.source, one.spoken)
            for one in self.glossary.terms(self.scope, language)
            if one.by_person or one.source.casefold() in before
        )
        return replace(known, glossary=terms)

    def remember(self, language: str, film: FilmContext) -> None:
        """Keep what an episode adds: terms that are new, its summary and its people."""
        new = {term.source: term.target for term in film.glossary}
        if self.place is None:
            return
        self.glossary.decide(self.scope, language, new)
        if film.summary or film.characters:
            story = replace(film, glossary=())
            self.glossary.tell(
                StoryRecord(self.scope, language, *self.place, _FILM.dump_json(story).decode())
            )

    def _stories_before(self, language: str) -> list[FilmContext]:
        if self.place is None:
            return []
        found: list[FilmContext] = []
        for story in self.glossary.stories(self.scope, language):
            if (story.season, story.episode) < self.place:
                found.append(_read(story.context))
        return found


def carried(film: FilmContext, earlier: FilmContext) -> FilmContext:
    """Return what is known of an episode, with what was decided before it.

    A decided term stays; somebody who is known keeps gender and address where they were known.
    """
    decided = {term.source.casefold() for term in earlier.glossary}
    terms = [term for term in film.glossary if term.source.casefold() not in decided]
    known = {one.name.casefold(): one for one in earlier.characters}
    people = [_as_before(one, known.pop(one.name.casefold(), None)) for one in film.characters]
    # Who is only named in this episode has a gender too.
    return FilmContext(film.summary, (*people, *known.values()), (*earlier.glossary, *terms))


def _as_before(one: Character, before: Character | None) -> Character:
    if before is None:
        return one
    return replace(
        one,
        gender=one.gender if before.gender == "unknown" else before.gender,
        address=one.address if before.address is Address.UNKNOWN else before.address,
        except_to=before.except_to or one.except_to,
        manner=one.manner or before.manner,
    )


def _together(people: Iterable[Character]) -> tuple[Character, ...]:
    """Return each once, as they were last; voices are numbered anew in each episode."""
    found: dict[str, Character] = {}
    for one in people:
        kept = found.setdefault(one.name.casefold(), replace(one, speaker=None))
        found[one.name.casefold()] = _as_before(one, kept) if kept != one else kept
        found[one.name.casefold()] = replace(found[one.name.casefold()], speaker=None)
    return tuple(found.values())


def _read(context: str) -> FilmContext:
    try:
        return _FILM.validate_json(context)
    except ValidationError:  # of another version of this program
        return EMPTY_FILM
