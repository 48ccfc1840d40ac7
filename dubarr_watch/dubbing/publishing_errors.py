"""What the operating system says when a file cannot be put in place, as what the user can do."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from dubarr_watch.errors import (
    DiskFull,
    DubarrError,
    MediaError,
    NotWritable,
    PublishError,
    VideoChanged,
)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
READ_ONLY = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})


@contextlib.contextmanager
def plain_errors(target: Path, still_there: Callable[[], None]) -> Iterator[None]:
    """Turn what the operating system and ffmpeg say into what the user can do.

    Args:
        target: The final name of the file that is written.
        still_there: Raises `VideoChanged` when the video is not the one that was dubbed any more;
            asked when something is gone.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _GONE:
            still_there()
        raise _explained(error, target) from error
    except MediaError as error:
        words = error.message.lower()
        if any(os.strerror(code).lower() in words for code in _FULL):
            raise _full(target) from error
        raise


def in_words(size_bytes: int) -> str:
    """Return a size as people say it."""
    if size_bytes >= 1_000_000_000:
        return f"{size_bytes / 1e9:.1f} GB"
    return f"{size_bytes / 1e6:.1f} MB"


def _explained(error: OSError, target: Path) -> DubarrError:
    if error.errno in _FULL:
        return _full(target)
    if error.errno in READ_ONLY:
        return NotWritable(
            f"I may not write here: {error.strerror}.",
            hint="Mount the folder writable and give its owner or group write permission.",
            path=target.parent,
        )
    if error.errno == errno.ENAMETOOLONG:
        return PublishError(
            "The name is too long for this file system.",
            hint="Give the video a shorter name, then retry the job.",
            path=target,
        )
    if error.errno in _GONE and not target.parent.is_dir():
        return VideoChanged("The video's folder is not there any more.", path=target.parent)
    return PublishError(
        f"The file could not be put in place: {error.strerror or error}.",
        hint="Check the disk or the network mount, then retry the job.",
        path=target,
    )


def _full(target: Path) -> DiskFull:
    try:
        left = f"; {in_words(shutil.disk_usage(target.parent).free)} is free now"
    except OSError:
        left = ""
    return DiskFull(
        f"The disk or the quota ran full while writing{left}.",
        hint="Free some space, then retry the job.",
        path=target.parent,
    )
