"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dubarr_watch.errors import DiskFull, NotWritable, PublishError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}

_SAMPLE_BYTES = 256 * 1024


def write_atomically(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Write a file whole or not at all, and make sure that it is on the disk.

    Args:
        path: Final name; its folder is made when missing.
        data: The whole content.
        mode: Who may read it, as far as the umask allows.

    Raises:
        DiskFull: There is no space.
        NotWritable: The folder cannot be written to.
    """
    with plain_os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
        try:
            created = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            with os.fdopen(created, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
            sync(path.parent)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise


def rename_to_new(source: Path, target: Path) -> None:
    """Give a file another name that nobody has, and never that of something that is there.

    A link, unlike a rename, replaces nothing; where the file system has no hard links, what
    somebody puts there in the same instant is lost.

    Raises:
        FileExistsError: Something is there.
        OSError: The file system refuses.
    """
    try:
        os.link(source, target, follow_symlinks=False)
        source.unlink(missing_ok=True)
    except FileExistsError:
        raise
    except OSError:
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        source.rename(target)


def sync(path: Path) -> None:
    """Make what was written last: a file's content, or a folder's names after a rename.

    Raises:
        OSError: The file system cannot.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def plain_os_errors(path: Path) -> Iterator[None]:
    """Turn an operating system's refusal to write into an error that says what to do.

    Raises:
        DiskFull: No space or quota left.
        NotWritable: No permission, or a read-only file system.
        PublishError: Anything else.
    """
    try:
        yield
    except OSError as error:
        if full := _as_disk_full(error, path):
            raise full from error
        if error.errno in _NO_PERMISSION:
            raise NotWritable(
                f"This folder cannot be written to: {error.strerror}.",
                hint="Give the user that dubarr-watch runs as write permission there.",
                path=path.parent,
            ) from error
        raise PublishError(f"This file cannot be written: {error.strerror}.", path=path) from error


def _as_disk_full(error: OSError, path: Path | None = None) -> DiskFull | None:
    """Return what an operating system's refusal means when space or quota ran out, else nothing.

    Args:
        error: The refusal.
        path: What was written; nothing: the file that the error names.
    """
    if error.errno not in _NO_SPACE:
        return None
    if path is None and isinstance(error.filename, str | bytes):
        path = Path(os.fsdecode(error.filename))
    return DiskFull(
        "The disk is full.", hint="Free some space, then: dubarr-watch retry.", path=path
    )


def lack_of_space(error: BaseException, *folders: Path) -> DiskFull | None:
    """Return what an error means when it came of a lack of space, else nothing.

    A library or another process that could not write says so in words of its own, or not at all:
    then what counts is whether a folder takes anything just now. A quota shows in no figure, so
    that is tried.

    Args:
        error: What ended the work.
        folders: Where it may have written, the likeliest first.
    """
    cause: BaseException | None = error
    said = False
    while cause is not None:
        if isinstance(cause, OSError) and (full := _as_disk_full(cause)) and full.path:
            return full
        said = said or any(os.strerror(code) in str(cause) for code in _NO_SPACE)
        cause = cause.__cause__ or cause.__context__
    full_one = next((folder for folder in folders if _takes_nothing(folder)), None)
    if full_one is None and not (said and folders):
        return None
    return DiskFull(
        "The disk or the quota ran full.", hint="Free some space.", path=full_one or folders[0]
    )


def _takes_nothing(folder: Path) -> bool:
    """Tell whether not even a small file can be written into a folder for lack of space."""
    sample = folder / f".room.{os.getpid()}-{threading.get_ident()}.tmp"
    try:
        with sample.open("wb") as file:
            file.write(bytes(_SAMPLE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in _NO_SPACE
    finally:
        with suppress(OSError):
            sample.unlink(missing_ok=True)
    return False
