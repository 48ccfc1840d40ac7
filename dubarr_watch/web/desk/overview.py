"""What is going on, in one look."""

from __future__ import annotations

from dubarr_watch import __version__
from dubarr_watch.settings import Settings
from dubarr_watch.store.store import Store
from dubarr_watch.web import shapes, shaping
from dubarr_watch.web.works import Works

_SHOWN = 20


class Overview:
    """The state of everything.

    Args:
        settings: TARGET_LANGS.
        store: The database.
        works: The daemon's other parts.
    """

    def __init__(self, settings: Settings, store: Store, works: Works) -> None:
        self._settings = settings
        self._store = store
        self._works = works

    def status(self) -> shapes.Status:
        """Return what is running, what comes next and what came last."""
        jobs = self._store.jobs
        return shapes.Status(
            version=__version__,
            profile=self._works.profile.value,
            target_languages=[language.code for language in self._settings.target_langs],
            counts=jobs.counts(),
            running=[shaping.job(one) for one in jobs.running()],
            queue=[shaping.job(one) for one in jobs.queue(_SHOWN)],
            recent=[shaping.job(one) for one in jobs.recent(_SHOWN)],
        )
