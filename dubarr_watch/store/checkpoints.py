"""Finished stages and lines, so that a job goes on where its last process ended."""

from __future__ import annotations

from pathlib import Path

import peewee

from dubarr_watch.store.database import Database
from dubarr_watch.store.fields import utc_now
from dubarr_watch.store.models import Line, Stage
from dubarr_watch.store.records import LineRecord, StageRecord


class Checkpoints:
    """Checkpoints of jobs; whether one is still good its content key tells the caller."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stage(self, job_id: int, stage: str, language: str = "") -> StageRecord | None:
        """Return a finished stage; `language` is empty for what all languages share."""
        mine = (Stage.job_id == job_id) & (Stage.stage == stage) & (Stage.language == language)
        row = self._database.first(Stage.select().where(mine))
        return None if row is None else _stage(row)

    def stages(self, job_id: int) -> list[StageRecord]:
        """Return a job's finished stages, in the order they finished."""
        query = Stage.select().where(Stage.job_id == job_id)
        return [_stage(row) for row in self._database.all(query.order_by(Stage.finished_at))]

    def save_stage(
        self, job_id: int, stage: str, language: str, key: str, artifact: Path, seconds: float
    ) -> StageRecord:
        """Keep a finished stage; replaces an earlier one.

        Args:
            job_id: The job.
            stage: e.g. `transcribe`.
            language: ISO 639-1 code, or empty for what all languages share.
            key: Content key of everything it was made from.
            artifact: Its result.
            seconds: Time it took.
        """
        record = StageRecord(job_id, stage, language, key, artifact, seconds, utc_now())
        self._database.run(
            Stage.put(
                job_id=job_id,
                stage=stage,
                language=language,
                key=key,
                artifact=artifact,
                seconds=seconds,
                finished_at=record.finished_at,
            )
        )
        return record

    def stage_seconds(self, job_id: int, language: str) -> dict[str, float]:
        """Return the seconds each stage took for one language, shared stages included."""
        return {
            row.stage: row.seconds for row in self.stages(job_id) if row.language in ("", language)
        }

    def lines(self, job_id: int, language: str) -> dict[int, LineRecord]:
        """Return the finished lines of one language by their index in the video."""
        mine = (Line.job_id == job_id) & (Line.language == language)
        rows = self._database.all(Line.select().where(mine).order_by(Line.index))
        return {r.index: LineRecord(r.job_id, r.language, r.index, r.key, r.data) for r in rows}

    def count_lines(self, job_id: int) -> dict[str, int]:
        """Return how many lines are finished, by language."""
        query = Line.select(Line.language, peewee.fn.COUNT(Line.index)).group_by(Line.language)
        return dict(self._database.all(query.where(Line.job_id == job_id).tuples()))

    def save_line(self, job_id: int, language: str, index: int, key: str, data: str) -> None:
        """Keep a finished line; replaces an earlier one.

        Args:
            job_id: The job.
            language: ISO 639-1 code.
            index: The line's index in the video.
            key: Content key of text, voice, slot and engine.
            data: The take as JSON.
        """
        self._database.run(
            Line.put(job_id=job_id, language=language, index=index, key=key, data=data)
        )

    def drop(self, job_id: int) -> None:
        """Forget a job's checkpoints, so that it starts anew."""
        with self._database.transaction():
            self._database.run(Stage.delete().where(Stage.job_id == job_id))
            self._database.run(Line.delete().where(Line.job_id == job_id))


def finished_steps(database: Database, job_id: int) -> int:
    """Return how many stages and lines of a job are finished."""
    return sum(
        len(database.all(table.select(table.job_id).where(table.job_id == job_id)))
        for table in (Stage, Line)
    )


def _stage(row: Stage) -> StageRecord:
    return StageRecord(
        job_id=row.job_id,
        stage=row.stage,
        language=row.language,
        key=row.key,
        artifact=row.artifact,
        seconds=row.seconds,
        finished_at=row.finished_at,
    )
