"""What the API gives out: every name here is public."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar

from fastapi import Path, Query
from pydantic import BaseModel, Field

from dubarr_watch.store.records import JobState, Priority, VideoState

LARGEST_ID = 2**63 - 1
"""Of SQLite."""

Id = Annotated[int, Path(ge=1, le=LARGEST_ID)]
Limit = Annotated[int, Query(ge=1, le=200, description="how many at most")]
Offset = Annotated[int, Query(ge=0, le=LARGEST_ID, description="how many to pass over")]

Language = Annotated[str, Path(max_length=64, description="code or name")]
Index = Annotated[int, Path(ge=0, le=10**9, description="the line's, as in the report")]
LanguageName = Annotated[
    str, Query(max_length=64, description="code or name; not needed when there is only one")
]

Item = TypeVar("Item")


class Page(BaseModel, Generic[Item]):
    """Some of many."""

    items: list[Item]
    total: int = Field(description="how many there are altogether")
    limit: int
    offset: int


class Track(BaseModel):
    """A file that we published."""

    language: str = Field(description="ISO 639-1 code")
    kind: str = Field(description="sidecar, mux or subtitles")
    path: str
    there: bool = Field(description="whether it is still there")


class Video(BaseModel):
    """A video of the library."""

    id: int
    name: str
    folder: str = Field(description="below the library")
    path: str
    size_bytes: int
    state: VideoState
    note: str = Field(description="why nothing is done with it; empty when there is no reason")
    has: list[str] | None = Field(
        description="languages of the audio in it, `und` for unknown; null while nobody looked"
    )
    dubbed: list[str] = Field(description="languages in which there is a track of ours")
    asked_for: list[str] = Field(description="languages that a job is at work on, or will be")
    tracks: list[Track]


class Job(BaseModel):
    """One video, one run, some languages."""

    id: int
    video_id: int
    name: str = Field(description="the video's")
    path: str
    languages: list[str]
    state: JobState
    reason: str = Field(description="why it waits, failed, was skipped, or what to check")
    priority: Priority
    mode: str = Field(description="sidecar, mux, both, or empty for OUTPUT_MODE")
    style: str = Field(description="dub, voiceover, or empty for MIX_STYLE")
    attempts: int
    stage: str = Field(description="what it does now, e.g. `synthesize es`")
    progress: float = Field(description="0 to 1 over the whole job")
    eta_s: float | None
    cancel_requested: bool
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobDetail(Job):
    """A job with what came of it."""

    results: list[Result]
    tracks: list[Track]
    stages: list[Stage]


class Result(BaseModel):
    """How one language of a job ended."""

    language: str
    state: JobState
    reason: str
    has_report: bool
    lines: int | None
    lines_to_check: int | None
    within_slot: float | None = Field(description="share of lines that fit their time, 0 to 1")
    wer_median: float | None
    real_time_factor: float | None


class Stage(BaseModel):
    """A finished step of a job."""

    stage: str
    language: str = Field(description="empty for what all languages share")
    seconds: float
    finished_at: datetime


class StageContent(BaseModel):
    """What a stage found, as it keeps it."""

    stage: str
    language: str = Field(description="empty for what all languages share")
    content: Any


class NewJob(BaseModel):
    """What is asked for."""

    video_id: int | None = Field(None, ge=1, le=LARGEST_ID)
    path: str = Field("", max_length=4096, description="instead of video_id")
    languages: list[Annotated[str, Field(max_length=64)]] = Field(
        [], max_length=50, description="codes or names; empty: TARGET_LANGS"
    )
    mode: str = Field("", pattern="^(|sidecar|mux|both)$")
    style: str = Field("", pattern="^(|dub|voiceover)$")
    again: bool = Field(False, description="although there is a track already")
    priority: Priority = Priority.NORMAL


class Place(BaseModel):
    """Where in the queue."""

    before: int | None = Field(
        None, ge=1, le=LARGEST_ID, description="the queued job that comes next; null: last of all"
    )


class NewPriority(BaseModel):
    """Who goes first."""

    priority: Priority


class NewLine(BaseModel):
    """A line to be made anew."""

    text: str | None = Field(None, max_length=2000, description="null: the same in another way")
    language: str = Field("", max_length=64, description="needed when the job made several")


class LineCount(BaseModel):
    """How far a language of a running job is spoken."""

    job_id: int
    language: str
    done: int
    total: int


class Status(BaseModel):
    """What is going on."""

    version: str
    profile: str
    target_languages: list[str]
    counts: dict[JobState, int]
    running: list[Job]
    lines: list[LineCount] = Field(description="of running jobs that have come to speaking")
    queue: list[Job] = Field(description="the next ones, in the order in which they will start")
    recent: list[Job]


JobDetail.model_rebuild()
