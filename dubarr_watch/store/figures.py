"""Sums over everything that is kept, for whoever watches with graphs."""

from __future__ import annotations

from datetime import datetime

from dubarr_watch.store.database import Database

Sum = tuple[int, float]
"""How many, and their sum."""


class Figures:
    """Sums; each is one question to SQLite, which answers within milliseconds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def jobs(self) -> list[tuple[str, str, int]]:
        """Return (state, reason in words, how many)."""
        query = "SELECT state, reason, COUNT(*) FROM jobs GROUP BY state, reason"
        return [
            (state, reason, int(count)) for state, reason, count in self._database.execute(query)
        ]

    def stage_seconds(self) -> dict[str, Sum]:
        """Return runs and seconds by stage, of all tracks whose job is kept."""
        rows = self._database.execute(
            "SELECT one.key, COUNT(*), SUM(one.value) FROM results,"
            " json_each(results.summary, '$.stage_seconds') AS one"
            " WHERE results.summary <> '' GROUP BY one.key"
        )
        return {stage: (int(count), float(seconds)) for stage, count, seconds in rows}

    def real_time_factor(self) -> Sum:
        """Return tracks and the sum of their real-time factors."""
        ((count, total),) = self._database.execute(
            "SELECT COUNT(*), TOTAL(json_extract(summary, '$.real_time_factor')) FROM results"
            " WHERE summary <> ''"
        )
        return int(count), float(total)

    def lines(self) -> dict[str, int]:
        """Return lines by outcome, of all tracks whose job is kept."""
        rows = self._database.execute(
            "SELECT one.key, SUM(one.value) FROM results,"
            " json_each(results.summary, '$.outcomes') AS one"
            " WHERE results.summary <> '' GROUP BY one.key"
        )
        return {outcome: int(count) for outcome, count in rows}

    def queued_since(self) -> datetime | None:
        """Return when the oldest queued job was asked for; nothing when none is queued."""
        ((since,),) = self._database.execute(
            "SELECT MIN(created_at) FROM jobs WHERE state = 'queued'"
        )
        return None if since is None else datetime.fromisoformat(since)

    def notifications(self) -> dict[str, int]:
        """Return messages by what became of them."""
        rows = self._database.execute(
            "SELECT outcome, COUNT(*) FROM notifications GROUP BY outcome"
        )
        return {outcome: int(count) for outcome, count in rows}
