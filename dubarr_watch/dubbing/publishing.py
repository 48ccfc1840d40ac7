"""Putting a finished file beside its video so that nothing half-written ever has a final name.

The order is always the same: write under a hidden name in the target's own folder, verify, fsync,
ask whether the video is still the one that was dubbed, rename, fsync the folder. Whatever fails on
the way leaves what was there before, and no temporary file.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import structlog

from dubarr_watch.dubbing.publishing_errors import READ_ONLY, in_words, plain_errors
from dubarr_watch.errors import DiskFull, PublishError, VideoChanged
from dubarr_watch.library.naming import temporary_name
from dubarr_watch.media import Opener, held
from dubarr_watch.storage import sync

SPARE_BYTES = 16 * 1024 * 1024
"""Space that stays free beyond what is written: a full disk hurts more than a missing dub."""

NOTICED_NS = 2_000_000_000
"""By how much a replaced video is newer, even than one from the future: Jellyfin probes a file
again when its time of change is another by more than a second (its ProbeProvider), and FAT keeps
even seconds only."""

# File systems that cannot do something harmless to leave out say so in many ways.
_UNSUPPORTED = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF, errno.EISDIR}
)

_log = structlog.get_logger(__name__)


def _no_step(step: str) -> None:
    """Ignore the steps of publishing."""


Naming = Callable[[], AbstractContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a finished file goes, and on which conditions.

    Attributes:
        target: Its final name.
        job: The job, part of the temporary name.
        still_there: Raises `VideoChanged` when the video is not the one that was dubbed any more.
        token: Of the job's claim, part of the temporary name, too.
        naming: Opens the block in which the file gets its final name; refuses by raising.
        may_replace: Whether something under the final name is ours to replace.
        like: The file whose permissions and owner it takes; nothing: the process's own.
        whole: Take everything from `like` (exact permissions, extended attributes) because the
            file takes its place.
        on_step: Told each step by name (`created`, `written`, `verified`, `synced`, `asked`,
            `named`, `done`) when it is finished.
        opened: Opens its folder, if that lies in the library.
    """

    target: Path
    job: int
    still_there: Callable[[], None]
    token: int = 0
    naming: Naming = nullcontext
    may_replace: bool = False
    like: Path | None = None
    whole: bool = False
    on_step: Callable[[str], None] = _no_step
    opened: Opener = held


def publish(
    place: Place,
    write: Callable[[Path], None],
    verify: Callable[[Path], None],
    *,
    needs_bytes: int,
) -> Path:
    """Write a file and give it its final name only when it is whole and verified.

    Args:
        place: Where to, and on which conditions.
        write: Fills the file it is given; the file exists and is empty.
        verify: Raises when what was written is not what it should be.
        needs_bytes: About how large the file will be.

    Returns:
        The final name.

    Raises:
        VideoChanged: `place.still_there` said so.
        DiskFull: There is too little space, or it ran out.
        NotWritable: The folder is read-only.
        PublishError: The final name is taken by a file that is not ours, or cannot be used.
        DubarrError: What `write` or `verify` raise.
    """
    folder = place.target.parent
    with plain_errors(place.target, place.still_there), place.opened(folder) as here:
        _refuse_taken(place)
        _refuse_long(place.target)
        _preflight(folder, needs_bytes)
        temporary = here / temporary_name(place.target.name, place.job, place.token)
        _create(temporary, place.like)
        try:
            place.on_step("created")
            write(temporary)
            place.on_step("written")
            verify(temporary)
            place.on_step("verified")
            _take_after(temporary, place)
            sync(temporary)
            place.on_step("synced")
            place.still_there()
            place.on_step("asked")
            with place.naming():
                _assert_same(folder, here)
                _give_name(temporary, place)
                place.on_step("named")
                _sync_folder(here)
        finally:
            # Gone by now when everything went well.
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()
        place.on_step("done")
    return place.target


def check_place(target: Path, *, job: int, needs_bytes: int, opened: Opener = held) -> None:
    """Find out, before hours of work, whether a file could be published.

    Args:
        target: Its final name.
        job: The job, part of the temporary name.
        needs_bytes: About how large the file will be.
        opened: Opens its folder.

    Raises:
        VideoChanged: Its folder is gone.
        PublishError, DiskFull, NotWritable: See `publish`.
    """
    with plain_errors(target, lambda: None), opened(target.parent) as here:
        _refuse_long(target)
        _preflight(target.parent, needs_bytes)
        temporary = here / temporary_name(target.name, job)
        _create(temporary, None)
        temporary.unlink()


