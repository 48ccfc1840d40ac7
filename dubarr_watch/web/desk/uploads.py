"""Videos that come through the page: written to disk as they come, visible when they are whole."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import unicodedata
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import structlog
from pydantic import BaseModel

from dubarr_watch.errors import DiskFull, IllegalTransition, WrongUsage, printable
from dubarr_watch.library.naming import (
    NAME_MAX_BYTES,
    has_video_ending,
    is_ignored_path,
    is_video_name,
    temporary_name,
    writing_job,
)
from dubarr_watch.settings import Settings
from dubarr_watch.storage import plain_os_errors, rename_to_new, sync, write_atomically
from dubarr_watch.web.works import Works

log = structlog.get_logger(__name__)

_SPARE_BYTES = 512 * 2**20
"""Never taken by an upload: the database and dubs need room, too."""

_NO_JOB = 0
_CHECK_EVERY_BYTES = 64 * 2**20
_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f/\\:*?"<>|]')


class Uploaded(BaseModel):
    """A video that came."""

    name: str
    path: str
    size_bytes: int


class UploadDesk:
    """Takes videos in.

    Args:
        settings: VIDEOS_DIR, UPLOAD_MAX_GIB.
        works: The library is to look at what came.
    """

    def __init__(self, settings: Settings, works: Works) -> None:
        self._root = settings.videos_dir
        self._most_bytes = int(settings.upload_max_gib * 2**30)
        self._works = works
        self._begun = settings.config_dir / "run" / "uploads"
        self._remove_what_died()

    def begin(self, name: str, folder: str, announced_bytes: int | None) -> Upload:
        """Open a file for what will come.

        Args:
            name: As the sender calls it; made safe.
            folder: Below the library.
            announced_bytes: How much will come, where the sender says so.

        Raises:
            WrongUsage: It is no video's name, is too large, or the folder is not there.
            IllegalTransition: There is such a file already.
            DiskFull: There is no room for it.
        """
        if announced_bytes is not None:
            self._assert_fits(announced_bytes)
        target = self._folder(folder) / safe_name(name)
        if os.path.lexists(target):
            raise _already_there(target)
        if announced_bytes is not None:
            _assert_room(target.parent, announced_bytes)
        return Upload(self, target)

    def _note(self, part: Path) -> Path:
        """Write down what is begun, so that the next start finds it if this process dies."""
        note = self._begun / hashlib.sha256(os.fsencode(part)).hexdigest()
        write_atomically(note, os.fsencode(part))
        return note

    def _remove_what_died(self) -> None:
        for note in self._begun.glob("*"):
            part = Path(os.fsdecode(note.read_bytes()))
            if writing_job(part.name) == _NO_JOB and not part.is_symlink():
                with suppress(OSError):
                    part.unlink()
                    log.info("leftover removed", path=part)
            note.unlink(missing_ok=True)

    def _assert_fits(self, size_bytes: int) -> None:
        if size_bytes > self._most_bytes:
            raise WrongUsage(
                f"Uploads may have up to {self._most_bytes / 2**30:g} GiB.",
                hint="UPLOAD_MAX_GIB allows more; or copy the file into the library.",
            )

    def _folder(self, folder: str) -> Path:
        parts = [part for part in folder.split("/") if part]
        path = self._root.joinpath(*parts) if "\0" not in folder else self._root / "\ufffd"
        inside = path.resolve().is_relative_to(self._root.resolve())
        if ".." in parts or not inside or not path.is_dir():
            raise WrongUsage(
                "There is no such folder in the library.", path=Path(printable(folder))
            )
        if is_ignored_path(path / "x.mkv", self._root):
            raise WrongUsage("Nothing is dubbed in this folder.", path=path)
        return path


class Upload:
    """A file that is coming; `add`, then `finish`, else `abandon`.

    Args:
        desk: Says how large it may be, and hears of its end.
        target: Its final name.
    """

    def __init__(self, desk: UploadDesk, target: Path) -> None:
        self._desk = desk
        self._target = target
        self._part = target.with_name(temporary_name(target.name, _NO_JOB))
        self._came = 0
        self._looked_at = 0
        self._begun = desk._note(self._part)
        with plain_os_errors(target):
            # A file that a broken process left may have its final name already.
            if self._part.is_symlink() or (self._part.exists() and self._part.stat().st_nlink > 1):
                self._part.unlink(missing_ok=True)
            handle = os.open(self._part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o666)
            self._file: BinaryIO = os.fdopen(handle, "wb", buffering=0)
            # What a broken process left is taken over; what somebody writes, or has finished
            # between these two lines, is not.
            if not _locked(handle) or not _is_at(handle, self._part):
                self._file.close()
                raise IllegalTransition(
                    "A file of this name is being uploaded just now.", hint="Wait.", path=target
                )
            self._file.truncate()

    def add(self, data: bytes) -> None:
        """Write what came.

        Raises:
            WrongUsage: It is more than an upload may have.
            DiskFull: There is no room for more.
        """
        self._came += len(data)
        self._desk._assert_fits(self._came)
        if self._came - self._looked_at >= _CHECK_EVERY_BYTES:
            self._looked_at = self._came
            _assert_room(self._part.parent, 0)
        left = memoryview(data)
        with plain_os_errors(self._target):
            while left:  # a disk that is nearly full takes less than it was given
                left = left[self._file.write(left) :]

    def finish(self) -> Uploaded:
        """Give the file its name; nothing that is there is ever replaced.

        Raises:
            WrongUsage: Nothing came.
            IllegalTransition: There is such a file by now.
        """
        if not self._came:
            raise WrongUsage("The file is empty.", hint="Choose a video.")
        with plain_os_errors(self._target):
            os.fsync(self._file.fileno())
            try:
                rename_to_new(self._part, self._target)
            except FileExistsError:
                raise _already_there(self._target) from None
            self._file.close()
            sync(self._target.parent)
            self._begun.unlink(missing_ok=True)
        log.info("uploaded", video=self._target, size_bytes=self._came)
        self._desk._works.look_at(self._target)
        shown = printable(self._target)
        return Uploaded(name=printable(self._target.name), path=shown, size_bytes=self._came)

    def abandon(self) -> None:
        """Remove what came, unless it was finished."""
        if not self._file.closed:
            self._part.unlink(missing_ok=True)
            self._begun.unlink(missing_ok=True)
            self._file.close()


def safe_name(name: str) -> str:
    """Return a file name without anything that could lead out of a folder or break a tool.

    Raises:
        WrongUsage: Nothing of a video's name is left.
    """
    bare = re.split(r"[/\\]", name)[-1]
    text = unicodedata.normalize("NFC", bare.encode("utf-8", "replace").decode())
    text = _FORBIDDEN.sub("_", text).strip().lstrip(".")
    stem, ending = os.path.splitext(text)  # noqa: PTH122  a path would know `..`
    room = NAME_MAX_BYTES - len(ending.encode()) - len(".Dubarr.xxx.mka")
    stem = stem.encode()[: max(room, 0)].decode("utf-8", "ignore").rstrip(" .")
    found = f"{stem}{ending}"
    if not stem or not has_video_ending(found):
        raise WrongUsage(
            "This is no video's name.",
            hint="Name a file such as Film.mkv.",
            path=Path(printable(bare)),
        )
    if not is_video_name(found):
        raise WrongUsage("Samples, trailers and extras are not dubbed.", path=Path(found))
    return found


def _locked(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(handle: int, path: Path) -> bool:
    """Tell whether an open file is the one at a path, and has no other name."""
    opened = os.fstat(handle)
    try:
        return os.path.samestat(opened, path.lstat()) and opened.st_nlink == 1
    except FileNotFoundError:
        return False


def _already_there(target: Path) -> IllegalTransition:
    return IllegalTransition(
        "There is a file of this name already.", hint="Give it another name.", path=target
    )


def _assert_room(folder: Path, wanted_bytes: int) -> None:
    free = shutil.disk_usage(folder).free
    if free - wanted_bytes < _SPARE_BYTES:
        raise DiskFull("There is not enough room in the library.", hint="Free some.", path=folder)
