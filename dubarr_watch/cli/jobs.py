"""`dubarr-watch retry`, `cancel` and `forget`: what a person can do about a job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.markup import escape

from dubarr_watch.cli.common import (
    exit_code_of,
    opened_store,
    out,
    ready_settings,
    show_error,
)
from dubarr_watch.cli.finding import found_job
from dubarr_watch.dubbing.keeping import nobody_at
from dubarr_watch.dubbing.leftovers import remove_work
from dubarr_watch.errors import (
    DubarrError,
    IllegalTransition,
    NotInStore,
    printable,
)
from dubarr_watch.heartbeat import living
from dubarr_watch.settings import Settings
from dubarr_watch.store.owners import owner_is_alive
from dubarr_watch.store.records import JobRecord, JobState
from dubarr_watch.store.store import Store

_Act = Callable[[Store, JobRecord], str]

_JOBS = typer.Argument(
    ..., metavar="JOB_OR_PATH...", help="A job's number, as `status` shows it, or its video."
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("retry")(retry)
    app.command("cancel")(cancel)
    app.command("forget")(forget)


def retry(jobs: list[str] = _JOBS) -> None:
    """Queue jobs again that failed, were skipped or cancelled, or ended with warnings.

    What a job had finished before is kept: it goes on there.
    """
    settings = ready_settings()

    def act(store: Store, job: JobRecord) -> str:
        hint = {
            JobState.DONE: "To dub it once more, write 'again: yes' into a marker beside it, or: "
            "dubarr-watch dub FILE",
        }.get(job.state, "")
        with _hint(hint), nobody_at(settings.work_dir / str(job.id), job.id):
            store.jobs.retry(job.id)
        return "is queued again" + _when(settings)

    _for_each(jobs, settings, act)


def cancel(jobs: list[str] = _JOBS) -> None:
    """Cancel jobs: at once when they have not started, else as soon as they can stop."""
    settings = ready_settings()

    def act(store: Store, job: JobRecord) -> str:
        if job.state is JobState.CANCELLED:
            return "was cancelled already"
        now = store.jobs.cancel(job.id)
        return "is cancelled" if now.state is JobState.CANCELLED else "is being stopped"

    _for_each(jobs, settings, act)


def forget(
    jobs: list[str] = _JOBS,
    reports: bool = typer.Option(False, "--reports", help="Also remove their quality reports."),
) -> None:
    """Remove jobs that have ended from the history, with their intermediate files.

    Videos and finished tracks stay untouched.
    """
    settings = ready_settings()

    def act(store: Store, job: JobRecord) -> str:
        with nobody_at(settings.work_dir / str(job.id), job.id):
            with _hint("" if job.state.ended else f"First: dubarr-watch cancel {job.id}"):
                store.jobs.forget(job.id)
            remove_work(settings, job.id, reports=reports)
        return "is forgotten" + (", reports too" if reports else "")

    _for_each(jobs, settings, act)


def _for_each(names: list[str], settings: Settings, act: _Act) -> None:
    """Do something to each job and say so; goes on after one that cannot be.

    Raises:
        typer.Exit: With the exit code of the first that failed.
    """
    if settings.database_url is None and not settings.database_path.exists():
        raise NotInStore(
            "There are no jobs yet.",
            hint="Drop a video into VIDEOS_DIR while `dubarr-watch run` is running, or: "
            "dubarr-watch dub FILE",
            path=settings.database_path,
        )
    failures: list[int] = []
    with opened_store(settings) as store:
        # Jobs whose process died count as running until somebody looks.
        store.recovery.recover(living(settings, store), max_attempts=settings.max_attempts)
        for name in dict.fromkeys(names):
            try:
                job = found_job(store, name)
                what = act(store, job)
            except DubarrError as error:
                show_error(error)
                failures.append(exit_code_of(error))
            else:
                video = escape(printable(job.video.path.name))
                out.print(f"Job {job.id} ({video}) {what}.")
    if failures:
        raise typer.Exit(failures[0])


@contextmanager
def _hint(hint: str) -> Iterator[None]:
    """Say what else the user can do when a job is in the wrong state."""
    try:
        yield
    except IllegalTransition as error:
        error.hint = error.hint or hint
        raise


def _when(settings: Settings) -> str:
    if owner_is_alive(settings.config_dir, "daemon"):
        return ""
    return "; it starts with the daemon: dubarr-watch run"
