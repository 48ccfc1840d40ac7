"""The queue as the page shows it, and what a person can do about a job."""

from __future__ import annotations

from collections.abc import Sequence

from dubarr_watch.errors import CannotDub, IllegalTransition, WrongUsage
from dubarr_watch.languages import parse_language
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobOptions, JobState, VideoRecord, VideoState
from dubarr_watch.store.store import Store
from dubarr_watch.web import shapes, shaping
from dubarr_watch.web.works import Works


class JobDesk:
    """Jobs.

    Args:
        settings: TARGET_LANGS.
        store: The database.
        works: Whom to wake.
    """

    def __init__(self, settings: Settings, store: Store, works: Works) -> None:
        self._settings = settings
        self._store = store
        self._works = works

    def page(
        self, *, states: Sequence[JobState], limit: int, offset: int
    ) -> shapes.Page[shapes.Job]:
        """Return some jobs, newest first."""
        found, total = self._store.jobs.page(states=states, limit=limit, offset=offset)
        items = [shaping.job(one) for one in found]
        return shapes.Page(items=items, total=total, limit=limit, offset=offset)

    def get(self, job_id: int) -> shapes.JobDetail:
        """Return a job with what came of it.

        Raises:
            NotInStore: There is none with that id.
        """
        jobs = self._store.jobs
        return shaping.job_detail(
            jobs.get(job_id),
            jobs.results(job_id),
            jobs.tracks(job_id),
            self._store.checkpoints.stages(job_id),
        )

    def add(self, video: VideoRecord, asked: shapes.NewJob) -> shapes.Job:
        """Ask for a video in some languages; asking twice is the same job.

        Raises:
            UnknownLanguage: One is none.
            WrongUsage: One cannot be dubbed into.
            CannotDub: The video is not there any more.
        """
        if video.state is VideoState.MISSING:
            raise CannotDub("The video is not there any more.", path=video.path)
        languages = [parse_language(word) for word in asked.languages]
        languages = languages or list(self._settings.target_langs)
        refusals = [words for words in map(self._works.refusal, languages) if words]
        if refusals:
            raise WrongUsage(" ".join(refusals))
        options = JobOptions(asked.mode, asked.style, asked.again, asked.priority)
        codes = [language.code for language in languages]
        job = self._store.jobs.enqueue(video.id, codes, options)
        self._works.ring()
        return shaping.job(job)

    def retry(self, job_id: int) -> shapes.Job:
        """Queue a job again that ended otherwise than well.

        Raises:
            IllegalTransition: It is done, or has not ended.
        """
        try:
            job = self._store.jobs.retry(job_id)
        except IllegalTransition as error:
            if self._store.jobs.get(job_id).state is JobState.DONE:
                error.hint = "To dub it once more, ask for its languages again, with `again`."
            raise
        self._works.ring()
        return shaping.job(job)

    def cancel(self, job_id: int) -> shapes.Job:
        """Cancel a job: at once when it has not started, else as soon as it can stop.

        Raises:
            IllegalTransition: It has ended.
        """
        job = self._store.jobs.cancel(job_id)
        self._works.ring()
        return shaping.job(job)

    def move(self, job_id: int, before: int | None) -> shapes.Job:
        """Put a queued job before another one, or behind all of them.

        Raises:
            NotInStore: One of them is not known.
            IllegalTransition: One of them is not queued.
        """
        self._store.jobs.move(job_id, before)
        return shaping.job(self._store.jobs.get(job_id))

    def step(self, job_id: int, by: int) -> shapes.Job:
        """Let a queued job start some places later, or earlier when negative.

        Raises:
            NotInStore: It is not known.
            IllegalTransition: It is not queued.
        """
        self._store.jobs.step(job_id, by)
        return shaping.job(self._store.jobs.get(job_id))
