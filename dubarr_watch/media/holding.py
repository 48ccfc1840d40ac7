"""Files held open: a name for the very file that was looked at, whatever its path leads to by then.

A path can be made to lead elsewhere between a look at it and the opening of it. A descriptor can
not, and Linux gives each one a name, which programs that inherit it can open like any other.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from dubarr_watch.errors import MediaError

Opener = Callable[[Path], AbstractContextManager[Path]]
"""Holds a file or a folder open for a `with` block; gives the name that means it."""

# Neither reads, nor waits for the other end of a named pipe.
_HOLD = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK)
_HANDLES = Path("/proc/self/fd")
_HELD = re.compile(rf"^(?:file:)?{_HANDLES}/(\d+)(?:/|$)")


@contextmanager
def held(path: Path) -> Iterator[Path]:
    """Hold a file or a folder open, and yield the name that means it while it is.

    Where the system has no such names it is the path itself.

    Raises:
        OSError: It cannot be opened.
    """
    handle = os.open(path, _HOLD | os.O_CLOEXEC)
    try:
        name = _HANDLES / str(handle)
        yield name if name.exists() else path
    finally:
        os.close(handle)


@contextmanager
def readable(path: Path, opened: Opener = held) -> Iterator[Path]:
    """Hold a media file open, and yield the name to read it by.

    Raises:
        MediaError: It cannot be opened, or is no file.
        DubarrError: What `opened` raises.
    """
    with ExitStack() as stack:
        try:
            name = stack.enter_context(opened(path))
            regular = stat.S_ISREG(name.stat().st_mode)
        except OSError as error:
            raise MediaError(
                f"The file cannot be opened: {error.strerror or error}.", path=path
            ) from error
        if not regular:
            raise MediaError("This is no regular file.", path=path)
        yield name


def handles_in(command: Sequence[str]) -> list[int]:
    """Return the descriptors that the arguments of a program name, which it must inherit."""
    return sorted({int(found[1]) for word in command if (found := _HELD.match(word))})


def without_handles(words: str) -> str:
    """Return what a program said, each name of a descriptor as `it`."""
    return re.sub(rf"file:{_HANDLES}/\d+", "it", words)
