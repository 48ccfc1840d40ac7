"""Under which names a language's files go beside its video: those that are free or ours."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dubarr_watch.errors import DubarrError
from dubarr_watch.languages import Language
from dubarr_watch.library.naming import sidecar_path, subtitles_path
from dubarr_watch.media import probe
from dubarr_watch.store.records import VideoRecord
from dubarr_watch.store.store import Store


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of one language go."""

    track: Path
    subtitles: Path


def places_for(video: VideoRecord, language: Language, store: Store) -> Places:
    """Return names that are free or ours to replace.

    Args:
        video: Where it is now.
        language: Of the dub.
        store: Knows what was published here.
    """
    code = language.code
    track, text = sidecar_path(video.path, code), subtitles_path(video.path, code)
    ours = _is_ours(track, language, store) and not _is_anothers(track, video, store)
    # Subtitles do not say who wrote them; those beside a track of ours are ours.
    also = (ours or _is_known(text, store)) and not _is_anothers(text, video, store)
    return Places(
        sidecar_path(video.path, code, taken_by_other=os.path.lexists(track) and not ours),
        subtitles_path(video.path, code, taken_by_other=os.path.lexists(text) and not also),
    )


def _is_ours(track: Path, language: Language, store: Store) -> bool:
    """Tell whether a track was made here: by record, else by its title."""
    if _is_known(track, store):
        return True
    try:
        return any(s.title == language.track_title for s in probe(track).streams)
    except (DubarrError, OSError):
        return False


def _is_known(path: Path, store: Store) -> bool:
    return store.outputs.by_path(path) is not None


def _is_anothers(target: Path, video: VideoRecord, store: Store) -> bool:
    """Tell whether a file belongs to another video of the same stem in the folder."""
    others = (
        other
        for other in store.videos.under(video.path.parent)
        if other.path.stem == video.path.stem and other.path != video.path
    )
    return any(
        output.path == target
        for other in others
        if other.path.exists()
        for output in store.outputs.for_video(other.id)
    )
