"""The queue: every change of a job's state.

    waiting ─┐            ┌─> done, done_with_warnings, failed, skipped, cancelled ─┐
             ├─> running ─┤                                                         │
    queued ──┘     ^      └─> queued (requeue)                                      │
       ^           └─ claim                                                         │
       └────────────────────── retry (not of done) ─────────────────────────────────┘

What is not started can also be skipped, failed or cancelled. Every other change is refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from dubarr_watch.errors import IllegalTransition
from dubarr_watch.store.checkpoints import finished_steps
from dubarr_watch.store.claims import LEASE_S
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.job_order import IN_ORDER, RANK, JobOrder
from dubarr_watch.store.job_results import JobResults
from dubarr_watch.store.job_views import JobViews
from dubarr_watch.store.models import Job, Notification
from dubarr_watch.store.notifications import pending_row
from dubarr_watch.store.people import forget_video
from dubarr_watch.store.records import JobOptions, JobRecord, JobState

_NOT_STARTED = (JobState.WAITING, JobState.QUEUED)
_WITHOUT_RUNNING = (JobState.FAILED, JobState.SKIPPED, JobState.CANCELLED)
_RETRIABLE = (*_WITHOUT_RUNNING, JobState.DONE_WITH_WARNINGS)


class Jobs(JobViews, JobOrder, JobResults):
    """Jobs: what is to be done, what is being done, what was done."""

    def enqueue(
        self,
        video_id: int,
        languages: Sequence[str],
        options: JobOptions,
        request_id: int | None = None,
        state: JobState = JobState.QUEUED,
        reason: str = "",
    ) -> JobRecord:
        """Ask for a video in some languages, and return the job that will do it.

        Languages that a job of the video which has not ended covers already are not asked for
        twice; one that has not started gains the new ones. A waiting job becomes queued, and a
        job's priority higher, when asked for so again.

        Args:
            video_id: The video.
            languages: ISO 639-1 codes, at least one.
            options: An empty mode or style is content with any.
            request_id: The request it serves; a job that served none takes it over.
            state: `queued`, `waiting`, or `skipped` or `failed` to keep why nothing is done.
            reason: Why, when it is not queued.
        """
        if not languages or state not in (*_NOT_STARTED, *_WITHOUT_RUNNING):
            raise ValueError("a job needs languages and a state in which it has not started")
        languages = tuple(dict.fromkeys(languages))
        with self._database.transaction():
            self._lock(Job.video == video_id)
            if state.ended:
                return self._keep_ended(video_id, languages, options, request_id, state, reason)
            fitting = [job for job in reversed(self.for_video(video_id)) if _does(job, options)]
            covered = {language for job in fitting for language in job.languages}
            new = [language for language in languages if language not in covered]
            joining = next((job for job in fitting if job.state in _NOT_STARTED), None)
            for job in fitting:
                gained = new if job is joining else []
                if job.state in _NOT_STARTED and (gained or {*job.languages} & {*languages}):
                    self._join(job, gained, options, state)
            if new and joining is None:
                return self._insert(video_id, new, options, request_id, state, reason)
            best = max(fitting, key=lambda job: len({*job.languages} & {*languages}))
            chosen = joining if new and joining is not None else best
            if chosen.request_id is None and request_id is not None:
                self._set(chosen.id, request_id=request_id)
            return self.get(chosen.id)

    def claim(self, owner: str, *, lease_s: float = LEASE_S) -> JobRecord | None:
        """Start the next job: the highest priority, then as ordered; nothing when none is queued.

        However many claim at once, each job is started by one.

        Args:
            owner: Id of the process that runs it; see `owners`.
            lease_s: How long others wait for its next sign of life; see `claims`.
        """
        queued = Job.select(Job.id).where(Job.state == JobState.QUEUED).order_by(*IN_ORDER)
        if self._database.first(queued) is None:  # an idle worker takes no write lock
            return None
        with self._database.transaction(alone=False):
            row = self._database.first(self._database.locking(queued, skip=True))
            return None if row is None else self._start(row.id, owner, lease_s)

    def claim_job(self, job_id: int, owner: str, *, lease_s: float = LEASE_S) -> JobRecord:
        """Start one certain job, waiting or queued; see `claim`.

        Raises:
            IllegalTransition: It is running or has ended.
        """
        with self._database.transaction(alone=False):
            self._must_be(job_id, _NOT_STARTED, "started")
            return self._start(job_id, owner, lease_s)

    def progress(self, job_id: int, stage: str, progress: float, eta_s: float | None) -> None:
        """Keep how far a running job is; may be lost with the power.

        Args:
            job_id: The job.
            stage: What it does, e.g. `synthesize es`.
            progress: 0 to 1 over the whole job.
            eta_s: Estimated seconds left, or nothing when unknown.
        """
        running = (Job.id == job_id) & (Job.state == JobState.RUNNING)
        self._database.run_unsynced(
            Job.update(stage=stage, progress=progress, eta_s=eta_s).where(running)
        )

    def finish(
        self, job_id: int, state: JobState, reason: str = "", *, events: Sequence[str] = ()
    ) -> JobRecord:
        """End a job.

        A job that was cancelled stays so, and one that fails after somebody asked to cancel it
        is cancelled: ending a model in its work looks like a failure.

        Args:
            job_id: The job.
            state: Its end; `done` and `done_with_warnings` are for running jobs.
            reason: Plain words.
            events: Messages to send about it, kept in the outbox in the same transaction.

        Raises:
            IllegalTransition: It has ended already, or is not running and is called done.
        """
        if not state.ended:
            raise ValueError(f"a job does not end {state}")
        with self._database.transaction():
            self._lock(Job.id == job_id)
            job = self.get(job_id)
            if job.state is JobState.CANCELLED:
                return job
            allowed = (JobState.RUNNING, *(_NOT_STARTED if state in _WITHOUT_RUNNING else ()))
            self._must_be(job_id, allowed, f"ended as {state}")
            if job.cancel_requested and state is JobState.FAILED:
                state, reason = JobState.CANCELLED, job.reason
            self._end(job_id, state, reason)
            for event in events if state is not JobState.CANCELLED else ():
                self._database.run(Notification.insert(**pending_row(job_id, event)))
            return self.get(job_id)

    def amend(self, job_id: int, state: JobState, reason: str = "") -> JobRecord:
        """Change how a job ended, after a line of it was made anew.

        Args:
            job_id: The job.
            state: Its end now.
            reason: Plain words.

        Raises:
            IllegalTransition: It has not ended.
        """
        if not state.ended:
            raise ValueError(f"a job does not end {state}")
        with self._database.transaction():
            self._must_be(job_id, tuple(s for s in JobState if s.ended), f"ended as {state}")
            self._set(job_id, state=state, reason=reason)
            return self.get(job_id)

    def requeue(
        self, job_id: int, reason: str = "", *, waiting: bool = False, counted: bool = True
    ) -> JobRecord:
        """Put a running job back, to go on at its last checkpoint.

        One that somebody asked to cancel is cancelled instead.

        Args:
            job_id: The job.
            reason: Why.
            waiting: Wait for something instead of going on as soon as there is room.
            counted: Whether this start counts as an attempt.
        """
        with self._database.transaction():
            job = self._must_be(job_id, (JobState.RUNNING,), "queued again")
            if job.cancel_requested:
                self._end(job_id, JobState.CANCELLED, job.reason)
            else:
                state = JobState.WAITING if waiting else JobState.QUEUED
                self._set(
                    job_id, state=state, reason=reason, owner="", lease_until=None, stage="",
                    eta_s=None, attempts=job.attempts - (not counted),
                )  # fmt: skip
            return self.get(job_id)

    def cancel(self, job_id: int, reason: str = "") -> JobRecord:
        """Cancel a job, for a reason that it keeps: at once when it has not started, else soon.

        Raises:
            IllegalTransition: It has ended.
        """
        with self._database.transaction():
            self._lock(Job.id == job_id)
            job = self.get(job_id)
            if job.state is JobState.RUNNING:
                self._set(job_id, cancel_requested=True, reason=reason)
            elif job.state is not JobState.CANCELLED:
                self._must_be(job_id, _NOT_STARTED, "cancelled")
                self._end(job_id, JobState.CANCELLED, reason)
            return self.get(job_id)

    def retry(self, job_id: int) -> JobRecord:
        """Queue an ended job again, its attempts forgotten, its checkpoints kept.

        Raises:
            IllegalTransition: It is done, has not ended, or another job does the same already.
        """
        with self._database.transaction():
            job = self._must_be(job_id, _RETRIABLE, "tried again")
            for other in self.for_video(job.video.id):
                if not other.state.ended and set(other.languages) & set(job.languages):
                    raise IllegalTransition(f"Job {other.id} does the same and has not ended.")
            self._set(
                job_id, state=JobState.QUEUED, reason="", attempts=0, progress=0, owner="",
                cancel_requested=False, started_at=None, finished_at=None,
            )  # fmt: skip
            return self.get(job_id)

    def forget(self, job_id: int) -> None:
        """Remove an ended job with its checkpoints; files are left to the caller.

        With the last job of a video goes what was learned of the people in it.

        Raises:
            IllegalTransition: It has not ended.
        """
        with self._database.transaction():
            job = self._must_be(job_id, tuple(s for s in JobState if s.ended), "forgotten")
            self._database.run(Job.delete().where(Job.id == job_id))
            if not self.for_video(job.video.id):
                forget_video(self._database, job.video.id)

    def _start(self, job_id: int, owner: str, lease_s: float) -> JobRecord:
        self._set(
            job_id, state=JobState.RUNNING, owner=owner, attempts=Job.attempts + 1, reason="",
            stage="", progress=0, eta_s=None, started_at=utc_now(), token=Job.token + 1,
            lease_until=self._database.now() + timedelta(seconds=lease_s),
            checkpoints=finished_steps(self._database, job_id),
        )  # fmt: skip
        return self.get(job_id)

    def _end(self, job_id: int, state: JobState, reason: str) -> None:
        self._set(
            job_id, state=state, reason=reason, owner="", lease_until=None, stage="", eta_s=None,
            finished_at=utc_now(),
        )  # fmt: skip

    def _join(
        self, job: JobRecord, new: Sequence[str], options: JobOptions, state: JobState
    ) -> None:
        changes: dict[str, Any] = {"languages": ",".join((*job.languages, *new))}
        if options.again:
            changes["again"] = True
        if RANK[options.priority] < RANK[job.options.priority]:
            changes |= {"priority": options.priority, "rank": RANK[options.priority]}
        if state is JobState.QUEUED and job.state is JobState.WAITING:
            changes |= {"state": state, "reason": ""}
        self._set(job.id, **changes)

    def _keep_ended(
        self,
        video_id: int,
        languages: Sequence[str],
        options: JobOptions,
        request_id: int | None,
        state: JobState,
        reason: str,
    ) -> JobRecord:
        latest = next(iter(self.for_video(video_id)), None)
        told = (tuple(languages), state, reason, request_id)
        if latest and (latest.languages, latest.state, latest.reason, latest.request_id) == told:
            return latest
        job = self._insert(video_id, languages, options, request_id, state, reason)
        self._set(job.id, finished_at=job.created_at)
        return self.get(job.id)

    def _insert(
        self,
        video_id: int,
        languages: Sequence[str],
        options: JobOptions,
        request_id: int | None,
        state: JobState,
        reason: str,
    ) -> JobRecord:
        row = Job.insert(
            video=video_id, request_id=request_id, languages=",".join(languages),
            mode=options.mode, style=options.style, again=options.again,
            priority=options.priority, rank=RANK[options.priority], state=state, reason=reason,
            attempts=0, checkpoints=0, stage="", progress=0, cancel_requested=False, owner="",
            token=0, created_at=utc_now(),
        )  # fmt: skip
        return self.get(self._database.run(row))

    def _set(self, job_id: int, **values: Any) -> None:
        self._database.run(Job.update(**values).where(Job.id == job_id))

    def _lock(self, which: Any) -> None:
        """Keep jobs from being claimed until the transaction ends."""
        self._database.all(self._database.locking(Job.select(Job.id).where(which)))

    def _must_be(self, job_id: int, states: Sequence[JobState], to_be: str) -> JobRecord:
        self._lock(Job.id == job_id)
        job = self.get(job_id)
        if job.state not in states:
            raise IllegalTransition(f"Job {job_id} is {job.state} and cannot be {to_be}.")
        return job


def _does(job: JobRecord, options: JobOptions) -> bool:
    """Tell whether a job will still make the kind of output that is asked for."""
    if job.state.ended or job.cancel_requested:
        return False
    mode, style = job.options.mode, job.options.style
    return options.mode in ("", mode) and options.style in ("", style)
