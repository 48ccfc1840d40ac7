"""The files that we published, to be taken away or deleted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from dubarr_watch.errors import IllegalTransition, LeadsOut, NotInStore, WrongUsage
from dubarr_watch.languages import parse_language
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.settings import Settings
from dubarr_watch.storage import plain_os_errors
from dubarr_watch.store.records import OutputRecord
from dubarr_watch.store.store import Store


class TrackDesk:
    """Tracks.

    Args:
        settings: VIDEOS_DIR, FOLLOW_LINKS.
        store: The database.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        self._confines = Confines.of(settings)
        self._store = store

    def track(self, video_id: int, language: str, kind: str) -> OutputRecord:
        """Return a file that we published for a video.

        Raises:
            NotInStore: There is none, or it is gone.
        """
        self._store.videos.get(video_id)
        code = parse_language(language).code
        for one in self._store.outputs.for_video(video_id):
            if (one.language, one.kind) == (code, kind) and _is_there(one):
                return one
        raise NotInStore(f"There is no {kind} in {code} of this video.")

    @contextmanager
    def opened(self, track: OutputRecord) -> Iterator[Path]:
        """Hold a file that we published open, and yield the name to read it by.

        Raises:
            NotInStore: It is gone, or something else is in its place.
        """
        gone = NotInStore(f"{track.path.name} is not there any more.", path=track.path)
        with ExitStack() as held:
            try:
                name = held.enter_context(self._confines.opened(track.path))
            except (LeadsOut, OSError) as error:
                raise gone from error
            folder = Path(os.path.realpath(track.path.parent))
            beside = Path(os.path.realpath(name)) == folder / track.path.name
            if not name.is_file() or (track.kind != "mux" and not beside):
                raise gone
            yield name

    def delete_track(self, video_id: int, language: str, kind: str) -> None:
        """Delete a file that we published, if it is still what we made.

        Raises:
            NotInStore: There is none, or it is gone.
            IllegalTransition: It is the video itself, or somebody has changed it.
            NotWritable: It may not be deleted.
        """
        found = self.track(video_id, language, kind)
        if found.kind == "mux":
            raise IllegalTransition(
                "This track is inside the video, which is yours.",
                hint="A tool such as MKVToolNix takes it out.",
                path=found.path,
            )
        with plain_os_errors(found.path), self._confines.opened(found.path.parent) as folder:
            with self.opened(found) as name:
                same = fingerprint(name) == found.fingerprint
            if not same:
                raise IllegalTransition(
                    "This file is not what was published: somebody has changed it.",
                    hint="Delete it by hand if you want to.",
                    path=found.path,
                )
            (folder / found.path.name).unlink()
        self._store.outputs.forget(found.path)

    def of_job(self, job_id: int, language: str) -> OutputRecord:
        """Return the sidecar that a job made; an empty language is the only one.

        Raises:
            NotInStore: There is none, or it is gone.
            WrongUsage: There are several.
        """
        job = self._store.jobs.get(job_id)
        made = [one for one in self._store.jobs.tracks(job_id) if one.kind == "sidecar"]
        codes = sorted({one.language for one in made})
        code = parse_language(language).code if language else ""
        if not code and len(codes) > 1:
            raise WrongUsage("This job made several tracks.",
                             hint=f"Name one: ?language={codes[0]}.")  # fmt: skip
        return self.track(job.video.id, code or next(iter(codes), "und"), "sidecar")

    def delete_of_job(self, job_id: int) -> None:
        """Delete the tracks that a job made, but for those inside a video.

        Raises:
            IllegalTransition: Somebody has changed one; those before it are deleted.
        """
        video = self._store.jobs.get(job_id).video.id
        for one in self._store.jobs.tracks(job_id):
            with suppress(NotInStore):
                if one.kind != "mux":
                    self.delete_track(video, one.language, one.kind)


def _is_there(track: OutputRecord) -> bool:
    """Tell whether a track can be read: a video may be a link, what we publish never is one."""
    return track.path.is_file() and (track.kind == "mux" or not track.path.is_symlink())
