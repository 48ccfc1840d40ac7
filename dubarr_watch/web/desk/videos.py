"""The library as the page shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dubarr_watch.errors import NotInStore, WrongUsage
from dubarr_watch.settings import Settings
from dubarr_watch.store.browsing import VideoFilter
from dubarr_watch.store.records import VideoRecord
from dubarr_watch.store.store import Store
from dubarr_watch.web import shapes, shaping
from dubarr_watch.web.desk.probing import Prober


class VideoDesk:
    """Videos.

    Args:
        settings: VIDEOS_DIR.
        store: The database.
        prober: Looks into what is shown.
    """

    def __init__(self, settings: Settings, store: Store, prober: Prober) -> None:
        self._prober = prober
        self._root = settings.videos_dir
        self._store = store

    def page(
        self, *, search: str, which: VideoFilter, limit: int, offset: int
    ) -> shapes.Page[shapes.Video]:
        """Return some videos of the library, by path."""
        found = self._store.browsing.page(
            search=search, which=which, root=self._root, limit=limit, offset=offset
        )
        return shapes.Page(
            items=self._shaped(found.videos), total=found.total, limit=limit, offset=offset
        )

    def get(self, video_id: int) -> shapes.Video:
        """Return a video.

        Raises:
            NotInStore: There is none with that id.
        """
        return self._shaped([self._store.videos.get(video_id)])[0]

    def named(self, video_id: int | None, path: str) -> VideoRecord:
        """Return the video that somebody means by an id or a path below the library.

        Raises:
            NotInStore: The library does not know it.
            WrongUsage: Neither is given, or both.
        """
        if (video_id is None) == (not path):
            raise WrongUsage("Either video_id or path is needed.")
        if video_id is not None:
            return self._store.videos.get(video_id)
        found = None
        if "\0" not in path:
            found = self._store.videos.by_path(self._root / path)
        if found is None:
            raise NotInStore(
                "The library does not know this video.",
                hint="A new file is known once it has not changed for SETTLE_SECONDS.",
                path=Path(path),
            )
        return found

    def _shaped(self, records: Sequence[VideoRecord]) -> list[shapes.Video]:
        self._prober.look_into(records)
        ids = [record.id for record in records]
        outputs = self._store.browsing.outputs(ids)
        asked_for = self._store.browsing.asked_for(ids)
        return [
            shaping.video(one, outputs.get(one.id, []), asked_for.get(one.id, []), self._root)
            for one in records
        ]
