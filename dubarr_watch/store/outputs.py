"""Files that we published, so that none is ever taken for a video of the user's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dubarr_watch.store.database import Database
from dubarr_watch.store.models import Job, Output, Track
from dubarr_watch.store.records import OutputRecord


class Outputs:
    """Published files; they stay known when their job or video is forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, output: OutputRecord) -> None:
        """Keep a published file; replaces what was known at its path."""
        with self._database.transaction():
            job = self._database.first(Job.select().where(Job.id == output.job_id))
            self._database.run(
                Output.put(
                    path=output.path,
                    job_id=output.job_id,
                    language=output.language,
                    video_id=None if job is None else job.video_id,
                    kind=output.kind,
                    size_bytes=output.size_bytes,
                    mtime_ns=output.mtime_ns,
                    fingerprint=output.fingerprint,
                )
            )

    def is_ours(self, path: Path, size_bytes: int, mtime_ns: int) -> bool:
        """Tell whether a file is, unchanged, one that we published."""
        known = self.by_path(path)
        return known is not None and (known.size_bytes, known.mtime_ns) == (size_bytes, mtime_ns)

    def is_mux_of(self, video_id: int, path: Path, size_bytes: int, mtime_ns: int) -> bool:
        """Tell whether a file is, unchanged, a video with tracks that we put into it.

        Also when who put them there died before the video itself was written down anew.
        """
        return any(
            (known.path, known.kind, known.size_bytes, known.mtime_ns)
            == (path, "mux", size_bytes, mtime_ns)
            for known in self.for_video(video_id)
        )

    def by_path(self, path: Path) -> OutputRecord | None:
        """Return what we published at a path, whatever is there now."""
        row = self._database.first(Output.select().where(Output.path == path))
        return None if row is None else output_record(row)

    def by_fingerprint(self, fingerprint: str) -> list[OutputRecord]:
        """Return what we published with a content, to know our own file again after a move."""
        query = Output.select().where(Output.fingerprint == fingerprint).order_by(Output.path)
        return [output_record(row) for row in self._database.all(query)]

    def for_video(self, video_id: int) -> list[OutputRecord]:
        """Return what we published for a video, by path."""
        query = Output.select().where(Output.video_id == video_id).order_by(Output.path)
        return [output_record(row) for row in self._database.all(query)]

    def move(self, old: Path, new: Path) -> None:
        """Keep that a published file has another name now."""
        with self._database.transaction():
            if self.by_path(old) is not None:
                self.forget(new)
                self._database.run(Track.delete().where(Track.path == new))
                self._database.run(Output.update(path=new).where(Output.path == old))
                self._database.run(Track.update(path=new).where(Track.path == old))

    def forget(self, path: Path) -> None:
        """Forget a published file, once it is gone."""
        self._database.run(Output.delete().where(Output.path == path))


def output_record(row: Any) -> OutputRecord:
    """Return a row as a plain value."""
    return OutputRecord(
        path=row.path,
        job_id=row.job_id,
        language=row.language,
        kind=row.kind,
        size_bytes=row.size_bytes,
        mtime_ns=row.mtime_ns,
        fingerprint=row.fingerprint,
    )
