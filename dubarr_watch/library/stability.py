"""When a file has stopped changing: pure bookkeeping, fed with what was seen and when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True)
class _Watched:
    size_bytes: int
    mtime_ns: int
    unchanged_since_s: float
    look_at_s: float


class StabilityTracker:
    """Tells which files have kept their size and modification time for a while.

    A file is never given up: each change starts its wait anew, for as long as it takes. All times
    are monotonic seconds that the caller passes in; nothing here reads a clock or a disk.

    Args:
        settle_seconds: How long a file must not change.
    """

    def __init__(self, settle_seconds: float) -> None:
        self._settle_s = settle_seconds
        self._files: dict[Path, _Watched] = {}

    def __len__(self) -> int:
        return len(self._files)

    def __contains__(self, path: Path) -> bool:
        return path in self._files

    def seen(self, path: Path, size_bytes: int, mtime_ns: int, now_s: float) -> None:
        """Take note of a file's size and modification time."""
        known = self._files.get(path)
        if known is None or (known.size_bytes, known.mtime_ns) != (size_bytes, mtime_ns):
            self._files[path] = _Watched(size_bytes, mtime_ns, now_s, now_s + self._settle_s)

    def seen_settled(self, path: Path, size_bytes: int, mtime_ns: int, now_s: float) -> None:
        """Take note of a file that is known not to have changed for long: it is due at once."""
        since_s = now_s - self._settle_s
        self._files[path] = _Watched(size_bytes, mtime_ns, since_s, since_s)

    def postpone(self, path: Path, look_at_s: float) -> None:
        """Ask for another look at an unchanged file no earlier than this; a change resets it."""
        known = self._files.get(path)
        if known is not None:
            known.look_at_s = max(known.look_at_s, look_at_s)

    def forget(self, path: Path) -> None:
        """Stop following a file: it was taken over, or it is gone."""
        self._files.pop(path, None)

    def paths(self) -> list[Path]:
        """Return what is followed."""
        return list(self._files)

    def due(self, now_s: float) -> list[Path]:
        """Return the files to look at again now, longest unchanged first.

        The caller stats each, tells `seen`, and asks `is_stable`.
        """
        due = [path for path, known in self._files.items() if known.look_at_s <= now_s]
        return sorted(due, key=lambda path: self._files[path].unchanged_since_s)

    def is_stable(self, path: Path, now_s: float) -> bool:
        """Tell whether a file has kept size and modification time for `settle_seconds`."""
        known = self._files.get(path)
        return known is not None and now_s - known.unchanged_since_s >= self._settle_s

    def unchanged_for_s(self, path: Path, now_s: float) -> float:
        """Return for how long a file has not changed; zero for one that is not followed."""
        known = self._files.get(path)
        return now_s - known.unchanged_since_s if known else 0.0

    def next_look_s(self) -> float | None:
        """Return when the next file is due, or nothing when none is followed."""
        return min((known.look_at_s for known in self._files.values()), default=None)
