"""Lines that somebody asked to make anew: kept until they are made, or cannot be."""

from __future__ import annotations

from dataclasses import dataclass

from dubarr_watch.store.database import Database
from dubarr_watch.store.models import Redo


@dataclass(frozen=True, slots=True)
class RedoRecord:
    """A line to be made anew.

    Attributes:
        job_id: The job that made the track.
        language: ISO 639-1.
        line: The line's index.
        text: What is to be said; nothing is what was said before.
        attempts: Times that it was begun, and the program ended before it was made.
    """

    job_id: int
    language: str
    line: int
    text: str | None
    attempts: int


class Redos:
    """Lines to be made anew; one that was asked for outlives the process that was asked."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ask(self, job_id: int, language: str, line: int, text: str | None) -> None:
        """Keep that a line is to be made anew, in place of what was asked of it before."""
        self._database.run(
            Redo.put(job=job_id, language=language, line_index=line, text=text, attempts=0)
        )

    def open(self) -> list[RedoRecord]:
        """Return all lines that are still to be made, in the order of jobs and lines."""
        query = Redo.select().order_by(Redo.job, Redo.language, Redo.line_index)
        return [
            RedoRecord(int(row.job_id), row.language, row.line_index, row.text, row.attempts)
            for row in self._database.all(query)
        ]

    def begin(self, job_id: int, language: str, line: int) -> None:
        """Count one more attempt to make a line."""
        self._database.run(
            Redo.update(attempts=Redo.attempts + 1).where(*_is(job_id, language, line))
        )

    def give_back(self, job_id: int, language: str, line: int) -> None:
        """Let a line be made later, as if it had not been begun."""
        self._database.run(Redo.update(attempts=0).where(*_is(job_id, language, line)))

    def settle(self, job_id: int, language: str, line: int) -> None:
        """Forget a line that was made, or cannot be."""
        self._database.run(Redo.delete().where(*_is(job_id, language, line)))


def _is(job_id: int, language: str, line: int) -> tuple[bool, bool, bool]:
    return Redo.job == job_id, Redo.language == language, Redo.line_index == line
