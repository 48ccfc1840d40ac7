"""What lies in the library, and what a symbolic link only makes look so."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.errors import LeadsOut
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
        if self.follow_links or self.root not in path.parents:
            return
        real = Path(os.path.realpath(path))
        if Path(os.path.realpath(self.root)) not in real.parents:
            raise LeadsOut(
                "This leads out of VIDEOS_DIR over a symbolic link.",
                hint="Put the video itself there, or set FOLLOW_LINKS=true.",
                path=path,
            )
