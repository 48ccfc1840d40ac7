"""Marker files on disk: reading one, and answering it by a new name."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import structlog

from dubarr_watch.errors import LeadsOut, WrongUsage
from dubarr_watch.library.markers import MARKER_MAX_BYTES
from dubarr_watch.library.naming import ANSWERING, temporary_name
from dubarr_watch.library.scanner import SeenFile
from dubarr_watch.media import Opener, held

_LOG = structlog.get_logger(__name__)
_DONE = ".done"
_FAILED = ".failed"
_NUMBERS = 1000


def read_marker(path: Path, opened: Opener = held) -> bytes:
    """Return a marker's bytes, one more than is allowed at most.

    Args:
        path: The marker.
        opened: Opens it.

    Raises:
        OSError: It cannot be read.
        LeadsOut: It is a link to elsewhere.
        WrongUsage: It is no regular file.
    """
    # O_NONBLOCK: a named pipe called Film.dub must not hold the library up.
    with opened(path) as name:
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(handle, "rb") as file:  # noqa: PTH123 - a descriptor, not a path
        if not os.path.isfile(handle):  # noqa: PTH113 - asks the open file, not its name
            raise WrongUsage("The marker is not a regular file.", path=path)
        return file.read(MARKER_MAX_BYTES + 1)


def mark_done(marker: Path) -> Path | None:
    """Rename a marker to `.dub.done`; return its new path, or nothing where that is impossible.

    An older answer of the same name is kept: the new one gets a number.
    """
    return _renamed(marker, _DONE)


def mark_failed(marker: Path, reason: str, opened: Opener = held) -> Path | None:
    """Rename a marker to `.dub.failed`, its first line a comment that says why.

    The rest of it stays as the user wrote it, so that correcting it and renaming it back asks
    again. A marker too large to be one is left as it is; only the answer is written beside it.

    Returns:
        The answer's path, or nothing where the folder cannot be written to.
    """
    line = f"# {' '.join(reason.split())}\n".encode("utf-8", "backslashreplace")
    try:
        content = read_marker(marker, opened)
    except (OSError, WrongUsage, LeadsOut):
        content = None
    if content is None or len(content) > MARKER_MAX_BYTES:
        return _answer_beside(marker, line)
    answered = _renamed(marker, _FAILED)
    if answered is not None:
        _put_first(answered, line, content)
    return answered


def remove_half_answers(found: Iterable[SeenFile], before_ns: int) -> None:
    """Remove the temporary files of answers that a process did not live to finish.

    Args:
        found: Temporary files of answers.
        before_ns: When this process began; what is younger is its own.
    """
    for file in found:
        if file.ctime_ns < before_ns and not file.path.is_symlink():
            with contextlib.suppress(OSError):
                file.path.unlink()
                _LOG.info("half_answer_removed", path=file.path)


def _renamed(marker: Path, ending: str) -> Path | None:
    for number in range(1, _NUMBERS):
        target = _answer_name(marker, ending, number)
        try:
            # link + unlink instead of rename: it never replaces a file that came meanwhile.
            os.link(marker, target, follow_symlinks=False)
        except FileExistsError:
            if not _is_same(marker, target):
                continue  # else a crash came between the two
        except FileNotFoundError:
            return None
        except OSError:
            # exFAT, FAT and some network shares have no hard links.
            if os.path.lexists(target):
                continue
            return _plainly_renamed(marker, target)
        return _unlinked(marker, target)
    return None


def _is_same(marker: Path, target: Path) -> bool:
    try:
        return marker.samefile(target)
    except OSError:
        return False


def _plainly_renamed(marker: Path, target: Path) -> Path | None:
    try:
        marker.rename(target)
    except OSError as error:
        _cannot(marker, error)
        return None
    return target


def _unlinked(marker: Path, target: Path) -> Path | None:
    try:
        marker.unlink()
    except OSError as error:
        with contextlib.suppress(OSError):
            target.unlink()
        _cannot(marker, error)
        return None
    return target


def _answer_name(marker: Path, ending: str, number: int) -> Path:
    return marker.with_name(f"{marker.name}{ending}{f'.{number}' if number > 1 else ''}")


def _answer_beside(marker: Path, line: bytes) -> Path | None:
    target = _answer_name(marker, _FAILED, 1)
    try:
        with target.open("xb") as file:
            file.write(line)
    except FileExistsError:
        return target
    except OSError as error:
        _cannot(marker, error)
        return None
    return target


def _put_first(answered: Path, line: bytes, content: bytes) -> None:
    digest = hashlib.sha256(os.fsencode(answered.name)).hexdigest()[:16]
    temporary = answered.with_name(
        temporary_name(digest, ANSWERING)
    )  # short, however long the name is
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        little = content.startswith(b"\xff\xfe")
        wide = line.decode().encode("utf-16-le" if little else "utf-16-be")
        content = content[:2] + wide + content[2:]
    elif content.startswith(b"\xef\xbb\xbf"):
        content = content[:3] + line + content[3:]
    else:
        content = line + content
    try:
        with temporary.open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        temporary.replace(answered)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        _cannot(answered, error)


def _cannot(marker: Path, error: OSError) -> None:
    _LOG.warning("marker_not_answered", marker=marker, reason=error.strerror or str(error))
