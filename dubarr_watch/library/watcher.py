"""Hints about changes, from watchdog: which paths to look at, and when to look at everything.

Events are hints and nothing more: whoever gets one looks at the disk. What no event tells, the
regular scan finds. watchdog's own recovery from a full event queue is replaced by a fresh observer:
removing and adding thousands of watches on the queue that just overflowed fills it again, for ever.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import BaseObserver
from watchdog.observers.inotify import InotifyEmitter
from watchdog.observers.inotify_c import CallbackId, InotifyEvent, InotifyFD, Mask, WatchCallback
from watchdog.observers.inotify_c import WatchDescriptor as Watch

from dubarr_watch.library.mounts import identity_of

_LOG = structlog.get_logger(__name__)

# Without OPEN and CLOSE_NOWRITE: walking the library raises those, and watchdog walks it.
# Without MODIFY: a file is looked at again anyway until it has settled.
EVENTS: list[type[FileSystemEvent]] = [
    FileCreatedEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent,
    DirCreatedEvent, DirMovedEvent, DirDeletedEvent,
]  # fmt: skip

RESTART_PAUSE_S = 10.0
"""Least time between two fresh observers, so that a lasting trouble costs next to nothing."""

_LIMIT_HINT = (
    "Raise it on the host, e.g. 'sysctl fs.inotify.max_user_watches=524288' (and "
    "fs.inotify.max_user_instances), or set WATCH_MODE=poll. Until then the library is polled."
)


@dataclass(frozen=True, slots=True)
class WatchHealth:
    """How watching goes.

    Attributes:
        alive: Whether events arrive.
        watches: Folders that are watched.
        problem: What keeps it from being complete, in plain words with the way out, or empty.
    """

    alive: bool
    watches: int
    problem: str


class Watcher:
    """Watches a folder and all below it.

    Args:
        root: The folder.
        on_path: Called from watchdog's thread with each path to look at; must be quick. What it
            raises is logged and goes no further.
        on_lost: Called when events were lost and everything has to be looked at.
        pause_s: Least time between two fresh observers.
    """

    def __init__(
        self,
        root: Path,
        on_path: Callable[[Path], None],
        on_lost: Callable[[], None],
        *,
        pause_s: float = RESTART_PAUSE_S,
    ) -> None:
        self._root = root
        self._on_path = on_path
        self._on_lost = on_lost
        self._pause_s = pause_s
        self._lock = threading.Lock()
        self._observer: _Observer | None = None
        self._identity: tuple[int, int] | None = None
        self._problem = ""
        self._started_s = -pause_s

    def start(self) -> None:
        """Begin to watch; where that is impossible, say so and leave it to `check`."""
        with self._lock:
            self._start()

    def stop(self) -> None:
        """End watching and its threads."""
        with self._lock:
            self._stop()

    def check(self) -> bool:
        """Renew the observer when it, its source or its root died; tell whether it was renewed.

        A root that was renamed away and replaced raises no event at all, so it is compared too.
        """
        with self._lock:
            sound = self._observer is not None and self._observer.sound()
            if sound and self._identity == identity_of(self._root):
                return False
            if time.monotonic() - self._started_s < self._pause_s or not self._root.is_dir():
                return False
            renewed = self._observer is not None
            self._stop()
            self._start()
            if renewed:
                _LOG.info("watching_renewed", folder=self._root)
            return True

    def health(self) -> WatchHealth:
        """Return how watching goes."""
        observer = self._observer
        if observer is None:
            return WatchHealth(alive=False, watches=0, problem=self._problem)
        return WatchHealth(observer.is_alive(), observer.watches, observer.limit or self._problem)

    def _start(self) -> None:
        self._started_s = time.monotonic()
        self._problem = ""
        identity = identity_of(self._root)
        if identity is None:
            self._problem = "The folder is not there."
            return
        # A link would be watched itself instead of the folder behind it.
        real = Path(os.path.realpath(self._root))
        observer: _Observer | None = None
        try:
            observer = _Observer(self._on_lost)
            handler = _Handler(self._root, real, self._on_path)
            observer.schedule(handler, str(real), recursive=True, event_filter=EVENTS)
            observer.start()
        except OSError as error:
            self._problem = _limit_words(error) or f"Watching failed: {error.strerror or error}."
            _LOG.warning("watching_impossible", folder=self._root, reason=self._problem)
            if observer is not None:
                observer.end()
            return
        self._observer = observer
        self._identity = identity
        if observer.limit:
            _LOG.warning("watching_incomplete", folder=self._root, reason=observer.limit)

    def _stop(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            observer.end()


class _Handler(FileSystemEventHandler):
    """Turns events into paths; nothing that goes wrong here may end watchdog's thread."""

    def __init__(self, root: Path, real: Path, on_path: Callable[[Path], None]) -> None:
        self._root = root
        self._real = real
        self._on_path = on_path

    def on_any_event(self, event: FileSystemEvent) -> None:
        for raw in (event.src_path, event.dest_path):
            if not raw:
                continue
            try:
                path = Path(os.fsdecode(raw))
                self._on_path(self._root / path.relative_to(self._real))
            except Exception:  # noqa: BLE001 - an escaping error would end the observer for good
                _LOG.exception("event_failed", kind=type(event).__name__)


