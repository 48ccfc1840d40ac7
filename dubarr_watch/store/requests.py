"""What markers and people asked for; outlives the marker files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dubarr_watch.errors import NotInStore
from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.models import Request
from dubarr_watch.store.records import JobOptions, Priority, RequestRecord
from dubarr_watch.store.videos import below


class Requests:
    """Requests, open until everything asked for is done."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, request_id: int) -> RequestRecord:
        """Return a request.

        Raises:
            NotInStore: There is none with that id.
        """
        row = self._database.first(Request.select().where(Request.id == request_id))
        if row is None:
            raise NotInStore(f"There is no request {request_id}.")
        return _record(row)

    def add(
        self,
        target: Path,
        for_folder: bool,
        languages: Sequence[str],
        options: JobOptions,
        marker: Path | None,
    ) -> RequestRecord:
        """Keep a request; the same one that is still open is not kept twice.

        A marker whose content changed replaces what it asked for before.
        """
        wanted: dict[str, Any] = {
            "target": target, "for_folder": for_folder, "languages": ",".join(languages),
            "marker": marker, "mode": options.mode, "style": options.style,
            "again": options.again, "priority": options.priority,
        }  # fmt: skip
        with self._database.transaction():
            if marker is None:
                earlier = self._open(Request.marker.is_null() & (Request.target == target))
            else:
                earlier = self._open(Request.marker == marker)
            same = [row for row in earlier if all(getattr(row, k) == v for k, v in wanted.items())]
            for row in earlier if marker is not None else []:
                if row not in same:
                    self.close(row.id)
            if same:
                return _record(same[0])
            return self.get(
                self._database.run(Request.insert(**wanted, open=True, created_at=utc_now()))
            )

    def open_for(self, path: Path) -> list[RequestRecord]:
        """Return the open requests for a video: its own and those of folders above it, by age."""
        own = (Request.target == path) & (Request.for_folder == False)  # noqa: E712
        folders = Request.target.in_(list(path.parents)) & (Request.for_folder == True)  # noqa: E712
        return [_record(row) for row in self._open(own | folders)]

    def all_open(self) -> list[RequestRecord]:
        """Return every open request, by age."""
        return [_record(row) for row in self._open(None)]

    def by_marker(self, marker: Path) -> RequestRecord | None:
        """Return the open request that a marker made."""
        return next((_record(row) for row in self._open(Request.marker == marker)), None)

    def close(self, request_id: int) -> None:
        """Keep that nothing more is to be done for a request."""
        self._database.run(Request.update(open=False).where(Request.id == request_id))

    def move(self, old_target: Path, new_target: Path) -> None:
        """Let requests follow what they are about; for a folder, also those for what is in it."""
        first, behind = below(old_target)
        inside = (Request.target >= first) & (Request.target < behind)
        with self._database.transaction():
            for row in self._open((Request.target == old_target) | inside):
                moved: dict[str, Path] = {"target": _moved(row.target, old_target, new_target)}
                if row.marker is not None:
                    moved["marker"] = _moved(row.marker, old_target, new_target)
                self._database.run(Request.update(**moved).where(Request.id == row.id))

    def _open(self, condition: Any) -> list[Any]:
        query = Request.select().where(Request.open == True)  # noqa: E712
        if condition is not None:
            query = query.where(condition)
        return self._database.all(query.order_by(Request.id))


def _moved(path: Path, old: Path, new: Path) -> Path:
    first, _ = below(old)
    raw = os.fsencode(path)
    if path == old:
        return new
    return new / os.fsdecode(raw[len(first) :]) if raw.startswith(first) else path


def _record(row: Any) -> RequestRecord:
    return RequestRecord(
        id=row.id,
        target=row.target,
        for_folder=row.for_folder,
        languages=tuple(row.languages.split(",")) if row.languages else (),
        options=JobOptions(row.mode, row.style, row.again, Priority(row.priority)),
        marker=row.marker,
        open=row.open,
        created_at=row.created_at,
    )
