"""The videos that are in the library as far as is known, in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.errors import NotInStore
from dubarr_watch.library.scanner import SeenFile
from dubarr_watch.store.records import VideoRecord, VideoState
from dubarr_watch.store.store import Store


@dataclass(frozen=True, slots=True)
class Known:
    """What of a video is kept in memory: 100,000 of them are to be small.

    Attributes:
        id: Its row id.
        place: Its path; text, because a `Path` takes several times as much.
        size_bytes: Its size.
        mtime_ns: Its modification time.
        state: See `VideoState`.
        note: Why nothing is done with it, or empty.
    """

    id: int
    place: str
    size_bytes: int
    mtime_ns: int
    state: VideoState
    note: str

    @property
    def path(self) -> Path:
        """Where it was seen last."""
        return Path(self.place)


class Roll:
    """Known videos by path, and which of them nothing more is to be done for.

    Spares the store a query for each file of each scan.

    Args:
        root: VIDEOS_DIR.
        store: Where videos are kept.
    """

    def __init__(self, root: Path, store: Store) -> None:
        self._root = root
        self._store = store
        self._by_place: dict[str, Known] = {}
        self._by_id: dict[int, Known] = {}
        self._by_time: dict[int, Known | list[Known]] = {}  # hardly ever several
        self._handled: set[int] = set()

    def __len__(self) -> int:
        return len(self._by_place)

    def __iter__(self) -> Iterator[Known]:
        return iter(list(self._by_place.values()))

    def __contains__(self, path: Path) -> bool:
        return str(path) in self._by_place

    def load(self) -> None:
        """Read what the store knows: other processes may have forgotten videos since."""
        self._by_place, self._by_id, self._by_time = {}, {}, {}
        for row_id, path, size_bytes, mtime_ns, state, note in self._store.videos.brief(self._root):
            self._take(
                Known(row_id, os.fsdecode(path), size_bytes, mtime_ns, VideoState(state), note)
            )
        self._handled &= self._by_id.keys()

    def get(self, path: Path) -> Known | None:
        """Return the video at a path."""
        return self._by_place.get(str(path))

    def below(self, folder: Path) -> list[Known]:
        """Return the videos that are in a folder or below it."""
        inside = f"{str(folder).rstrip('/')}/"
        return [video for place, video in self._by_place.items() if place.startswith(inside)]

    def absent(self, seen: set[Path]) -> set[Path]:
        """Return the paths of known videos that are not among those seen."""
        there = {str(path) for path in seen}
        return {Path(place) for place in self._by_place if place not in there}

    def was_elsewhere(self, seen: SeenFile) -> bool:
        """Tell whether a file has size and time of a known video that is not where it was."""
        place = str(seen.path)
        return any(
            known.size_bytes == seen.size_bytes
            and known.place != place
            and not os.path.lexists(known.place)
            for known in self._of_time(seen.mtime_ns)
        )

    def remember(self, video: VideoRecord) -> Path | None:
        """Take a video as the store has it now; returns the path that it has left, if any."""
        now = self._store.videos.get(video.id)
        left = self._by_id.get(video.id)
        moved = left is not None and left.place != str(video.path)
        if left is not None and moved:
            there = self._by_place.get(left.place)
            moved = there is not None and there.id == video.id
            if moved:
                del self._by_place[left.place]
        self._take(
            Known(now.id, str(video.path), now.size_bytes, now.mtime_ns, now.state, now.note)
        )
        return left.path if left is not None and moved else None

    def remove(self, path: Path) -> VideoRecord | None:
        """Take a path off the roll; returns the video that was there, if still kept."""
        known = self._by_place.pop(str(path), None)
        if known is None:
            return None
        self._handled.discard(known.id)
        self._by_id.pop(known.id, None)
        try:
            return self._store.videos.get(known.id)
        except NotInStore:
            return None

    def _take(self, known: Known) -> None:
        before = self._by_id.get(known.id)
        if before is not None:
            others = [one for one in self._of_time(before.mtime_ns) if one != before]
            self._by_time[before.mtime_ns] = others
        self._by_place[known.place] = known
        self._by_id[known.id] = known
        same = self._by_time.setdefault(known.mtime_ns, known)
        if isinstance(same, list):
            same.append(known)
        elif same is not known:
            self._by_time[known.mtime_ns] = [same, known]

    def _of_time(self, mtime_ns: int) -> list[Known]:
        found = self._by_time.get(mtime_ns, [])
        return found if isinstance(found, list) else [found]

    def is_handled(self, video: Known | VideoRecord) -> bool:
        """Tell whether nothing more is to be done for a video as it is."""
        return video.id in self._handled

    def set_handled(self, video: Known | VideoRecord, *, handled: bool) -> None:
        """Keep whether nothing more is to be done for a video as it is."""
        if handled:
            self._handled.add(video.id)
        else:
            self._handled.discard(video.id)
