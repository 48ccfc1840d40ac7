"""The queue as the page shows it, and what a person can do about a job."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path

import structlog

from dubarr_watch.dubbing.keeping import nobody_at
from dubarr_watch.dubbing.leftovers import remove_work
from dubarr_watch.dubbing.redoing import language_to_redo
from dubarr_watch.errors import (
    CannotDub,
    IllegalTransition,
    JobCancelled,
    NotInStore,
    WrongUsage,
)
from dubarr_watch.languages import parse_language
from dubarr_watch.library.arrival import Arrival
from dubarr_watch.library.asking import Asking
from dubarr_watch.media import probe
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobOptions, JobState, Priority, VideoRecord, VideoState
from dubarr_watch.store.redos import RedoRecord
from dubarr_watch.store.store import Store
from dubarr_watch.web import shapes, shaping
from dubarr_watch.web.desk.tasks import Task, Tasks
from dubarr_watch.web.works import Works

log = structlog.get_logger(__name__)

MOST_ATTEMPTS = 3
"""To make a line anew, where the program ends each time without being asked to."""


class Insight(StrEnum):
    """What somebody wants to know of how a job was done."""

    TRANSCRIPTION = "transcription"
    CONTEXT = "context"
    SPEAKERS = "speakers"
    PRODUCTION = "production"


_STAGES_OF = {
    Insight.TRANSCRIPTION: {"transcribe", "lines", "correct"},
    Insight.CONTEXT: {"analyse", "translate"},
    Insight.SPEAKERS: {"diarize", "references", "cast"},
    Insight.PRODUCTION: {"synthesize", "mix", "publish", "report"},
}


class JobDesk:
    """Jobs.

    Args:
        settings: TARGET_LANGS.
        store: The database.
        works: Whom to wake.
        tasks: Makes lines anew.
    """

    def __init__(self, settings: Settings, store: Store, works: Works, tasks: Tasks) -> None:
        self._tasks = tasks
        self._settings = settings
        self._store = store
        self._works = works
        self._arrival = Arrival(
            settings, store, Asking(settings, store), probe, refusal=works.refusal
        )

    def page(
        self, *, states: Sequence[JobState], limit: int, offset: int
    ) -> shapes.Page[shapes.Job]:
        """Return some jobs, newest first."""
        found, total = self._store.jobs.page(states=states, limit=limit, offset=offset)
        items = [shaping.job(one) for one in found]
        return shapes.Page(items=items, total=total, limit=limit, offset=offset)

    def of_video(self, video_id: int) -> list[shapes.Job]:
        """Return a video's jobs, newest first."""
        return [shaping.job(one) for one in self._store.jobs.for_video(video_id)]

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
        """Ask for a video in some languages, as a marker does; asking twice is the same job.

        Raises:
            UnknownLanguage: One is none.
            WrongUsage: One cannot be dubbed into.
            CannotDub: The video is not there any more, is not to be dubbed, or cannot be.
            NotReady: It cannot be dubbed as it is now.
        """
        if video.state is VideoState.MISSING:
            raise CannotDub("The video is not there any more.", path=video.path)
        languages = [parse_language(word) for word in asked.languages]
        languages = languages or list(self._settings.target_langs)
        refusals = [words for words in map(self._works.refusal, languages) if words]
        if refusals:
            raise WrongUsage(" ".join(refusals))
        options = JobOptions(asked.mode, asked.style, asked.again, asked.priority)
        job = self._arrival.order(video, languages, options)
        self._works.ring()
        return shaping.job(job)

    def retry(self, job_id: int) -> shapes.Job:
        """Queue a job again that ended otherwise than well.

        Raises:
            IllegalTransition: It is done, has not ended, or a line of it is made anew just now.
        """
        try:
            with nobody_at(self._settings.work_dir / str(job_id), job_id):
                job = self._store.jobs.retry(job_id)
        except IllegalTransition as error:
            if self._store.jobs.get(job_id).state is JobState.DONE:
                error.hint = (
                    error.hint or "To dub it once more, ask for its languages again, with `again`."
                )
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

    def prioritise(self, job_id: int, priority: Priority) -> shapes.Job:
        """Let a queued job start sooner or later.

        Raises:
            NotInStore: It is not known.
            IllegalTransition: It is not queued.
        """
        self._store.jobs.prioritise(job_id, priority)
        return shaping.job(self._store.jobs.get(job_id))

    def forget(
        self, job_id: int, *, reports: bool, first: Callable[[int], None] = lambda job_id: None
    ) -> None:
        """Remove a job that has ended from the history; videos and tracks stay.

        Args:
            job_id: The job.
            reports: Its quality reports, too.
            first: Called with the job once it is sure that it has ended.

        Raises:
            IllegalTransition: It has not ended, or a line of it is made anew just now.
        """
        with nobody_at(self._settings.work_dir / str(job_id), job_id):
            if self._store.jobs.get(job_id).state.ended:
                first(job_id)
            self._store.jobs.forget(job_id)
            remove_work(self._settings, job_id, reports=reports)

    def insight(self, job_id: int, what: Insight) -> list[shapes.StageContent]:
        """Return what the stages of a job found, while it is kept.

        Raises:
            NotInStore: There is no such job, or nothing of it is kept.
        """
        self._store.jobs.get(job_id)
        found = [
            shapes.StageContent(stage=one.stage, language=one.language, content=content)
            for one in self._store.checkpoints.stages(job_id)
            if one.stage in _STAGES_OF[what] and (content := _content(one.artifact)) is not None
        ]
        if not found:
            raise NotInStore(
                f"Nothing of this is kept of job {job_id}.",
                hint="KEEP_WORK_DAYS, KEEP_WORK_GIB and DEBUG_MODE say what is kept.",
            )
        return found

    def redo(self, job_id: int, language: str, index: int, text: str | None) -> Task:
        """Begin to make a line anew; also after a restart, when the program ends before it is made.

        Raises:
            IllegalTransition: The job has not ended, or this line is being made anew just now.
            WrongUsage: The job made no such track, or the text is empty.
        """
        job = self._store.jobs.get(job_id)
        spoken = language_to_redo(self._store, job, language)
        if text is not None and not text.strip():
            raise WrongUsage("An empty text cannot be spoken.", hint="Leave the text out.")

        asked = RedoRecord(job_id, spoken.code, index, text, attempts=0)
        return self._begin(asked, first=lambda: self._store.redos.ask(*_line(asked), text))

    def resume(self) -> None:
        """Begin to make the lines that were to be made when the program ended."""
        for asked in self._store.redos.open():
            about = {"job": asked.job_id, "language": asked.language, "line": asked.line}
            if not (self._settings.work_dir / str(asked.job_id)).is_dir():
                log.warning("line not made anew", **about, note="nothing of its job is kept here")
                continue
            try:
                self._begin(asked)
            except IllegalTransition as error:
                log.warning("line not made anew yet", **about, error=error)
            else:
                log.info("line is made anew after all", **about)

    def _begin(self, asked: RedoRecord, *, first: Callable[[], None] = lambda: None) -> Task:
        redos, line = self._store.redos, _line(asked)

        def work(report: Callable[[str, float], None]) -> None:
            try:
                if asked.attempts >= MOST_ATTEMPTS:
                    raise CannotDub(
                        f"The program ended {asked.attempts} times while it made this line.",
                        hint="Look into its log for why, then ask for the line again.",
                    )
                redos.begin(*line)
                job, language = self._store.jobs.get(asked.job_id), parse_language(asked.language)
                self._works.redo(job, language, asked.line, asked.text, report)
            except JobCancelled as error:
                redos.give_back(*line)
                error.hint = "It is made when the program runs again."
                raise
            except BaseException:
                redos.settle(*line)
                raise
            redos.settle(*line)

        about = "/".join(map(str, line))
        return self._tasks.start("redo", about, work, first=first)


def _line(asked: RedoRecord) -> tuple[int, str, int]:
    return asked.job_id, asked.language, asked.line


def _content(artifact: Path) -> object:
    try:
        return json.loads(artifact.read_bytes())
    except (OSError, ValueError):
        return None
