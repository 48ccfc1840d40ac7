"""`dubarr-watch status`: what is done, being done and still to do."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Any

import typer
from rich.live import Live

from dubarr_watch.cli.common import out, print_json, ready_settings, told_as_json
from dubarr_watch.cli.status_view import status_view
from dubarr_watch.errors import ExitCode, WrongUsage, printable
from dubarr_watch.heartbeat import living
from dubarr_watch.notify import FAILED, SENT
from dubarr_watch.settings import Settings
from dubarr_watch.store.leases import LeaseRecord
from dubarr_watch.store.owners import owner_is_alive
from dubarr_watch.store.reading import open_for_reading
from dubarr_watch.store.records import (
    PENDING,
    JobRecord,
    JobState,
    NotificationRecord,
    ResultRecord,
    TrackRecord,
)
from dubarr_watch.store.store import Store
from dubarr_watch.store.turns import TurnRecord

_RECENT = 10
_WATCH_S = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status")(status)


def status(
    json_: bool = typer.Option(False, "--json", help="Print one JSON document."),
    watch: bool = typer.Option(False, "--watch", "-w", help="Keep showing it until Ctrl-C."),
) -> None:
    """Show the queue, the running job, the last results, and what needs attention.

    It only looks: it works beside a running daemon, without one, and before the first start.
    """
    with told_as_json(json_):
        settings = ready_settings()
        if json_ and watch:
            raise WrongUsage("--json and --watch do not go together.")
        if json_:
            print_json(status_document(settings))
        elif watch:
            _watch(settings)
        else:
            out.print(status_view(status_document(settings)))


def status_document(settings: Settings) -> dict[str, Any]:
    """Return everything that `status` tells, ready for JSON; the names are public.

    - `daemon`: `{"running"}`
    - `folders`: `{"videos", "config"}`
    - `target_langs`: codes
    - `counts`: jobs by state, every state named
    - `running`: `[{"job", "video", "languages", "stage", "progress" (0 to 1), "eta_s" (seconds or
      null), "attempts", "started_at", "cancel_requested", "interrupted" (no process works on it:
      it goes on when the daemon starts)}]`
    - `queue`: `[{"job", "video", "languages", "state" (queued or waiting), "reason", "priority",
      "created_at"}]`, in the order in which they will start
    - `recent`: jobs that ended, newest first: `[{"job", "video", "languages", "state", "reason",
      "finished_at", "took_s", "results": [{"language", "state", "reason", "within_slot" (0 to 1
      or null), "report"}], "tracks": [{"language", "path", "kind"}]}]`
    - `leases`: GPU memory that is held or waited for, in the order it was asked for: `[{"stage",
      "model", "job", "device", "mib", "peak_mib", "state" (waiting, loading, busy, idle, leaving,
      reclaiming), "why" (what it waits for), "pid", "asked_at", "granted_at"}]`
    - `cpu`: who computes on the CPU and who waits for a turn: `[{"stage", "job", "state" (computing
      or waiting), "since"}]`
    - `notifications`: `{"pending", "failing": [{"job", "event", "outcome", "detail", "attempts",
      "at"}]}`; failing are those since the last one that went out

    Times are ISO 8601 in UTC; paths are printable text.

    Raises:
        StoreError: The database cannot be read.
    """
    document: dict[str, Any] = {
        "daemon": {"running": owner_is_alive(settings.config_dir, "daemon")},
        "folders": {
            "videos": printable(settings.videos_dir),
            "config": printable(settings.config_dir),
        },
        "target_langs": [language.code for language in settings.target_langs],
        "counts": {state.value: 0 for state in JobState},
        "running": [],
        "queue": [],
        "recent": [],
        "leases": [],
        "cpu": [],
        "notifications": {"pending": 0, "failing": []},
        "servers": [],
    }
    store = open_for_reading(settings.database)
    if store is not None:
        with store:
            document |= _from_store(store, worked_on=_anybody_works(settings))
            lives = living(settings, store)
            document["leases"] = [
                _lease(lease) for lease in store.leases.current() if lives(lease.owner)
            ]
            document["cpu"] = [_turn(turn) for turn in store.turns.current(lives)]
    return document


def _from_store(store: Store, *, worked_on: bool) -> dict[str, Any]:
    jobs = store.jobs
    return {
        "counts": {state.value: count for state, count in jobs.counts().items()},
        "running": [_running(job, worked_on=worked_on) for job in jobs.running()],
        "queue": [_queued(job) for job in jobs.queue()],
        "recent": [
            _ended(job, jobs.results(job.id), jobs.tracks(job.id)) for job in jobs.recent(_RECENT)
        ],
        "notifications": {
            "pending": len(store.notifications.pending()),
            "failing": [_notification(one) for one in _failing(store.notifications.recent())],
        },
        "servers": _not_told(store.notifications.recent(100, looks=True)),
    }


def _anybody_works(settings: Settings) -> bool:
    """Tell whether any process that runs jobs may live: a daemon, or `dub` in the foreground."""
    if settings.database_url is not None:  # other machines take back what nobody works on
        return True
    config_dir = settings.config_dir
    locks = (config_dir / "run").glob("*.lock")
    return any(owner_is_alive(config_dir, lock.stem) for lock in locks if lock.stem != "daemon")


def _named(job: JobRecord) -> dict[str, Any]:
    return {
        "job": job.id,
        "video": printable(job.video.path),
        "languages": list(job.languages),
    }


def _running(job: JobRecord, *, worked_on: bool) -> dict[str, Any]:
    return _named(job) | {
        "stage": job.stage,
        "progress": job.progress,
        "eta_s": job.eta_s,
        "attempts": job.attempts,
        "started_at": _time(job.started_at),
        "cancel_requested": job.cancel_requested,
        "interrupted": not worked_on,
    }


def _queued(job: JobRecord) -> dict[str, Any]:
    return _named(job) | {
        "state": job.state.value,
        "reason": job.reason,
        "priority": job.options.priority.value,
        "created_at": _time(job.created_at),
    }


def _ended(
    job: JobRecord, results: list[ResultRecord], tracks: list[TrackRecord]
) -> dict[str, Any]:
    took = job.finished_at - job.started_at if job.finished_at and job.started_at else None
    return _named(job) | {
        "state": job.state.value,
        "reason": job.reason,
        "finished_at": _time(job.finished_at),
        "took_s": None if took is None else took.total_seconds(),
        "results": [
            {
                "language": result.language,
                "state": result.state.value,
                "reason": result.reason,
                "within_slot": _within_slot(result.summary),
                "report": printable(result.report) if result.report else None,
            }
            for result in results
        ],
        "tracks": [
            {"language": track.language, "path": printable(track.path), "kind": track.kind}
            for track in tracks
        ],
    }


def _lease(lease: LeaseRecord) -> dict[str, Any]:
    return {
        "stage": lease.stage,
        "model": lease.model,
        "job": lease.job_id,
        "device": lease.device_name,
        "mib": lease.mib,
        "peak_mib": lease.peak_mib,
        "state": lease.state,
        "why": lease.why,
        "pid": lease.pid,
        "asked_at": _time(lease.asked_at),
        "granted_at": _time(lease.granted_at),
    }


def _turn(turn: TurnRecord) -> dict[str, Any]:
    return {
        "stage": turn.stage,
        "job": turn.job_id,
        "state": "computing" if turn.computes else "waiting",
        "since": _time(turn.since),
    }


def _within_slot(summary: str) -> float | None:
    if not summary:
        return None
    found = json.loads(summary)
    return float(found["within_slot"]) if found.get("lines") else None


def _failing(newest_first: list[NotificationRecord]) -> list[NotificationRecord]:
    failing = []
    for one in newest_first:
        if one.outcome == SENT:
            break
        if one.outcome == FAILED or (one.outcome == PENDING and one.attempts):
            failing.append(one)
    return failing


def _not_told(newest_first: list[NotificationRecord]) -> list[dict[str, Any]]:
    """Return for each media server what went wrong last, if it was not told since."""
    latest: dict[str, NotificationRecord] = {}
    for one in newest_first:
        if one.outcome == SENT or one in _failing([one]):
            latest.setdefault(one.event, one)
    return [_notification(one) for one in latest.values() if one.outcome != SENT]


def _notification(one: NotificationRecord) -> dict[str, Any]:
    return {
        "job": one.job_id,
        "event": one.event,
        "outcome": one.outcome,
        "detail": one.detail,
        "attempts": one.attempts,
        "at": _time(one.at),
    }


def _time(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat(timespec="seconds")


def _watch(settings: Settings) -> None:
    if not out.is_terminal:
        raise WrongUsage(
            "--watch needs a terminal.", hint="Use `dubarr-watch status` or --json there."
        )
    with Live(status_view(status_document(settings)), console=out, screen=True) as live:
        try:
            while True:
                time.sleep(_WATCH_S)
                live.update(status_view(status_document(settings)))
        except KeyboardInterrupt:
            raise typer.Exit(ExitCode.DONE) from None
