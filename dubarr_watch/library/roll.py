"""The videos that are in the library as far as is known, in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from dubarr_watch.library.scanner import SeenFile
from dubarr_watch.store.records import VideoRecord
from dubarr_watch.store.store import Store


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
        self._by_path: dict[Path, VideoRecord] = {}
        self._path_of: dict[int, Path] = {}
        self._by_stat: dict[tuple[int, int], list[Path]] = {}
        self._handled: set[int] = set()

    def __len__(self) -> int:
        return len(self._by_path)

    def __iter__(self) -> Iterator[VideoRecord]:
        return iter(list(self._by_path.values()))

    def __contains__(self, path: Path) -> bool:
        return path in self._by_path

    def load(self) -> None:
        """Read what the store knows: other processes may have forgotten videos since."""
        videos = self._store.videos.under(self._root)
        self._by_path = {video.path: video for video in videos}
        self._path_of = {video.id: video.path for video in videos}
        self._by_stat = {}
        for video in videos:
            self._by_stat.setdefault((video.size_bytes, video.mtime_ns), []).append(video.path)
        self._handled &= {video.id for video in videos}

    def get(self, path: Path) -> VideoRecord | None:
        """Return the video at a path."""
        return self._by_path.get(path)

    def below(self, folder: Path) -> list[VideoRecord]:
        """Return the videos that are in a folder or below it."""
        return [video for path, video in self._by_path.items() if folder in path.parents]

    def absent(self, seen: set[Path]) -> set[Path]:
        """Return the paths of known videos that are not among those seen."""
        return self._by_path.keys() - seen

    def was_elsewhere(self, seen: SeenFile) -> bool:
        """Tell whether a file has size and time of a known video that is not where it was."""
        paths = self._by_stat.get((seen.size_bytes, seen.mtime_ns), ())
        return any(path != seen.path and not os.path.lexists(path) for path in paths)

    def remember(self, video: VideoRecord) -> Path | None:
        """Take a video as the store has it now; returns the path that it has left, if any."""
        left = self._path_of.get(video.id, video.path)
        there = self._by_path.get(left)
        moved = left != video.path and there is not None and there.id == video.id
        if moved:
            del self._by_path[left]
        self._path_of[video.id] = video.path
        self._by_path[video.path] = self._store.videos.get(video.id)
        self._by_stat.setdefault((video.size_bytes, video.mtime_ns), []).append(video.path)
        return left if moved else None

    def remove(self, path: Path) -> VideoRecord | None:
        """Take a path off the roll; returns the video that was there."""
        video = self._by_path.pop(path, None)
        if video is not None:
            self._handled.discard(video.id)
            self._path_of.pop(video.id, None)
        return video

    def is_handled(self, video: VideoRecord) -> bool:
        """Tell whether nothing more is to be done for a video as it is."""
        return video.id in self._handled

    def set_handled(self, video: VideoRecord, *, handled: bool) -> None:
        """Keep whether nothing more is to be done for a video as it is."""
        if handled:
            self._handled.add(video.id)
        else:
            self._handled.discard(video.id)
