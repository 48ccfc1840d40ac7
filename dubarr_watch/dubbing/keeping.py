"""Work folders of ended jobs: kept for a while, to make single lines anew or to try again."""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import structlog

from dubarr_watch.dubbing.workspace import Workspace
from dubarr_watch.errors import IllegalTransition
from dubarr_watch.storage import write_atomically
from dubarr_watch.store.checkpoints import Checkpoints

log = structlog.get_logger(__name__)

_MARK = "finished"
_PUBLISHING = "publishing-again"
_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of jobs that finished, and of those that failed.

    Attributes:
        folder: CONFIG_DIR/work.
        checkpoints: Which go with the folders.
        days: KEEP_WORK_DAYS.
        most_bytes: KEEP_WORK_GIB, in bytes.
        now: The time, in seconds since 1970.
        failed_at: Tells when a job failed, in seconds since 1970; nothing for one that did not.
        held: Keeps jobs from being started for as long as its `with` block lasts.
    """

    folder: Path
    checkpoints: Checkpoints
    days: float
    most_bytes: float
    now: Callable[[], float] = time.time
    failed_at: Callable[[int], float | None] = lambda job: None
    held: Callable[[], AbstractContextManager[object]] = nullcontext

    def keep(self, job: int) -> None:
        """Keep the work folder of a job that has just finished, or clear it when none is kept."""
        folder = self.folder / str(job)
        if self.days > 0 and self.most_bytes > 0 and folder.is_dir():
            write_atomically(folder / _MARK, b"")
        else:
            self._clear(folder)
        self.prune()

    def prune(self) -> list[int]:
        """Clear what is kept too long, then the oldest until the rest has room; return the jobs."""
        found = sorted(self._kept(), reverse=True)
        left, cleared = self.most_bytes, []
        for ended_at, folder in found:
            left -= _size_bytes(folder)
            over = left < 0 or self.now() - ended_at > self.days * _DAY_S
            if over and self._clear_unused(folder):
                cleared.append(int(folder.name))
        if cleared:
            log.info("kept work cleared", jobs=cleared)
        return cleared

    def _kept(self) -> Iterator[tuple[float, Path]]:
        if not self.folder.is_dir():
            return
        for folder in self.folder.iterdir():
            if folder.name.isdecimal() and (ended_at := self._ended_at(folder)) is not None:
                yield ended_at, folder

    def _ended_at(self, folder: Path) -> float | None:
        return _finished_at(folder) if is_kept(folder) else self.failed_at(int(folder.name))

    def _clear_unused(self, folder: Path) -> bool:
        try:
            with alone_in(folder), self.held():
                if self._ended_at(folder) is None:  # it was started again meanwhile
                    return False
                gone = folder.with_name(f".{folder.name}.gone")
                shutil.rmtree(gone, ignore_errors=True)
                self.checkpoints.drop(int(folder.name))
                folder.rename(gone)
        except (BlockingIOError, FileNotFoundError):  # in use, or another job cleared it
            return False
        shutil.rmtree(gone, ignore_errors=True)
        return True

    def _clear(self, folder: Path) -> None:
        if folder.is_dir():
            Workspace(folder, int(folder.name), self.checkpoints).clear()


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the lock of whoever works with what is kept of a job, for the length of a `with` block.

    Raises:
        BlockingIOError: Somebody does just now.
    """
    with (folder / "redo.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield


@contextmanager
def nobody_at(folder: Path, job: int) -> Iterator[None]:
    """Keep everybody else from making a line of a job anew, for the length of a `with` block.

    Args:
        folder: The job's work folder; where there is none, nothing can be made anew.
        job: The job.

    Raises:
        IllegalTransition: Somebody makes one just now.
    """
    with ExitStack() as held:
        try:
            held.enter_context(alone_in(folder))
        except FileNotFoundError:
            pass
        except BlockingIOError:
            raise IllegalTransition(
                f"A line of job {job} is made anew just now.", hint="Wait until it is published."
            ) from None
        yield


@contextmanager
def published_again(folder: Path) -> Iterator[None]:
    """Leave a mark while tracks of a finished job are published, for `broken_off` to find."""
    mark = folder / _PUBLISHING
    mark.touch()
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def broken_off(work: Path) -> list[int]:
    """Return the jobs whose tracks were being published again when their process died.

    Each is returned once.
    """
    found: list[int] = []
    for mark in work.glob(f"*/{_PUBLISHING}"):
        try:
            with alone_in(mark.parent):
                mark.unlink()
        except (BlockingIOError, FileNotFoundError):  # at work just now, or cleared meanwhile
            continue
        if mark.parent.name.isdecimal():
            found.append(int(mark.parent.name))
    return found


def is_kept(folder: Path) -> bool:
    """Tell whether a work folder is that of a finished job."""
    return (folder / _MARK).is_file()


def _finished_at(folder: Path) -> float:
    try:
        return (folder / _MARK).stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size_bytes(folder: Path) -> int:
    total = 0
    for where, _, names in os.walk(folder):  # unlike rglob it bears that a folder goes meanwhile
        for name in names:
            try:
                found = Path(where, name).lstat()
                total += found.st_size if stat.S_ISREG(found.st_mode) else 0
            except FileNotFoundError:
                continue  # it went between listing and looking
    return total
