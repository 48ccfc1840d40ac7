"""What came of a job: its tracks, and how each language ended."""

from __future__ import annotations

from pathlib import Path

from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.models import Result, Track
from dubarr_watch.store.records import JobState, ResultRecord, TrackRecord


class JobResults:
    """Tracks and results; a later one for the same language replaces the earlier."""

    _database: Database

    def add_track(self, job_id: int, language: str, path: Path, kind: str) -> None:
        """Keep a track that a job made; `kind` is `sidecar`, `mux` or `subtitles`."""
        self._database.run(Track.put(job_id=job_id, language=language, path=path, kind=kind))

    def tracks(self, job_id: int) -> list[TrackRecord]:
        """Return a job's tracks, by language and path."""
        query = Track.select().where(Track.job_id == job_id).order_by(Track.language, Track.path)
        rows = self._database.all(query)
        return [TrackRecord(row.job_id, row.language, row.path, row.kind) for row in rows]

    def set_result(
        self,
        job_id: int,
        language: str,
        state: JobState,
        reason: str = "",
        *,
        report: Path | None = None,
        summary: str = "",
    ) -> None:
        """Keep how one language of a job ended.

        Args:
            job_id: The job.
            language: ISO 639-1 code.
            state: An end.
            reason: Plain words; empty when all is well.
            report: The quality report's JSON file.
            summary: The report's summary as JSON.
        """
        self._database.run(
            Result.put(
                job_id=job_id,
                language=language,
                state=state,
                reason=reason,
                report=report,
                summary=summary,
                finished_at=utc_now(),
            )
        )

    def results(self, job_id: int) -> list[ResultRecord]:
        """Return how a job's languages ended, by code."""
        query = Result.select().where(Result.job_id == job_id).order_by(Result.language)
        return [
            ResultRecord(
                job_id=row.job_id,
                language=row.language,
                state=JobState(row.state),
                reason=row.reason,
                report=row.report,
                summary=row.summary,
                finished_at=row.finished_at,
            )
            for row in self._database.all(query)
        ]
