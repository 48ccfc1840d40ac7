"""The library's videos: known by content, found by path."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from dubarr_watch.errors import IllegalTransition, NotInStore
from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import search_text, utc_now
from dubarr_watch.store.models import Job, Video
from dubarr_watch.store.records import JobState, VideoRecord, VideoState

_CHUNK = 5000
_PRESENT = Video.missing == False  # noqa: E712 - an expression of SQL


class Videos:
    """The videos that were ever seen and not forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, video_id: int) -> VideoRecord:
        """Return a video.

        Raises:
            NotInStore: There is none with that id.
        """
        row = self._database.first(Video.select().where(Video.id == video_id))
        if row is None:
            raise NotInStore(f"There is no video {video_id}.")
        return video_record(row)

    def by_path(self, path: Path) -> VideoRecord | None:
        """Return the video at a path: the one that is there, else the last that was."""
        rows = Video.select().where(Video.path == path).order_by(Video.missing, Video.id.desc())
        row = self._database.first(rows)
        return None if row is None else video_record(row)

    def ever_at(self, path: Path) -> list[VideoRecord]:
        """Return every video that is at a path, or was there last, oldest first."""
        rows = self._database.all(Video.select().where(Video.path == path).order_by(Video.id))
        return [video_record(row) for row in rows]

    def by_fingerprint(self, fingerprint: str) -> VideoRecord | None:
        """Return the video with a content, one that is there before one that is missing."""
        rows = Video.select().where(Video.fingerprint == fingerprint)
        row = self._database.first(rows.order_by(Video.missing, Video.id.desc()))
        return None if row is None else video_record(row)

    def record(
        self,
        path: Path,
        size_bytes: int,
        mtime_ns: int,
        fingerprint: str,
        state: VideoState,
        *,
        is_there: Callable[[Path], bool] = os.path.lexists,
    ) -> VideoRecord:
        """Keep what was found at a path, and return the video that it is.

        A known content at a new path is the same video, moved, unless its old path still holds
        it: then it is a copy, a video of its own. Another content at a known path is a new
        video, and the old one becomes missing.

        Args:
            path: Where it is.
            size_bytes: Its size.
            mtime_ns: Its modification time.
            fingerprint: Of its content.
            state: What it is if it was never seen before; a known video keeps its own.
            is_there: Tells whether a path still holds something.
        """
        seen: dict[str, Any] = {
            "path": path, "size_bytes": size_bytes, "mtime_ns": mtime_ns,
            "fingerprint": fingerprint, "missing": False, "seen_at": utc_now(),
            "search": search_text(path),
        }  # fmt: skip
        with self._database.transaction():
            same = self._database.all(Video.select().where(Video.fingerprint == fingerprint))
            known = _the_same_video(same, path, is_there)
            self._leave(path, keep=None if known is None else int(known.id))
            if known is None:
                row_id = self._database.run(Video.insert(**seen, state=state, note=""))
            else:
                row_id = int(known.id)
                self._database.run(Video.update(**seen).where(Video.id == row_id))
            return self.get(row_id)

    def touch(self, video_id: int, path: Path, mtime_ns: int) -> None:
        """Keep that a video was seen, unchanged, at a path.

        Raises:
            NotInStore: There is no such video.
        """
        with self._database.transaction():
            self._leave(path, keep=video_id)
            seen = Video.update(
                path=path, mtime_ns=mtime_ns, missing=False, seen_at=utc_now(),
                search=search_text(path),
            )  # fmt: skip
            if not self._database.run(seen.where(Video.id == video_id)):
                raise NotInStore(f"There is no video {video_id}.")

    def recontent(self, video_id: int, *, size_bytes: int, mtime_ns: int, fingerprint: str) -> None:
        """Keep that we changed a video's content ourselves: it stays the video that it was.

        Raises:
            NotInStore: There is no such video.
        """
        new = Video.update(
            size_bytes=size_bytes, mtime_ns=mtime_ns, fingerprint=fingerprint, audio=None
        )
        if not self._database.run(new.where(Video.id == video_id)):
            raise NotInStore(f"There is no video {video_id}.")

    def mark_missing(self, video_ids: Iterable[int]) -> None:
        """Keep since when videos are not where they were; they come back as what they were."""
        with self._database.transaction():
            ids = list(video_ids)
            for start in range(0, len(ids), _CHUNK):
                some = Video.id.in_(ids[start : start + _CHUNK]) & _PRESENT
                self._database.run(Video.update(missing=True, seen_at=utc_now()).where(some))

    def set_audio(self, video_id: int, codes: Sequence[str]) -> None:
        """Keep the languages of the audio tracks that are in a video, `und` for an unknown one."""
        self._database.run(Video.update(audio=",".join(codes)).where(Video.id == video_id))

    def set_note(self, video_id: int, note: str) -> None:
        """Keep why nothing is done with a video; empty when there is no such reason."""
        self._database.run(Video.update(note=note).where(Video.id == video_id))

    def under(self, folder: Path) -> list[VideoRecord]:
        """Return the videos that are in a folder or below it, by path."""
        first, behind = below(folder)
        found = Video.select().where((Video.path >= first) & (Video.path < behind))
        rows = self._database.all(found.where(_PRESENT).order_by(Video.path))
        return [video_record(row) for row in rows]

    def brief(self, folder: Path) -> Iterator[tuple[int, bytes, int, int, str, str]]:
        """Go through the videos in a folder or below it by path, a few thousand in memory at once.

        Returns:
            For each its id, path as bytes, size, modification time in ns, state, note.
        """
        last, behind = below(folder)
        while True:
            rows = self._database.rows(
                "SELECT id, path, size_bytes, mtime_ns, state, note FROM videos"
                " WHERE path > ? AND path < ? AND missing = 0 ORDER BY path LIMIT ?",
                last,
                behind,
                _CHUNK,
            )
            yield from rows
            if len(rows) < _CHUNK:
                return
            last = rows[-1][1]

    def known(self) -> Iterator[tuple[bytes, int, int]]:
        """Go through all videos that are there: path as bytes, size, modification time in ns.

        Reads in pieces: it is safe to write while going through.
        """
        last = 0
        while True:
            rows = self._database.rows(
                "SELECT id, path, size_bytes, mtime_ns FROM videos"
                " WHERE id > ? AND missing = 0 ORDER BY id LIMIT ?",
                last,
                _CHUNK,
            )
            for _, path, size_bytes, mtime_ns in rows:
                yield path, size_bytes, mtime_ns
            if len(rows) < _CHUNK:
                return
            last = rows[-1][0]

    def forget(self, video_id: int) -> None:
        """Remove a video and its jobs; what was published for it is still known as ours.

        Raises:
            IllegalTransition: A job of it is running.
            NotInStore: There is no such video.
        """
        with self._database.transaction():
            running = Job.select().where((Job.video == video_id) & (Job.state == JobState.RUNNING))
            self._database.all(
                self._database.locking(Job.select(Job.id).where(Job.video == video_id))
            )
            if (job := self._database.first(running)) is not None:
                raise IllegalTransition(f"Job {job.id} of it is running.", hint="Cancel it first.")
            if not self._database.run(Video.delete().where(Video.id == video_id)):
                raise NotInStore(f"There is no video {video_id}.")

    def _leave(self, path: Path, *, keep: int | None) -> None:
        """Make whatever else was at a path missing."""
        others = (Video.path == path) & _PRESENT
        if keep is not None:
            others &= Video.id != keep
        self._database.run(Video.update(missing=True, seen_at=utc_now()).where(others))


def video_record(row: Any) -> VideoRecord:
    """Return a row as a plain value."""
    return VideoRecord(
        id=row.id,
        path=row.path,
        size_bytes=row.size_bytes,
        mtime_ns=row.mtime_ns,
        fingerprint=row.fingerprint,
        state=VideoState.MISSING if row.missing else VideoState(row.state),
        note=row.note,
        seen_at=row.seen_at,
        audio=None if row.audio is None else tuple(filter(None, row.audio.split(","))),
    )


def below(folder: Path) -> tuple[bytes, bytes]:
    """Return the bytes between which the paths below a folder sort: first in, first out."""
    base = os.fsencode(folder).rstrip(b"/")
    return base + b"/", base + b"0"  # "0" is the byte after "/"


def _the_same_video(rows: list[Any], path: Path, is_there: Callable[[Path], bool]) -> Any:
    """Of the rows with one content, return the one that the file at `path` is, or nothing."""
    rows = sorted(rows, key=lambda row: (row.path != path, not row.missing, -row.id))
    return next((r for r in rows if r.path == path or r.missing or not is_there(r.path)), None)
