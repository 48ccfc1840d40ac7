"""Whether the library is really there, and whether it was ever recorded."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path

import structlog

from dubarr_watch.library.mounts import identity_of, mount_point, mounts_below
from dubarr_watch.store.store import Store

_LOG = structlog.get_logger(__name__)
_BASELINE = "library_baseline"
_MOUNTS = "library_mounts"


class Anchor:
    """Tells an emptied library from one whose disk is not there.

    A mount that is gone leaves no folder, or an empty one that is another folder than before.
    Absence then means nothing: no video is called missing, nothing is forgotten. The same goes for
    each disk that is mounted somewhere in the library. May be asked by any thread.

    Args:
        root: VIDEOS_DIR.
        store: Keeps whether the first scan has been recorded.
    """

    def __init__(self, root: Path, store: Store) -> None:
        self._root = root
        self._store = store
        self._seen: tuple[int, int] | None = None
        self._mounts = {Path(os.fsdecode(bytes.fromhex(one))) for one in self._kept_mounts()}
        self._told: set[Path] = set()
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

    def is_away(self, path: Path) -> bool:
        """Tell whether the disk that something in the library is on is not there just now."""
        if path != self._root and self._root not in path.parents:
            return False
        # Where nothing was scanned yet, an empty library is not there.
        there = _holds_anything(self._root) if self._seen is None else self.still_holds()
        return not there or bool(self.on_lost_disks([path]))

    def lost_mounts(self) -> set[Path]:
        """Return where in the library disks were mounted that are not there now."""
        mounts = self._mounts
        return mounts - mounts_below(self._root) if mounts else set()

    def on_lost_disks(self, paths: Iterable[Path]) -> set[Path]:
        """Return which of some paths in the library are on such a disk."""
        lost = self.lost_mounts()
        return {p for p in paths if not lost.isdisjoint(self._really(p).parents)} if lost else set()

    def keep_mounts(self, seen: Collection[Path]) -> None:
        """Take the disks that are mounted in the library as what belongs there.

        Args:
            seen: The videos that were found; where there are some, nothing is lost any more.
        """
        lost = self.lost_mounts()
        found = (
            {folder for path in seen for folder in self._really(path).parents} if lost else set()
        )
        mounts = mounts_below(self._root) | (lost - found)
        if mounts != self._mounts:
            self._mounts = mounts
            kept = sorted(os.fsencode(mount).hex() for mount in mounts)
            self._store.meta.set(_MOUNTS, json.dumps(kept))
        for mount in lost & mounts - self._told:
            _LOG.warning(
                "disk_away",
                folder=mount,
                hint="Nothing on it is forgotten; all goes on when it is back.",
            )
        self._told = lost & mounts

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

    def _kept_mounts(self) -> list[str]:
        kept: list[str] = json.loads(self._store.meta.get(_MOUNTS) or "[]")
        return kept

    def _really(self, path: Path) -> Path:
        """Return a path below the root as the table of mounts has it."""
        return Path(os.path.realpath(self._root)) / path.relative_to(self._root)


def _holds_anything(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False
