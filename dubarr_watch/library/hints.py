"""Paths to look at, handed from watchdog's threads to the library's."""

from __future__ import annotations

import threading
from pathlib import Path

MAX_PATHS = 20_000
"""Beyond so many a scan of everything is cheaper, and bounded."""


class Hints:
    """A set of paths that one thread waits for; each path counts once, however often it is told."""

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._paths: dict[Path, None] = {}
        self._everything = False
        self._woken = False

    def add(self, path: Path) -> None:
        """Ask for a look at one path."""
        with self._ready:
            if len(self._paths) < MAX_PATHS:
                self._paths[path] = None
            else:
                self._everything = True
                self._paths.clear()
            self._ready.notify()

    def add_everything(self) -> None:
        """Ask for a look at the whole library."""
        with self._ready:
            self._everything = True
            self._ready.notify()

    def wake(self) -> None:
        """End the wait, with nothing to look at."""
        with self._ready:
            self._woken = True
            self._ready.notify()

    def take(self, timeout_s: float) -> tuple[list[Path], bool]:
        """Wait until there is something, or the time is over.

        Returns:
            Paths in the order they came, and whether everything has to be looked at.
        """
        with self._ready:
            self._ready.wait_for(lambda: self._paths or self._everything or self._woken, timeout_s)
            taken = list(self._paths), self._everything
            self._paths.clear()
            self._everything = self._woken = False
            return taken
