"""What is going on, in one look."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from dubarr_watch import __version__
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord
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
        running = jobs.running()
        return shapes.Status(
            version=__version__,
            profile=self._works.profile.value,
            target_languages=[language.code for language in self._settings.target_langs],
            counts=jobs.counts(),
            running=[shaping.job(one) for one in running],
            lines=[count for one in running for count in self._lines(one)],
            queue=[shaping.job(one) for one in jobs.queue(_SHOWN)],
            recent=[shaping.job(one) for one in jobs.recent(_SHOWN)],
        )

    def _lines(self, job: JobRecord) -> Iterator[shapes.LineCount]:
        finished = self._store.checkpoints.count_lines(job.id)
        for language in job.languages:
            wording = self._store.checkpoints.stage(job.id, "translate", language)
            total = _spoken(wording.artifact, wording.key) if wording else 0
            if total:
                done = min(finished.get(language, 0), total)
                yield shapes.LineCount(job_id=job.id, language=language, done=done, total=total)


@lru_cache(maxsize=64)
def _spoken(wording: Path, key: str) -> int:
    """Return how many lines of a translation have something to say; `key` is its content's."""
    try:
        return sum(bool(line["text"]) for line in json.loads(wording.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return 0  # nothing is kept, so nothing can be counted
