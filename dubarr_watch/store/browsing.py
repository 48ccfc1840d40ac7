"""Looking through the library page by page, however large it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import search_text
from dubarr_watch.store.models import Job, Output, Video
from dubarr_watch.store.outputs import output_record
from dubarr_watch.store.records import JobState, OutputRecord, VideoRecord
from dubarr_watch.store.videos import video_record

_OPEN = (JobState.WAITING, JobState.QUEUED, JobState.RUNNING)


class VideoFilter(StrEnum):
    """Which videos of the library."""

    ALL = "all"
    DUBBED = "dubbed"
    """With a track of ours."""
    NOT_DUBBED = "not_dubbed"
    WORKING = "working"
    """With a job that has not ended."""
    FAILED = "failed"
    """Whose last job failed."""


@dataclass(frozen=True, slots=True)
class VideoPage:
    """Some videos of many.

    Attributes:
        videos: By path.
        total: How many there are altogether.
    """

    videos: list[VideoRecord]
    total: int


class Browsing:
    """The library as somebody looks at it who scrolls and searches."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def page(
        self,
        *,
        search: str = "",
        which: VideoFilter = VideoFilter.ALL,
        root: Path = Path("/"),
        limit: int = 50,
        offset: int = 0,
    ) -> VideoPage:
        """Return videos that are there, by path.

        Args:
            search: Words that must all stand in the path below `root`, in any case, accents aside.
            which: Which videos.
            root: VIDEOS_DIR.
            limit: How many at most.
            offset: How many to pass over.
        """
        where, values = self._condition(search, which, root)
        ids = self._database.rows(
            f"SELECT id FROM videos WHERE {where} ORDER BY path LIMIT ? OFFSET ?",  # noqa: S608
            *values, limit, offset,
        )  # fmt: skip
        rows = self._database.all(
            Video.select().where(Video.id.in_([row[0] for row in ids])).order_by(Video.path)
        )
        count = f"SELECT COUNT(*) FROM videos WHERE {where}"  # noqa: S608
        total = self._database.rows(count, *values)[0][0]
        return VideoPage([video_record(row) for row in rows], int(total))

    def outputs(self, video_ids: Iterable[int]) -> dict[int, list[OutputRecord]]:
        """Return what we published, by video."""
        rows = self._database.all(
            Output.select().where(Output.video_id.in_(list(video_ids))).order_by(Output.path)
        )
        found: dict[int, list[OutputRecord]] = {}
        for row in rows:
            found.setdefault(row.video_id, []).append(output_record(row))
        return found

    def asked_for(self, video_ids: Iterable[int]) -> dict[int, list[str]]:
        """Return the languages of jobs that have not ended, by video."""
        mine = Job.video.in_(list(video_ids)) & Job.state.in_(_OPEN)
        query = Job.select(Job.video, Job.languages).where(mine).order_by(Job.id).tuples()
        found: dict[int, list[str]] = {}
        for video, languages in self._database.all(query):
            codes = found.setdefault(video, [])
            codes += [code for code in languages.split(",") if code not in codes]
        return found

    def _condition(self, search: str, which: VideoFilter, root: Path) -> tuple[str, Sequence[Any]]:
        conditions, values = ["missing = 0"], list[Any]()
        below = len(search_text(root).rstrip("/")) + 1
        for word in search_text(Path(search)).split() if search.strip() else ():
            conditions.append(self._database.contains("substr(search, ?)", "?"))
            values += [below + 1, word]
        if which in _WHICH:
            conditions.append(_WHICH[which])
        return " AND ".join(conditions), values


_WHICH = {
    VideoFilter.DUBBED: "EXISTS (SELECT 1 FROM outputs WHERE outputs.video_id = videos.id"
    " AND outputs.kind <> 'subtitles')",
    VideoFilter.NOT_DUBBED: "NOT EXISTS (SELECT 1 FROM outputs WHERE outputs.video_id = videos.id"
    " AND outputs.kind <> 'subtitles')",
    VideoFilter.WORKING: "EXISTS (SELECT 1 FROM jobs WHERE jobs.video_id = videos.id"
    " AND jobs.state IN ('waiting', 'queued', 'running'))",
    VideoFilter.FAILED: "(SELECT state FROM jobs WHERE jobs.video_id = videos.id"
    " ORDER BY id DESC LIMIT 1) = 'failed'",
}
