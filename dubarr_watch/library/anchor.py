"""Whether the library is really there, and whether it was ever recorded."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import structlog

from dubarr_watch.library.mounts import identity_of, mount_point
from dubarr_watch.store.store import Store

_LOG = structlog.get_logger(__name__)
_BASELINE = "library_baseline"


class Anchor:
    """Tells an emptied library from one whose disk is not there.

    A mount that is gone leaves no folder, or an empty one that is another folder than before.
    Absence then means nothing: no video is called missing, nothing is forgotten.

    Args:
        root: VIDEOS_DIR.
        store: Keeps whether the first scan has been recorded.
    """

    def __init__(self, root: Path, store: Store) -> None:
        self._root = root
        self._store = store
        self._seen: tuple[int, int] | None = None
        self.holds = True

    def check(self, *, readable: bool, videos: int, known: int) -> bool:
        """Tell, after a scan, whether what it did not find is really gone.

        Args:
            readable: Whether the root could be listed.
            videos: How many were found.
            known: How many were there before.
        """
        holds = readable and (videos > 0 or known == 0 or self._same_folder())
        if holds:
            self._seen = identity_of(self._root)
        if self.holds and not holds:
            _LOG.warning(
                "library_away",
                folder=self._root,
                hint="Nothing is forgotten; all goes on when it is back.",
            )
        self.holds = holds
        return holds

    def still_holds(self) -> bool:
        """Tell, at any time, whether the root is the folder that was scanned."""
        return self.holds and self._same_folder()

    def is_first_scan(self) -> bool:
        """Tell whether what is there has still to be recorded as having been there before."""
        kept = self._store.meta.get(_BASELINE)
        if kept is None:
            return True
        baseline = json.loads(kept)
        # A folder that was empty and is a mount now was scanned before its disk was there.
        return bool(baseline["videos"] == 0 and baseline["mount"] != self._mount())

    def keep_baseline(self, videos: int) -> None:
        """Record that the first scan is over."""
        _LOG.info("baseline", folder=self._root, videos=videos)
        kept = {"at": datetime.now(UTC).isoformat(), "videos": videos, "mount": self._mount()}
        self._store.meta.set(_BASELINE, json.dumps(kept))

    def _same_folder(self) -> bool:
        identity = identity_of(self._root)
        return identity is not None and identity == self._seen

    def _mount(self) -> str:
        return os.fsencode(mount_point(self._root)).hex()
