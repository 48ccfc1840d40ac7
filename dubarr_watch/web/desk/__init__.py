"""All that the page and the API may do, without HTTP: one place, tested by itself."""

from __future__ import annotations

from collections.abc import Callable

from dubarr_watch.settings import Settings
from dubarr_watch.store.store import Store
from dubarr_watch.web.credentials import Credentials
from dubarr_watch.web.desk.health import HealthDesk
from dubarr_watch.web.desk.jobs import JobDesk
from dubarr_watch.web.desk.listening import ListeningDesk
from dubarr_watch.web.desk.machine import MachineDesk
from dubarr_watch.web.desk.overview import Overview
from dubarr_watch.web.desk.probing import Prober
from dubarr_watch.web.desk.tasks import Tasks
from dubarr_watch.web.desk.tracks import TrackDesk
from dubarr_watch.web.desk.uploads import UploadDesk
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
        listening: Reports, and the lines in them to be heard.
        overview: What is going on.
        health: Whether all is well.
        tasks: What takes longer than a request.
        machine: Devices, models, settings, findings.
        tracks: Published tracks.
        uploads: Videos that come through the page.
        tell: Called with the name and the JSON of what listeners are to hear of.
    """

    def __init__(
        self, settings: Settings, store: Store, works: Works, credentials: Credentials
    ) -> None:
        self.settings = settings
        self.store = store
        self.works = works
        self.credentials = credentials
        self.listening = ListeningDesk(settings, store)
        self.overview = Overview(settings, store, works)
        self.health = HealthDesk(store, works)
        self.tell: Callable[[str, str], None] = lambda name, data: None
        prober = Prober(store, lambda name, data: self.tell(name, data))
        self.videos = VideoDesk(settings, store, prober)
        self.tasks = Tasks(
            settings, lambda name, data: self.tell(name, data), stopping=works.stopping
        )
        self.machine = MachineDesk(settings, store, works, self.tasks)
        self.jobs = JobDesk(settings, store, works, self.tasks)
        self.tracks = TrackDesk(settings, store)
        self.uploads = UploadDesk(settings, works)

    def close(self) -> None:
        """Remove what is only for the time being."""
        self.listening.close()
