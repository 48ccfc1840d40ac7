"""What files speak, where a neighbour knows it and the file itself may not say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubarr_watch.store.database import Database
from dubarr_watch.store.models import Spoken


class SpokenLanguages:
    """Languages of files by path, of videos that may still be to come."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, path: Path) -> tuple[str, ...]:
        """Return the ISO 639-1 codes told of a file; none when nobody told."""
        row = self._database.first(Spoken.select().where(Spoken.path == path))
        return tuple(row.languages.split(",")) if row is not None else ()

    def set(self, path: Path, languages: Sequence[str]) -> None:
        """Keep what a file speaks, in place of what was told before; none forgets it."""
        if languages:
            self._database.run(Spoken.put(path=path, languages=",".join(languages)))
        else:
            self._database.run(Spoken.delete().where(Spoken.path == path))

    def move(self, old: Path, new: Path) -> None:
        """Let what was told follow a file to its new name."""
        with self._database.transaction():
            told = self.of(old)
            if told:
                self.set(new, told)
                self.set(old, ())
