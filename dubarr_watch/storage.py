"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dubarr_watch.errors import DiskFull, NotWritable, PublishError

_NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
_NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}


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
        if full := as_disk_full(error, path):
            raise full from error
        if error.errno in _NO_PERMISSION:
            raise NotWritable(
                f"This folder cannot be written to: {error.strerror}.",
                hint="Give the user that dubarr-watch runs as write permission there.",
                path=path.parent,
            ) from error
        raise PublishError(f"This file cannot be written: {error.strerror}.", path=path) from error


def as_disk_full(error: OSError, path: Path | None = None) -> DiskFull | None:
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
