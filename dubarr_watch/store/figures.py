"""Sums over everything that is kept, for whoever watches with graphs."""

from __future__ import annotations

import json
from datetime import datetime

from dubarr_watch.store.database import Database

Sum = tuple[int, float]
"""How many, and their sum."""

_SUM = "SUM(CAST(one.value AS DOUBLE PRECISION))"


class Figures:
    """Sums; each is one question to the database, which answers within milliseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._factor = database.json_number("NULLIF(summary, '')", "real_time_factor")

    def jobs(self) -> list[tuple[str, str, int]]:
        """Return (state, reason in words, how many)."""
        query = "SELECT state, reason, COUNT(*) FROM jobs GROUP BY state, reason"
        return [(state, reason, int(count)) for state, reason, count in self._database.rows(query)]

    def stage_seconds(self) -> dict[str, Sum]:
        """Return runs and seconds by stage, of all tracks whose job is kept."""
        rows = self._database.rows(
            f"SELECT one.key, COUNT(*), {_SUM} FROM results,"  # noqa: S608
            f" {self._database.json_pairs('results.summary', 'stage_seconds')} AS one"
            " WHERE results.summary <> '' GROUP BY one.key"
        )
        return {stage: (int(count), float(seconds)) for stage, count, seconds in rows}

    def hour_seconds(self, tracks: int = 50) -> tuple[dict[str, float], int]:
        """Return the seconds of each stage an hour of film, and of how many tracks that is.

        Args:
            tracks: How many of the newest tracks count.
        """
        rows = self._database.rows(
            f"SELECT summary FROM results WHERE {self._factor} > 0"  # noqa: S608
            " ORDER BY finished_at DESC LIMIT ?",
            tracks,
        )
        sums: dict[str, float] = {}
        for (text,) in rows:
            summary = json.loads(text)
            seconds: dict[str, float] = summary["stage_seconds"]
            an_hour = 3600 * summary["real_time_factor"] / max(sum(seconds.values()), 1e-9)
            for stage, taken in seconds.items():
                sums[stage] = sums.get(stage, 0.0) + an_hour * taken
        return {stage: total / len(rows) for stage, total in sums.items()}, len(rows)

    def real_time_factor(self) -> Sum:
        """Return tracks and the sum of their real-time factors."""
        ((count, total),) = self._database.rows(
            f"SELECT COUNT(*), COALESCE(SUM({self._factor}), 0) FROM results"  # noqa: S608
            " WHERE summary <> ''"
        )
        return int(count), float(total)

    def lines(self) -> dict[str, int]:
        """Return lines by outcome, of all tracks whose job is kept."""
        rows = self._database.rows(
            f"SELECT one.key, {_SUM} FROM results,"  # noqa: S608
            f" {self._database.json_pairs('results.summary', 'outcomes')} AS one"
            " WHERE results.summary <> '' GROUP BY one.key"
        )
        return {outcome: int(count) for outcome, count in rows}

    def queued_since(self) -> datetime | None:
        """Return when the oldest queued job was asked for; nothing when none is queued."""
        ((since,),) = self._database.rows("SELECT MIN(created_at) FROM jobs WHERE state = 'queued'")
        return None if since is None else datetime.fromisoformat(since)

    def notifications(self) -> dict[str, int]:
        """Return messages by what became of them."""
        rows = self._database.rows("SELECT outcome, COUNT(*) FROM notifications GROUP BY outcome")
        return {outcome: int(count) for outcome, count in rows}
