"""Which film of Radarr, or series of Sonarr, a file belongs to; they are asked as little as can be.

Neither can be asked by path. A folder that is named with an id, as `Film (1999) {tmdb-603}`, is
asked for alone; else their whole list is read once, and only ids and folders of it are kept.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dubarr_watch.neighbours.asking import Line
from dubarr_watch.neighbours.paths import behind

KEPT_S = 600.0
AGAIN_S = 60.0
"""What is not in a list may be new, but whoever never has it is not asked with every track."""

MOST = 200_000


@dataclass(slots=True)
class Owners:
    """Films or series, as far as they are known.

    Attributes:
        kind: `movie` or `series`, in their API.
        id_name: The number that their folders are named with: `tmdbId` or `tvdbId`.
        clock: Seconds.
    """

    kind: str
    id_name: str
    clock: Callable[[], float] = time.monotonic
    _folders: dict[str, int] = field(default_factory=dict, repr=False)
    _listed_s: float = float("-inf")

    def of(self, path: str, line: Line) -> int | None:
        """Return the id of what a file belongs to; nothing when they do not know it.

        Args:
            path: The file, as they call it.
            line: The way to them.

        Raises:
            NotTold: They do not answer.
        """
        named = re.findall(rf"\b{self.id_name.removesuffix('Id')}(?:id)?[-=](\d+)", path, re.I)
        if named:
            query = {self.id_name: named[-1]}
            found = self._innermost(path, _folders(line.each(f"/api/v3/{self.kind}", query)))
            if found is not None:
                return found
        age_s = self.clock() - self._listed_s
        known = self._innermost(path, self._folders) if age_s <= KEPT_S else None
        if known is None and age_s > AGAIN_S:
            all_of_them = {"excludeLocalCovers": "true"} if self.kind == "movie" else None
            self._folders = _folders(line.each(f"/api/v3/{self.kind}", all_of_them))
            self._listed_s = self.clock()
            known = self._innermost(path, self._folders)
        return known

    def forget(self) -> None:
        """Ask anew the next time."""
        self._listed_s = float("-inf")

    @staticmethod
    def _innermost(path: str, folders: dict[str, int]) -> int | None:
        fitting = [one for one in folders if behind(path, one) is not None]
        return folders[max(fitting, key=len)] if fitting else None


def _folders(found: Any) -> dict[str, int]:
    folders: dict[str, int] = {}
    for one in found:
        folder, number = one.get("path"), one.get("id")
        if isinstance(folder, str) and folder and isinstance(number, int) and len(folders) < MOST:
            folders[folder] = number
    return folders
