"""Runs one claimed job to its end and writes down how it ended; the daemon and `dub` share it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from dubarr_watch.dubbing.keeping import Keeping
from dubarr_watch.dubbing.pipeline import Pipeline
from dubarr_watch.dubbing.results import JobResult, LanguageResult
from dubarr_watch.dubbing.workspace import JobControl, Workspace
from dubarr_watch.errors import (
    CannotDub,
    ClaimLost,
    DiskFull,
    DubarrError,
    JobCancelled,
    StoreUnreachable,
    VideoChanged,
    worth_another_try,
)
from dubarr_watch.languages import parse_language
from dubarr_watch.library.asking import AWAY
from dubarr_watch.settings import Settings
from dubarr_watch.store.records import JobRecord, JobState, Priority
from dubarr_watch.store.store import Store

log = structlog.get_logger(__name__)

AFTER_AWAY = "Went on after the database server did not answer."
"""Why a job is queued again that did not fail."""

_SAVE_EVERY_S = 1.0
_CANCEL_CHECK_S = 0.5

_PRIORITY = {Priority.HIGH: 1, Priority.NORMAL: 0, Priority.LOW: -1}

OnProgress = Callable[[str, float, float | None], None]
"""Called with (stage, share of the job done, estimated seconds left)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run of a job ended.

    Attributes:
        job: The job as it is now; queued again when it is to be tried again or was stopped.
        result: What the pipeline made; nothing when it raised.
        seconds: Time it took.
        error: What it raised.
    """

    job: JobRecord
    result: JobResult | None
    seconds: float
    error: DubarrError | None = None


@dataclass(frozen=True, slots=True)
class JobRunner:
    """Runs jobs that were claimed.

    Attributes:
        settings: MAX_ATTEMPTS, DEBUG_MODE, STALL_SECONDS.
        store: Where the end is written down.
        pipeline: Does the work.
        park: Whether a stopped job waits for its own command instead of being queued for anybody.
        events_for: The messages to send about a job that ends so.
        is_away: Tells whether the disk that a video is on is not there just now.
    """

    settings: Settings
    store: Store
    pipeline: Pipeline
    park: bool = False
    events_for: Callable[[JobState], Sequence[str]] = lambda state: ()
    is_away: Callable[[Path], bool] = lambda path: False

    def run(
        self,
        job: JobRecord,
        *,
        on_progress: OnProgress = lambda stage, share, eta_s: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> Ended:
        """Run a job and return how it ended; never raises for what happens to the job.

        A full disk, or a database server that does not answer, ends only the run: the job is queued
        again, to go on when there is space, or an answer. One whose video's disk went away waits
        for that.

        Args:
            job: Claimed by this process.
            on_progress: Called often.
            should_stop: True ends the run at its last checkpoint; the job is queued again.

        Raises:
            StoreError, DiskFull: How it ended could not be written down.
        """
        started = time.monotonic()
        mine = self.store.under(job.id, job.token)
        fenced = replace(self, store=mine, pipeline=replace(self.pipeline, store=mine))
        with structlog.contextvars.bound_contextvars(job=job.id):
            try:
                ended = fenced._run(job, on_progress, should_stop)
            except ClaimLost as error:
                log.warning("job lost", error=error)
                now = self.store.jobs.get(job.id)
                return Ended(now, None, time.monotonic() - started, error)
            self._tidy(ended)
        return ended

    def _run(
        self, job: JobRecord, on_progress: OnProgress, should_stop: Callable[[], bool]
    ) -> Ended:
        watch = _Progress(self.store, job, on_progress)
        cancelled = _CancelCheck(self.store, job, should_stop)
        control = JobControl(
            watch.report,
            cancelled,
            self.settings.stall_seconds,
            job=job.id,
            priority=_PRIORITY[job.options.priority],
        )
        started = time.monotonic()
        log.info("job started", video=job.video.path, languages=job.languages)
        try:
            result = self.pipeline.run(job, control)
        except JobCancelled:
            return self._stopped(job, started, stop=should_stop())
        except ClaimLost:
            raise
        except DubarrError as error:
            log.warning("job failed", error=error, exc_info=not isinstance(error, CannotDub))
            return self._failed(job, error, started)
        except Exception as error:
            log.exception("job failed unexpectedly")
            unexpected = DubarrError(
                f"Something unexpected went wrong: {type(error).__name__}: {error}",
                hint="The log holds the details; please report them. `dubarr-watch retry` "
                "tries again.",
            )
            return self._failed(job, unexpected, started)
        return self._finished(job, result, started)

    def _finished(self, job: JobRecord, result: JobResult, started: float) -> Ended:
        seconds = time.monotonic() - started
        reason = self.settings.without_secrets(result.reason)
        with self.store.transaction():
            for language in result.languages:
                self._keep(job, language)
            ended = self.store.jobs.finish(
                job.id, result.state, reason, events=self.events_for(result.state)
            )
        log.info("job ended", state=result.state, reason=reason, seconds=round(seconds, 1))
        return Ended(ended, result, seconds)

    def _keep(self, job: JobRecord, language: LanguageResult) -> None:
        report = language.report
        self.store.jobs.set_result(
            job.id,
            language.language.code,
            language.state,
            self.settings.without_secrets(language.reason),
            report=language.report_path,
            summary=report.kept_summary() if report else "",
        )

    def _stopped(self, job: JobRecord, started: float, *, stop: bool) -> Ended:
        seconds = time.monotonic() - started
        if stop and not self.store.jobs.get(job.id).cancel_requested:
            reason = "Stopped with the program; it goes on where it was."
            again = self.store.jobs.requeue(job.id, reason, waiting=self.park, counted=False)
            return Ended(again, None, seconds)
        why = self.store.jobs.get(job.id).reason or "Cancelled."
        ended = self.store.jobs.finish(job.id, JobState.CANCELLED, why)
        log.info("job cancelled")
        return Ended(ended, None, seconds)

    def _failed(self, job: JobRecord, error: DubarrError, started: float) -> Ended:
        seconds = time.monotonic() - started
        error = self._without_secrets(error)
        if isinstance(error, DiskFull) and not self.park:
            reason = f"Waits for space: {error.message} Free some; it goes on by itself."
            again = self.store.jobs.requeue(job.id, reason, counted=False)
            return Ended(again, None, seconds, error)
        if isinstance(error, VideoChanged) and self.is_away(job.video.path):
            reason = f"{AWAY} the video's folder is empty or gone. It goes on when it is back."
            again = self.store.jobs.requeue(job.id, reason, waiting=True, counted=False)
            return Ended(again, None, seconds, error)
        if isinstance(error, StoreUnreachable):  # for a moment: it can be written down again
            again = self.store.jobs.requeue(job.id, AFTER_AWAY, waiting=self.park, counted=False)
            return Ended(again, None, seconds, error)
        if worth_another_try(error) and job.attempts < self.settings.max_attempts:
            log.info("job queued again", attempt=job.attempts, of=self.settings.max_attempts)
            reason = f"Tried again after: {error.message}"
            again = self.store.jobs.requeue(job.id, reason, waiting=self.park)
            return Ended(again, None, seconds, error)
        with self.store.transaction():
            for code in job.languages:
                self._keep(job, LanguageResult(parse_language(code), JobState.FAILED, str(error)))
            ended = self.store.jobs.finish(
                job.id, JobState.FAILED, str(error), events=self.events_for(JobState.FAILED)
            )
        return Ended(ended, None, seconds, error)

    def _without_secrets(self, error: DubarrError) -> DubarrError:
        # Its words may quote an answer, which may quote a key; `status` and messages repeat them.
        blot = self.settings.without_secrets
        return type(error)(blot(error.message), hint=blot(error.hint), path=error.path)

    def _tidy(self, ended: Ended) -> None:
        """Keep what lines can be made anew from; clear what nobody needs."""
        job, result = ended.job, ended.result
        if self.settings.debug_mode or not job.state.ended:
            return
        keeping = keeping_of(self.settings, self.store)
        made = result is not None and any(language.report for language in result.languages)
        if job.state is JobState.FAILED and not isinstance(ended.error, CannotDub):
            keeping.prune()  # it may be tried again
        elif made:
            keeping.keep(job.id)
        else:
            folder = self.settings.work_dir / str(job.id)
            Workspace(folder, job.id, self.store.checkpoints).clear()


def keeping_of(settings: Settings, store: Store) -> Keeping:
    """Return what the settings say is kept of ended jobs."""

    def failed_at(number: int) -> float | None:
        job = store.jobs.find(number)
        if job is None or job.state is not JobState.FAILED or job.finished_at is None:
            return None
        return job.finished_at.timestamp()

    return Keeping(
        settings.work_dir,
        store.checkpoints,
        settings.keep_work_days,
        settings.keep_work_gib * 2**30,
        failed_at=failed_at,
        held=store.transaction,
    )


@dataclass(slots=True)
class _Progress:
    """Keeps the progress of a job in the store, not more often than once a second."""

    store: Store
    job: JobRecord
    on_progress: OnProgress
    _started: float = field(default_factory=time.monotonic)
    _first_share: float | None = None
    _saved_at: float = 0.0
    _stage: str = ""

    def report(self, stage: str, share: float) -> None:
        now = time.monotonic()
        if self._first_share is None:
            self._first_share = share
        eta_s = self._eta_s(share, now)
        self.on_progress(stage, share, eta_s)
        if stage != self._stage or now - self._saved_at >= _SAVE_EVERY_S:
            if stage != self._stage:
                log.info("stage", stage=stage)
            self.store.jobs.progress(self.job.id, stage, share, eta_s)
            self._stage, self._saved_at = stage, now

    def _eta_s(self, share: float, now: float) -> float | None:
        done = share - (self._first_share or 0.0)
        elapsed_s = now - self._started
        if done < 0.05 or elapsed_s < 2:
            return None
        return elapsed_s * (1 - share) / done


@dataclass(slots=True)
class _CancelCheck:
    """Whether to stop; asks the store at most twice a second, for another process may cancel."""

    store: Store
    job: JobRecord
    should_stop: Callable[[], bool]
    _asked_at: float = 0.0
    _answer: bool = False

    def __call__(self) -> bool:
        if self.should_stop():
            return True
        now = time.monotonic()
        if not self._answer and now - self._asked_at >= _CANCEL_CHECK_S:
            self._asked_at = now
            cancelled = self.store.jobs.cancel_requested(self.job.id)
            lost = not self.store.claims.holds(self.job.id, self.job.token)
            self._answer = cancelled or lost
        return self._answer
