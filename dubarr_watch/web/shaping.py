"""Records of the store into what the API gives out."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from dubarr_watch.errors import printable
from dubarr_watch.store.records import (
    JobRecord,
    OutputRecord,
    ResultRecord,
    StageRecord,
    TrackRecord,
    VideoRecord,
)
from dubarr_watch.web import shapes


def video(
    record: VideoRecord, outputs: Sequence[OutputRecord], asked_for: Sequence[str], root: Path
) -> shapes.Video:
    """Return a video; `root` is VIDEOS_DIR."""
    found = tracks(outputs)
    folder = record.path.parent
    below = folder.relative_to(root) if folder.is_relative_to(root) else folder
    return shapes.Video(
        id=record.id,
        name=printable(record.path.name),
        folder="" if below == Path() else printable(below),
        path=printable(record.path),
        size_bytes=record.size_bytes,
        state=record.state,
        note=record.note,
        has=None if record.audio is None else list(record.audio),
        dubbed=sorted({one.language for one in found if one.there and one.kind != "subtitles"}),
        asked_for=list(asked_for),
        tracks=found,
    )


def tracks(records: Iterable[OutputRecord | TrackRecord]) -> list[shapes.Track]:
    """Return published files, with whether they are there."""
    return [
        shapes.Track(language=one.language, kind=one.kind, path=printable(one.path),
                     there=os.path.lexists(one.path))
        for one in records
    ]  # fmt: skip


def job(record: JobRecord) -> shapes.Job:
    """Return a job."""
    return shapes.Job(**_job(record))


def job_detail(
    record: JobRecord,
    results: Iterable[ResultRecord],
    made: Iterable[TrackRecord],
    stages: Iterable[StageRecord],
) -> shapes.JobDetail:
    """Return a job with what came of it."""
    return shapes.JobDetail(
        **_job(record),
        results=[_result(one) for one in results],
        tracks=tracks(made),
        stages=[
            shapes.Stage(stage=one.stage, language=one.language, seconds=round(one.seconds, 3),
                         finished_at=one.finished_at)
            for one in stages
        ],
    )  # fmt: skip


def _job(record: JobRecord) -> dict[str, Any]:
    options = record.options
    return {
        "id": record.id,
        "video_id": record.video.id,
        "name": printable(record.video.path.name),
        "path": printable(record.video.path),
        "languages": list(record.languages),
        "state": record.state,
        "reason": record.reason,
        "priority": options.priority,
        "mode": options.mode,
        "style": options.style,
        "attempts": record.attempts,
        "stage": record.stage,
        "progress": record.progress,
        "eta_s": record.eta_s,
        "cancel_requested": record.cancel_requested,
        "created_at": record.created_at,
        "started_at": record.started_at,
        "finished_at": record.finished_at,
    }


def _result(record: ResultRecord) -> shapes.Result:
    summary = json.loads(record.summary) if record.summary else {}
    names = ("lines", "lines_to_check", "within_slot", "wer_median", "real_time_factor")
    return shapes.Result(
        language=record.language,
        state=record.state,
        reason=record.reason,
        has_report=record.report is not None,
        **{name: summary.get(name) for name in names},
    )
