"""What lies in the library, and what a symbolic link only makes look so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.errors import LeadsOut
from dubarr_watch.media import held
from dubarr_watch.settings import Settings


@dataclass(frozen=True, slots=True)
class Confines:
    """The library's bounds.

    Attributes:
        root: VIDEOS_DIR.
        follow_links: FOLLOW_LINKS: links may lead out.
    """

    root: Path
    follow_links: bool = False

    @staticmethod
    def of(settings: Settings) -> Confines:
        """Return the bounds that the settings draw."""
        return Confines(settings.videos_dir, settings.follow_links)

    def check(self, path: Path) -> None:
        """Check that a file that is named in the library lies in it.

        A path that names another place openly was given by the user, by `dub`.

        Raises:
            LeadsOut: It, or a folder on the way to it, is a link to elsewhere.
        """
        if not self._leaves_alone(path):
            self._assert_inside(path, Path(os.path.realpath(path)))

    @contextmanager
    def opened(self, path: Path) -> Iterator[Path]:
        """Hold a file or a folder open and check where it lies; yield the name that means it.

        What is read and written by that name stays inside, whatever is put in the path's place
        meanwhile.

        Raises:
            LeadsOut: See `check`.
            OSError: It cannot be opened.
        """
        with held(path) as name:
            if not self._leaves_alone(path):
                self._assert_inside(path, Path(os.path.realpath(name)))
            yield name

    def _leaves_alone(self, path: Path) -> bool:
        roots = {self.root, Path(os.path.realpath(self.root))}
        return self.follow_links or roots.isdisjoint({path, *path.parents})

    def _assert_inside(self, path: Path, real: Path) -> None:
        if Path(os.path.realpath(self.root)) not in (real, *real.parents):
            raise LeadsOut(
                "This leads out of VIDEOS_DIR over a symbolic link.",
                hint="Put the file itself there, or set FOLLOW_LINKS=true.",
                path=path,
            )
