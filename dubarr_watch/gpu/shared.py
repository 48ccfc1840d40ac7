"""Leases across daemons that share a card: files in a folder that all of them can reach.

For each device there is `<uuid>.lock`, held while anybody decides about it, and for each daemon
`<uuid>.<owner>.json`, which says what it handed out. A daemon keeps its own file locked as long as
it lives: process ids would mean nothing across containers, and the kernel lets go of a lock however
its holder dies. All files are read, made and removed only while the device's lock is held.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, fields
from pathlib import Path

import structlog

from dubarr_watch.gpu.entries import Peer

log = structlog.get_logger(__name__)

STALE_S = 5.0
"""A daemon that waits says so several times a second; one that stopped does not hold others up."""


class SharedLedger:
    """What this daemon tells the others, and what they tell.

    Args:
        folder: LEASE_DIR; made when it is not there.
        owner: Unique for this daemon.
        clock: Seconds that all daemons of the machine count alike.

    Raises:
        OSError: The folder cannot be written to.
    """

    def __init__(
        self, folder: Path, owner: str, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._owner = owner
        self._clock = clock
        self._own: dict[str, int] = {}
        self._last: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / f".{owner}.probe"
        probe.touch()
        probe.unlink()

    @contextmanager
    def deciding(self, devices: Iterable[str]) -> Iterator[Mapping[str, tuple[Peer, ...]] | None]:
        """Hold the locks of devices for the length of a `with` block.

        Yields:
            What the other daemons that live have to do with each device; nothing when one of them
            is deciding at this moment.
        """
        with ExitStack() as locks:
            found: dict[str, tuple[Peer, ...]] = {}
            for device in sorted(devices):
                if not self._lock(device, locks):
                    yield None
                    return
                found[device] = tuple(self._peers(device))
            yield found

    def publish(self, device: str, told: Peer) -> None:
        """Tell the others about a device; call it inside `deciding`."""
        content = json.dumps(asdict(told))
        if content == self._last.get(device) and told.waiting_rank is None:
            return
        self._last[device] = content
        if device not in self._own:
            path = self._folder / f"{_plain(device)}.{self._owner}.json"
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
            fcntl.flock(file, fcntl.LOCK_EX)
            self._own[device] = file
        raw = json.dumps(asdict(told) | {"at_s": self._clock()}).encode()
        os.pwrite(self._own[device], raw, 0)
        os.ftruncate(self._own[device], len(raw))

    def close(self) -> None:
        """Stop to count."""
        for device, file in self._own.items():
            with ExitStack() as locks:
                # Without the lock the file is left to the next reader, who sees that it is dead.
                if self._lock(device, locks):
                    path = self._folder / f"{_plain(device)}.{self._owner}.json"
                    path.unlink(missing_ok=True)
            os.close(file)
        self._own = {}

    def _lock(self, device: str, locks: ExitStack) -> bool:
        path = self._folder / f"{_plain(device)}.lock"
        file = _open_shared(path)
        locks.callback(os.close, file)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _peers(self, device: str) -> Iterator[Peer]:
        own = f"{_plain(device)}.{self._owner}.json"
        for path in sorted(self._folder.glob(f"{_plain(device)}.*.json")):
            if path.name != own and (peer := self._read(path)) is not None:
                yield peer

    def _read(self, path: Path) -> Peer | None:
        """Return what a daemon tells; nothing when it does not live any more."""
        file = os.open(path, os.O_RDONLY)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
                return None
            return _peer(os.pread(file, 65536, 0), self._clock())
        finally:
            os.close(file)


def _peer(raw: bytes, now_s: float) -> Peer:
    try:
        told = json.loads(raw)
        if now_s - told["at_s"] > STALE_S:
            told |= {"waiting_rank": None, "waiting_mib": 0}
        return Peer(**{field.name: told[field.name] for field in fields(Peer)})
    except (ValueError, KeyError, TypeError):
        log.warning("lease file of another daemon cannot be read")
        return Peer(loading=True)  # nothing is handed out while nobody knows what it has


def _open_shared(path: Path) -> int:
    """Open a lock file that daemons of several users share."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)  # enough to lock it
    with contextlib.suppress(PermissionError):
        os.fchmod(file, 0o666)
    return file


def _plain(device: str) -> str:
    return re.sub(r"[^\w-]", "_", device)
