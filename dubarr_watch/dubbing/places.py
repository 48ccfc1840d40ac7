"""Under which names a language's files go beside its video: those that are free or ours."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.errors import DubarrError
from dubarr_watch.languages import Language
from dubarr_watch.library.naming import fingerprint, sidecar_path, subtitles_path
from dubarr_watch.media import probe
from dubarr_watch.store.records import VideoRecord
from dubarr_watch.store.store import Store


@dataclass(frozen=True, slots=True)
class Name:
    """A name for a file of ours.

    Attributes:
        path: The name.
        ours: Whether what lies there is ours to replace; nothing of anybody else's ever is.
    """

    path: Path
    ours: bool


@dataclass(frozen=True, slots=True)
class Names:
    """What the files of one language are called."""

    track: Name
    subtitles: Name


def names_for(video: VideoRecord, language: Language, store: Store) -> Names:
    """Return the names of a language's files: the plain ones, unless others have these.

    Args:
        video: Where it is now.
        language: Of the dub.
        store: Knows what was published here.
    """
    code, owner = language.code, _Owner(video, language, store)

    def choose(name_of: Callable[..., Path], owns: Callable[[Path], bool]) -> Name:
        for taken in (False, True):  # the second name is longer, and may be too long
            path = name_of(video.path, code, taken_by_other=taken)
            if not os.path.lexists(path):
                return Name(path, ours=False)
            if owns(path):
                return Name(path, ours=True)
        return Name(path, ours=False)

    return Names(choose(sidecar_path, owner.has_track), choose(subtitles_path, owner.has_subtitles))


@dataclass(frozen=True, slots=True)
class _Owner:
    video: VideoRecord
    language: Language
    store: Store

    def has_track(self, path: Path) -> bool:
        """Tell whether a track was made here for this video: by record, else by its title."""
        if self._is_anothers(path):
            return False
        try:
            known = self.store.outputs.by_path(path)
            if known is not None and known.fingerprint == fingerprint(path):
                return True
            return any(s.title == self.language.track_title for s in probe(path).streams)
        except (DubarrError, OSError):
            return False

    def has_subtitles(self, path: Path) -> bool:
        """Tell the same of subtitles: they do not say who wrote them, but a track beside does."""
        if self._is_anothers(path):
            return False
        known = self.store.outputs.by_path(path) is not None
        return known or self.has_track(path.with_suffix(".mka"))

    def _is_anothers(self, path: Path) -> bool:
        """Tell whether a file belongs to another video of the same stem in the folder."""
        others = (
            other
            for other in self.store.videos.under(self.video.path.parent)
            if other.path.stem == self.video.path.stem and other.path != self.video.path
        )
        return any(
            output.path == path
            for other in others
            if other.path.exists()
            for output in self.store.outputs.for_video(other.id)
        )
