"""All that the page and the API may do, without HTTP: one place, tested by itself."""

from __future__ import annotations

from dubarr_watch.settings import Settings
from dubarr_watch.store.store import Store
from dubarr_watch.web.credentials import Credentials
from dubarr_watch.web.desk.jobs import JobDesk
from dubarr_watch.web.desk.overview import Overview
from dubarr_watch.web.desk.videos import VideoDesk
from dubarr_watch.web.works import Works

__all__ = ["Desk", "Works"]


class Desk:
    """What the page and the API work with; every method blocks, and may be called by any thread.

    Args:
        settings: All settings.
        store: The database.
        works: What runs beside the page: the library, the workers, the engines.
        credentials: What opens the door.

    Attributes:
        videos: The library.
        jobs: The queue, and what came of it.
        overview: What is going on.
    """

    def __init__(
        self, settings: Settings, store: Store, works: Works, credentials: Credentials
    ) -> None:
        self.settings = settings
        self.store = store
        self.works = works
        self.credentials = credentials
        self.videos = VideoDesk(settings, store)
        self.jobs = JobDesk(settings, store, works)
        self.overview = Overview(settings, store, works)
