"""Walking the library: what is in each folder, without opening a single file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from dubarr_watch.library.markers import MarkerKind, MarkerName, parse_marker_name
from dubarr_watch.library.naming import (
    ANSWERING,
    is_ignored_folder,
    is_video_name,
    writing_job,
)

_LOG = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as one `stat` tells it.

    Attributes:
        path: Where it is.
        size_bytes: Its size.
        mtime_ns: Its modification time.
        ctime_ns: When it, its name or its rights changed last.
    """

    path: Path
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


@dataclass(frozen=True, slots=True)
class SeenMarker:
    """A marker file and what its name says."""

    file: SeenFile
    name: MarkerName


@dataclass(frozen=True, slots=True)
class SeenFolder:
    """What one folder holds.

    Attributes:
        path: The folder.
        videos: Files that may be dubbed, by their names.
        markers: Markers of every kind.
        half_answers: Temporary files of markers that are being answered, or were.
    """

    path: Path
    videos: tuple[SeenFile, ...]
    markers: tuple[SeenMarker, ...]
    half_answers: tuple[SeenFile, ...] = ()


@dataclass(slots=True)
class Walk:
    """One walk over the library: iterate `folders()`, then ask what could not be read.

    Args:
        start: The folder to begin with; itself never ignored by its name.
        follow_links: Whether folders behind symbolic links are walked, each once.
    """

    start: Path
    follow_links: bool = False
    folders_read: int = 0
    half_answers: list[SeenFile] = field(default_factory=list)
    unreadable: set[Path] = field(default_factory=set)

    def folders(self) -> Iterator[SeenFolder]:
        """Yield each folder that can be read; those that vanish meanwhile are passed over."""
        waiting = [self.start]
        walked: set[tuple[int, int]] = set()
        while waiting:
            folder = waiting.pop()
            if self.follow_links and not _first_visit(folder, walked):
                continue
            try:
                seen, below = read_folder(folder, follow_links=self.follow_links)
            except FileNotFoundError:
                if folder == self.start:
                    self.unreadable.add(folder)
                continue
            except OSError as error:
                self._unreadable(folder, error)
                continue
            self.folders_read += 1
            self.half_answers.extend(seen.half_answers)
            waiting.extend(reversed(below))
            yield seen

    def covered(self, path: Path) -> bool:
        """Tell whether a path would have been seen, so that its absence means something."""
        return self.start in path.parents and not any(
            folder in path.parents for folder in self.unreadable
        )

    def _unreadable(self, folder: Path, error: OSError) -> None:
        self.unreadable.add(folder)
        if folder not in _told:
            _told.add(folder)
            _LOG.warning("folder_unreadable", folder=folder, reason=error.strerror or str(error))


# Folders whose trouble was logged, so that a scan every few minutes does not fill the log.
_told: set[Path] = set()


def read_folder(folder: Path, *, follow_links: bool = False) -> tuple[SeenFolder, list[Path]]:
    """Return what a folder holds, and the folders in it that are to be walked.

    Raises:
        OSError: It cannot be listed.
    """
    files: list[os.DirEntry[str]] = []
    below: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if _is_folder(entry, follow_links=follow_links):
                if not is_ignored_folder(entry.name):
                    below.append(folder / entry.name)
            else:
                files.append(entry)
    names = {entry.name for entry in files}
    videos: list[SeenFile] = []
    markers: list[SeenMarker] = []
    half_answers: list[SeenFile] = []
    for entry in files:
        marker = parse_marker_name(entry.name, names)
        half_answer = writing_job(entry.name) == ANSWERING
        if marker is None and not half_answer and not is_video_name(entry.name):
            continue
        seen = _stat(entry, folder / entry.name)
        if seen is None:
            continue
        if half_answer:
            half_answers.append(seen)
        elif marker is None:
            videos.append(seen)
        else:
            markers.append(SeenMarker(seen, marker))
    # A .nodub first, so that whoever takes the folder knows it before the rest.
    markers.sort(key=lambda marker: (marker.name.kind is not MarkerKind.NODUB, marker.file.path))
    videos.sort(key=lambda video: video.path)
    below.sort()
    return SeenFolder(folder, tuple(videos), tuple(markers), tuple(half_answers)), below


def see_file(path: Path) -> SeenFile | None:
    """Return a regular file as it is now, or nothing when there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return SeenFile(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _is_folder(entry: os.DirEntry[str], *, follow_links: bool) -> bool:
    try:
        return entry.is_dir(follow_symlinks=follow_links)
    except OSError:
        return False


def _stat(entry: os.DirEntry[str], path: Path) -> SeenFile | None:
    # A symbolic link to a file counts as that file; one to a folder or to nothing does not.
    try:
        found = entry.stat()
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return SeenFile(path, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _first_visit(folder: Path, walked: set[tuple[int, int]]) -> bool:
    try:
        found = folder.stat()
    except OSError:
        return True  # reading it will say why
    identity = (found.st_dev, found.st_ino)
    if identity in walked:
        return False
    walked.add(identity)
    return True
