"""What was decided for a series or a film: its names and terms, and what its episodes tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.series_models import Story, Term


@dataclass(frozen=True, slots=True)
class TermRecord:
    """What one name or word is called in a dub.

    Attributes:
        scope: The series or film.
        language: ISO 639-1 code of the dub.
        source: As the original has it.
        spoken: What the dub says.
        by_person: A person said so, no model.
    """

    scope: str
    language: str
    source: str
    spoken: str
    by_person: bool


@dataclass(frozen=True, slots=True)
class StoryRecord:
    """What one episode told.

    Attributes:
        scope: The series.
        language: ISO 639-1 code of the dub that it was understood for.
        season: -1 when it is not known.
        episode: -1 when it is not known.
        context: JSON.
    """

    scope: str
    language: str
    season: int
    episode: int
    context: str


class Glossary:
    """Terms and stories by scope: one for each series, one for each film of its own."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def terms(self, scope: str, language: str | None = None) -> list[TermRecord]:
        """Return what was decided, for one language or all, in order of language and source."""
        mine = Term.scope == scope
        if language is not None:
            mine &= Term.language == language
        query = Term.select().where(mine).order_by(Term.language, Term.key)
        return [_term(row) for row in self._database.all(query)]

    def decide(self, scope: str, language: str, terms: Mapping[str, str]) -> None:
        """Keep terms, source to spoken; what was decided before stays as it is."""
        with self._database.transaction():
            known = {term.source.casefold() for term in self.terms(scope, language)}
            for source, spoken in terms.items():
                if source.casefold() not in known:
                    self._put(scope, language, source, spoken, by_person=False)

    def set(self, scope: str, language: str, source: str, spoken: str) -> None:
        """Keep what a person says; it replaces what was decided."""
        self._put(scope, language, source, spoken, by_person=True)

    def forget(self, scope: str, source: str, language: str | None = None) -> int:
        """Forget a term in one language or all; returns in how many it was known."""
        mine = (Term.scope == scope) & (Term.key == source.casefold())
        if language is not None:
            mine &= Term.language == language
        return self._database.run(Term.delete().where(mine))

    def scopes(self) -> list[str]:
        """Return every scope that has terms."""
        query = Term.select(Term.scope).distinct().order_by(Term.scope)
        return [str(row.scope) for row in self._database.all(query)]

    def tell(self, story: StoryRecord) -> None:
        """Keep what an episode tells; replaces what an earlier run of it told."""
        self._database.run(
            Story.put(
                scope=story.scope,
                language=story.language,
                season=story.season,
                episode=story.episode,
                context=story.context,
            )
        )

    def stories(self, scope: str, language: str) -> list[StoryRecord]:
        """Return what the episodes told, in their order."""
        mine = (Story.scope == scope) & (Story.language == language)
        query = Story.select().where(mine).order_by(Story.season, Story.episode)
        return [
            StoryRecord(row.scope, row.language, row.season, row.episode, row.context)
            for row in self._database.all(query)
        ]

    def _put(self, scope: str, language: str, source: str, spoken: str, *, by_person: bool) -> None:
        self._database.run(
            Term.put(
                scope=scope,
                language=language,
                key=source.casefold(),
                source=source,
                spoken=spoken,
                by_person=by_person,
                decided_at=utc_now(),
            )
        )


def _term(row: Any) -> TermRecord:
    return TermRecord(row.scope, row.language, row.source, row.spoken, bool(row.by_person))