class _Observer(BaseObserver):
    """watchdog's inotify observer on a source that tells about its limits."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        self._source = _Source(on_lost)
        self._source.start()
        super().__init__(InotifyEmitter, inotify_fd=self._source)

    @property
    def watches(self) -> int:
        """Folders that are watched."""
        return self._source.watches

    @property
    def limit(self) -> str:
        """Why some folders are not watched, or empty."""
        return self._source.limit

    def sound(self) -> bool:
        """Tell whether every thread lives and no event was lost."""
        emitters = list(self.emitters)
        return (
            self.is_alive()
            and self._source.is_alive()
            and not self._source.lost
            and bool(emitters)
            and all(emitter.is_alive() for emitter in emitters)
        )

    def on_thread_stop(self) -> None:
        super().on_thread_stop()
        self._source.stop()
        with contextlib.suppress(RuntimeError):
            self._source.join()

    def end(self) -> None:
        """Stop all threads and wait for them."""
        self.stop()
        if self.is_alive():
            self.join()


class _Source(InotifyFD):
    """The kernel's event queue; remembers what watchdog keeps to itself."""

    def __init__(self, on_lost: Callable[[], None]) -> None:
        super().__init__()
        self._on_lost = on_lost
        self.limit = ""
        self.lost = False

    @property
    def watches(self) -> int:
        """Folders that are watched."""
        return len(self._watch_for_wd)

    def add_callback(
        self, path: bytes, mask: Mask, callback: WatchCallback, id_: CallbackId
    ) -> Watch:
        """Watch a folder; a limit that watchdog would swallow is kept."""
        try:
            return super().add_callback(path, mask, callback, id_)
        except OSError as error:
            self.limit = self.limit or _limit_words(error)
            raise

    def handle_event(self, event: InotifyEvent) -> None:
        """Pass an event on; a queue that overflowed is given up instead of rebuilt."""
        if not event.is_queue_overflow:
            super().handle_event(event)
        elif not self.lost:
            self.lost = True
            _LOG.warning("events_lost", reason="too many changes at once; the library is scanned")
            self._on_lost()


def _limit_words(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"The limit of inotify watches is reached: not all is watched. {_LIMIT_HINT}"
    if error.errno == errno.EMFILE:
        return f"The limit of inotify instances is reached. {_LIMIT_HINT}"
    return ""


# watchdog logs every reconciliation by itself; what matters of it is logged here.
logging.getLogger("watchdog").setLevel(logging.ERROR)
