"""Markers as they come in: followed until they are whole, each wording taken once."""

from __future__ import annotations

import os
import time
from pathlib import Path

from dubarr_watch.library.asking import Asking
from dubarr_watch.library.markers import MarkerKind, MarkerName, parse_marker_name
from dubarr_watch.library.scanner import SeenMarker, see_file
from dubarr_watch.library.stability import StabilityTracker


class MarkerDesk:
    """Where markers are handed in; used by one thread.

    Args:
        asking: Takes settled markers.
        settle_s: How long a marker must stay as it is.

    Attributes:
        settling: The markers that are followed.
    """

    def __init__(self, asking: Asking, settle_s: float) -> None:
        self._asking = asking
        self.settling = StabilityTracker(settle_s)
        self._taken: dict[Path, tuple[int, int]] = {}

    def meet(self, marker: SeenMarker) -> bool:
        """Take note of a marker that is there.

        Returns:
            Whether the videos beside and below it are to be considered anew.
        """
        file = marker.file
        seen = (file.size_bytes, file.mtime_ns)
        if self._taken.get(file.path) == seen:
            return False
        if marker.name.kind is MarkerKind.DUB:
            self.settling.seen(file.path, *seen, time.monotonic())
            return False
        self._taken[file.path] = seen
        if marker.name.kind is MarkerKind.NODUB:
            return True
        self._asking.restore(marker)
        return False

    def miss(self, path: Path, name: MarkerName) -> bool:
        """Take note that a marker is not there; returns as `meet`."""
        self.settling.forget(path)
        self._taken.pop(path, None)
        return name.kind is MarkerKind.NODUB

    def take(self, path: Path) -> bool:
        """Take a marker that has settled; tell whether it is a request, new or changed."""
        self.settling.forget(path)
        found = see_file(path)
        name = name_of(path)
        if found is None or name is None:
            return False
        self._taken[path] = (found.size_bytes, found.mtime_ns)
        return self._asking.take(SeenMarker(found, name)) is not None

    def due_for(self, video: Path) -> float | None:
        """Return when a marker is due that may speak of a video and is still being written."""
        folders = set(video.parents)
        if any(marker.parent in folders for marker in self.settling.paths()):
            return self.settling.next_look_s()
        return None


def name_of(path: Path) -> MarkerName | None:
    """Return what a file's name asks for, as a marker among the files of its folder."""
    return parse_marker_name(path.name, _siblings(path))


def _siblings(path: Path) -> list[str]:
    try:
        return os.listdir(path.parent)
    except OSError:
        return []