def publish_file(
    source: Path,
    *,
    target: Path,
    job: int,
    still_there: Callable[[], None],
    token: int = 0,
    naming: Naming = nullcontext,
    may_replace: bool = False,
    like: Path | None = None,
    on_step: Callable[[str], None] = _no_step,
    opened: Opener = held,
) -> Path:
    """Publish a copy of a finished file, such as a subtitle file.

    Args:
        source: The finished file, anywhere.
        target: Its final name beside the video.
        job: The job, part of the temporary name.
        still_there: Raises `VideoChanged` when the video is gone or another.
        token: See `Place`.
        naming: See `Place`.
        may_replace: Whether an existing target is ours to replace.
        like: The video, whose permissions and owner the file takes.
        on_step, opened: See `Place`.

    Raises:
        PublishError, DiskFull, NotWritable, VideoChanged: See `publish`.
    """
    place = Place(
        target=target,
        job=job,
        still_there=still_there,
        token=token,
        naming=naming,
        may_replace=may_replace,
        like=like,
        on_step=on_step,
        opened=opened,
    )
    size = source.stat().st_size

    def write(temporary: Path) -> None:
        shutil.copyfile(source, temporary)

    def verify(temporary: Path) -> None:
        if temporary.stat().st_size != size:
            raise PublishError("The copy has not the length of its source.", path=target)

    return publish(place, write, verify, needs_bytes=size)


def _refuse_taken(place: Place) -> None:
    if place.may_replace or not os.path.lexists(place.target):
        return
    raise PublishError(
        "A file with this name is already there, and it is not one of mine.",
        hint="Move or rename it, then retry the job.",
        path=place.target,
    )


def _refuse_long(target: Path) -> None:
    """Say before any work that a name is too long, rather than after it."""
    try:
        longest = os.pathconf(target.parent, "PC_NAME_MAX")
    except (OSError, ValueError):
        return
    if 0 < longest < len(os.fsencode(target.name)):
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(target))


def _preflight(folder: Path, needs_bytes: int) -> None:
    usage = shutil.disk_usage(folder)
    needed = needs_bytes + SPARE_BYTES
    if 0 < usage.total < needed:
        raise PublishError(
            f"This disk is too small: {in_words(needed)} of space needed, "
            f"{in_words(usage.total)} in all.",
            path=folder,
        )
    # Some network file systems report nothing at all; then only trying tells.
    if usage.total > 0 and usage.free < needed:
        raise DiskFull(
            f"There is not enough space: {in_words(needed)} needed, {in_words(usage.free)} free.",
            hint="Free some space, then retry the job.",
            path=folder,
        )


def _create(temporary: Path, like: Path | None) -> None:
    """Create the empty file with the permissions it will have, as the umask allows them."""
    mode = 0o666 if like is None else (stat.S_IMODE(like.stat().st_mode) & 0o666) | 0o600
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    os.close(os.open(temporary, flags, mode))


def _take_after(temporary: Path, place: Place) -> None:
    """Give the file the owner of its example, and all else too when it takes its place."""
    if place.like is None:
        return
    example = place.like.stat()
    own = temporary.stat()
    if (own.st_uid, own.st_gid) != (example.st_uid, example.st_gid):
        _best_effort(temporary, lambda: os.chown(temporary, example.st_uid, example.st_gid))
        if temporary.stat().st_gid != example.st_gid:
            _best_effort(temporary, lambda: os.chown(temporary, -1, example.st_gid))
    if place.whole:
        like = place.like
        _best_effort(temporary, lambda: shutil.copystat(like, temporary))
        later_ns = max(time.time_ns(), example.st_mtime_ns + NOTICED_NS)
        _best_effort(temporary, lambda: os.utime(temporary, ns=(later_ns, later_ns)))


def _best_effort(path: Path, change: Callable[[], None]) -> None:
    try:
        change()
    except OSError as error:
        # Not every user may give files away, and not every file system keeps attributes.
        _log.debug("attributes not kept", path=path, reason=error.strerror)


def _sync_folder(folder: Path) -> None:
    try:
        sync(folder)
    except OSError as error:
        # The name is in place; only its survival of a power cut is less sure.
        if error.errno not in _UNSUPPORTED | READ_ONLY:
            raise
        _log.debug("folder not synced", path=folder, reason=error.strerror)


def _assert_same(folder: Path, here: Path) -> None:
    """Refuse to finish in a folder that was moved away: nobody would find the file."""
    if not folder.samefile(here):
        raise VideoChanged("The video's folder was moved while it was written to.", path=folder)


def _give_name(temporary: Path, place: Place) -> None:
    target = temporary.with_name(place.target.name)
    if place.may_replace:
        os.replace(temporary, target)  # noqa: PTH105 - the seam where tests fail it
        return
    # Unlike a rename, a link never replaces what somebody put there meanwhile.
    try:
        os.link(temporary, target, follow_symlinks=False)
    except FileExistsError:
        _refuse_taken(place)
        raise
    except OSError as error:
        if error.errno not in _UNSUPPORTED | {errno.EPERM, errno.EMLINK, errno.EACCES}:
            raise
        _refuse_taken(place)
        os.replace(temporary, target)  # noqa: PTH105 - the seam where tests fail it
