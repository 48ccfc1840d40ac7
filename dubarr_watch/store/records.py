"""What the store keeps, as plain values: no other room ever sees a database row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path


class JobState(StrEnum):
    """Where a job is in its life.

    `waiting` cannot start yet (its video is not ready, or something has to be provided first);
    `queued` can start; the last five are ends.
    """

    WAITING = "waiting"
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    DONE_WITH_WARNINGS = "done_with_warnings"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the job by itself."""
        return self not in (JobState.WAITING, JobState.QUEUED, JobState.RUNNING)


class Priority(StrEnum):
    """Who goes first; within one priority the older job does."""

    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class VideoState(StrEnum):
    """Why a video is or is not worked on.

    `baseline` was there before the first start and waits for somebody to ask; `arrived` is new;
    `missing` was there and is not now (nothing of it is forgotten: it may be a mount that blinked).
    """

    BASELINE = "baseline"
    ARRIVED = "arrived"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class VideoRecord:
    """A video of the library.

    Attributes:
        id: Row id, stable over renames.
        path: Where it was seen last.
        size_bytes: Size then.
        mtime_ns: Modification time then.
        fingerprint: `library.naming.fingerprint` of its content: size, head and tail bytes.
        state: See `VideoState`.
        note: Why nothing is done with it, in plain words; empty when there is no such reason.
        seen_at: When it was found last, or missed first; UTC.
        audio: Languages of the audio tracks in it, `und` for an unknown one; nothing before
            anybody looked.
    """

    id: int
    path: Path
    size_bytes: int
    mtime_ns: int
    fingerprint: str
    state: VideoState
    note: str
    seen_at: datetime
    audio: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What somebody asked for beyond the languages.

    Attributes:
        mode: `sidecar`, `mux`, `both`, or empty for OUTPUT_MODE.
        style: `dub` or `voiceover`, or empty for the default.
        again: Dub even when the track is already there.
        priority: Place in the queue.
    """

    mode: str = ""
    style: str = ""
    again: bool = False
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """What a marker or a person asked for; outlives the marker file.

    Attributes:
        id: Row id.
        target: The video's path, or the folder's when `for_folder`.
        for_folder: Whether it asks for every video in and below `target`, now and later.
        languages: ISO 639-1 codes; empty means TARGET_LANGS.
        options: See `JobOptions`.
        marker: The marker file, or nothing when a person asked otherwise.
        open: Whether something is still to be done for it.
        created_at: UTC.
    """

    id: int
    target: Path
    for_folder: bool
    languages: tuple[str, ...]
    options: JobOptions
    marker: Path | None
    open: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class JobRecord:
    """One video, one run, some languages.

    Attributes:
        id: Row id.
        video: The video as known now.
        languages: ISO 639-1 codes, in the order asked for.
        options: See `JobOptions`.
        request_id: The request it serves, if any.
        state: See `JobState`.
        reason: Plain words: why it waits, failed, was skipped, or what to check.
        attempts: Times it was started.
        stage: The running stage's name, e.g. `synthesize es`; empty when not running.
        progress: 0 to 1 over the whole job.
        eta_s: Estimated seconds left, or nothing when unknown.
        cancel_requested: Somebody asked to stop it.
        created_at: UTC.
        started_at: UTC, of the last start.
        finished_at: UTC.
        token: Of the last claim; see `claims.Claims`.
    """

    id: int
    video: VideoRecord
    languages: tuple[str, ...]
    options: JobOptions
    request_id: int | None
    state: JobState
    reason: str
    attempts: int
    stage: str
    progress: float
    eta_s: float | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    token: int


@dataclass(frozen=True, slots=True)
class StageRecord:
    """A finished step of a job: a checkpoint.

    Attributes:
        job_id: Its job.
        stage: e.g. `transcribe`, `translate`.
        language: ISO 639-1 code, or empty for what all languages share.
        key: Content key of everything it was made from; another key makes it worthless.
        artifact: Its result, a file below the job's work folder.
        seconds: Time it took.
        finished_at: UTC.
    """

    job_id: int
    stage: str
    language: str
    key: str
    artifact: Path
    seconds: float
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class LineRecord:
    """A synthesized line: the checkpoint within synthesis.

    Attributes:
        job_id: Its job.
        language: ISO 639-1 code.
        index: The line's index in the video.
        key: Content key of text, voice, slot and engine.
        data: The take as JSON, as `dubbing.fitting` wrote it.
    """

    job_id: int
    language: str
    index: int
    key: str
    data: str


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """A file that we published, so that it is never mistaken for a video or overwritten blindly.

    Attributes:
        path: Where it was published.
        job_id: By which job.
        language: ISO 639-1 code.
        kind: `sidecar`, `mux` or `subtitles`.
        size_bytes: Size when published.
        mtime_ns: Modification time when published.
        fingerprint: Content fingerprint when published.
    """

    path: Path
    job_id: int
    language: str
    kind: str
    size_bytes: int
    mtime_ns: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TrackRecord:
    """A track that a job made.

    Attributes:
        job_id: Its job.
        language: ISO 639-1 code.
        path: Where it was published.
        kind: `sidecar`, `mux` or `subtitles`.
    """

    job_id: int
    language: str
    path: Path
    kind: str


@dataclass(frozen=True, slots=True)
class ResultRecord:
    """How one language of a job ended.

    Attributes:
        job_id: Its job.
        language: ISO 639-1 code.
        state: An end; see `JobState`.
        reason: Plain words; empty when all is well.
        report: The quality report's JSON file, or nothing when there is none.
        summary: The report's summary as JSON; empty when there is none.
        finished_at: UTC.
    """

    job_id: int
    language: str
    state: JobState
    reason: str
    report: Path | None
    summary: str
    finished_at: datetime


PENDING = "pending"
"""Outcome of a notification that still has to be sent."""


@dataclass(frozen=True, slots=True)
class NotificationRecord:
    """A push message: still to be sent, or what became of it.

    Attributes:
        id: Row id.
        job_id: The job it is about; nothing for a digest, a test, or a forgotten job.
        event: e.g. `done`, `failed`, `digest`.
        outcome: `pending`, or what the sender recorded, e.g. `sent` or `failed`.
        detail: Plain words, without any URL.
        attempts: Times that sending was tried.
        at: UTC, when it was added or last changed.
    """

    id: int
    job_id: int | None
    event: str
    outcome: str
    detail: str
    attempts: int
    at: datetime
