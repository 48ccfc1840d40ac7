"""Videos that are not where they were, until it is sure that they are gone."""

from __future__ import annotations

import os
from pathlib import Path

from dubarr_watch.library.anchor import Anchor
from dubarr_watch.library.arrival import Arrival
from dubarr_watch.library.roll import Roll

_GRACE_S = 2.0


class Absences:
    """Who is missing since when; used by one thread.

    Args:
        roll: Who is known.
        anchor: Knows whether the library itself is there.
        arrival: Records who is gone.
        settle_s: How long a video settles; at the far end of a rename it has to be recognized
            first, so that an absence lasts longer.
    """

    def __init__(self, roll: Roll, anchor: Anchor, arrival: Arrival, settle_s: float) -> None:
        self._roll = roll
        self._anchor = anchor
        self._arrival = arrival
        self._grace_s = settle_s + _GRACE_S
        self._since_s: dict[Path, float] = {}

    def begin(self, path: Path, now_s: float) -> None:
        """Take note that a known video is not at its path."""
        self._since_s.setdefault(path, now_s)

    def begin_all(self, paths: set[Path], now_s: float) -> None:
        """Take note of all that a scan did not find, but for what is on a disk that is away."""
        for path in paths - self._anchor.on_lost_disks(paths):
            self.begin(path, now_s)

    def end(self, path: Path) -> None:
        """Forget an absence: something is at the path again, or the video is elsewhere."""
        self._since_s.pop(path, None)

    def next_look_s(self) -> float | None:
        """Return when the next absence has lasted long enough, in monotonic seconds."""
        return min((since + self._grace_s for since in self._since_s.values()), default=None)

    def take_due(self, now_s: float) -> bool:
        """Record videos that have been away for long enough not to be on the way elsewhere."""
        due = [path for path, since in self._since_s.items() if since + self._grace_s <= now_s]
        away = self._anchor.on_lost_disks(due)
        changed = False
        for path in due:
            del self._since_s[path]
            if path in away or not self._anchor.still_holds() or os.path.lexists(path):
                continue
            video = self._roll.remove(path)
            if video is not None:
                self._arrival.gone(video)
                changed = True
        return changed
