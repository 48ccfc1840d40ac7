"""Which processes live: each holds a lock on a file, and the kernel lets go when it dies.

Process ids alone would not do: they are used again, and mean nothing across containers.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from pathlib import Path
from typing import Self

from dubarr_watch.errors import NotWritable

_SUFFIX = ".lock"


class Owner:
    """A living process's right to run jobs; build it with `Owner.acquire`.

    Children made by fork without exec inherit the lock and prolong it: start engines by spawn.

    Attributes:
        id: Unique for each process start; jobs carry it.
    """

    def __init__(self, owner_id: str, path: Path, lock: int) -> None:
        self.id = owner_id
        self._path = path
        self._lock = lock

    @classmethod
    def acquire(cls, config_dir: Path) -> Owner:
        """Take a new id and hold its lock until `release` or the end of the process.

        Raises:
            NotWritable: CONFIG_DIR cannot be written.
        """
        run_dir = config_dir / "run"
        try:
            run_dir.mkdir(parents=True, exist_ok=True)
            while True:
                owner_id = f"{os.getpid()}-{secrets.token_hex(4)}"
                path = run_dir / f"{owner_id}{_SUFFIX}"
                lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o644)
                if _try_lock(lock, fcntl.LOCK_EX) and path.exists():
                    return cls(owner_id, path, lock)
                os.close(lock)  # a clean-up came between the two steps; take another id
        except OSError as error:
            raise NotWritable(
                f"The folder for lock files cannot be written: {error.strerror}.",
                hint="CONFIG_DIR must be a folder that dubarr-watch may write to.",
                path=run_dir,
            ) from error

    def release(self) -> None:
        """Give the lock up; the owner counts as dead from here on."""
        if self._lock >= 0:
            self._path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.release()


def owner_is_alive(config_dir: Path, owner_id: str) -> bool:
    """Tell whether the process behind an owner's id lives; works from any process."""
    return bool(owner_id) and not _is_dead(config_dir / "run" / f"{owner_id}{_SUFFIX}")


def is_known_here(config_dir: Path, owner_id: str) -> bool:
    """Tell whether an owner took its lock in this folder, and nobody has cleared it away yet."""
    return bool(owner_id) and (config_dir / "run" / f"{owner_id}{_SUFFIX}").exists()


def remove_dead_locks(config_dir: Path) -> int:
    """Remove the lock files of dead processes; returns how many."""
    removed = 0
    for path in sorted((config_dir / "run").glob(f"*{_SUFFIX}")):
        removed += _is_dead(path, remove=True)
    return removed


def _is_dead(path: Path, *, remove: bool = False) -> bool:
    try:
        lock = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return True
    try:
        # A shared lock: it fails against a living owner's, and never against another question's.
        dead = _try_lock(lock, fcntl.LOCK_SH)
        if dead and remove:  # while the lock is held, so that no owner takes it in between
            path.unlink(missing_ok=True)
        return dead
    finally:
        os.close(lock)


def _try_lock(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
