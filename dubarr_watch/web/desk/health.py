"""Is all well? For whoever watches this program from outside, and may know nothing else of it."""

from __future__ import annotations

import threading
import time

import structlog
from pydantic import BaseModel, Field

from dubarr_watch.errors import DubarrError, StoreUnreachable
from dubarr_watch.store.records import JobState
from dubarr_watch.store.store import Store
from dubarr_watch.web.works import Works

log = structlog.get_logger(__name__)

TOUCH_S = 2.0
"""How long the database may keep a write waiting."""

STILL_S = 120.0
"""How long the library's thread may be at one thing; long work moves on far more often."""

_KEPT_S = 1.0
"""However often somebody asks, it is looked into so often at most."""


class Part(BaseModel):
    """How one part is."""

    ok: bool
    detail: str = Field(description="what is wrong, or works less well; empty when nothing is")


class Health(BaseModel):
    """How all is; without a secret and without a path."""

    status: str = Field(description="ok or unwell")
    worker: Part
    database: Part
    watcher: Part
    queue: dict[JobState, int] = Field(description="jobs by state; empty without the database")
    engines: dict[str, str] = Field(description="busy or idle, by what they do")


class HealthDesk:
    """Looks into how the program is.

    Args:
        store: The database.
        works: The daemon's other parts.
    """

    def __init__(self, store: Store, works: Works) -> None:
        self._store = store
        self._works = works
        self._looking = threading.Lock()
        self._found: tuple[float, Health] | None = None

    def look(self) -> Health:
        """Return how all is now, or was a second ago."""
        with self._looking:
            if self._found is None or time.monotonic() - self._found[0] > _KEPT_S:
                self._found = (time.monotonic(), self._look())
            return self._found[1]

    def _look(self) -> Health:
        worker = _part("" if self._works.working() else "A worker has ended.")
        watcher = self._of_watcher()
        database, queue = self._of_database()
        well = worker.ok and watcher.ok and database.ok
        return Health(
            status="ok" if well else "unwell",
            worker=worker,
            database=database,
            watcher=watcher,
            queue=queue,
            engines=self._works.engines(),
        )

    def _of_watcher(self) -> Part:
        library = self._works.library_health()
        if not library.running:
            return _part("The library's thread has ended.")
        if library.still_s > STILL_S:
            return _part(f"The library's thread has not moved for {library.still_s:.0f} seconds.")
        if not library.root_present:
            return _part("The video folder is gone or suddenly empty.")
        return Part(ok=True, detail=library.problem)  # all is found all the same, by polling

    def _of_database(self) -> tuple[Part, dict[JobState, int]]:
        try:
            self._store.touch(timeout_s=TOUCH_S)
            return _part(""), self._store.jobs.counts()
        except DubarrError as error:
            log.warning("database unwell", reason=error)
            if isinstance(error, StoreUnreachable):  # its own words may name the server
                return _part("The database server does not answer."), {}
            return _part(f"It cannot be written: {type(error).__name__}."), {}


def _part(trouble: str) -> Part:
    return Part(ok=not trouble, detail=trouble)
