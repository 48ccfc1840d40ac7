"""`dubarr-watch scheduler` and `dubarr-watch worker`: what a cluster consists of beside daemons."""

from __future__ import annotations

import typer

from dubarr_watch.cli.common import ready_settings
from dubarr_watch.cluster import require_distributed


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("scheduler")(scheduler)
    app.command("worker")(worker)


def scheduler(
    host: str = typer.Option("0.0.0.0", help="Address to listen on."),  # noqa: S104
    port: int = typer.Option(8786, help="Port to listen on; 0: any."),
) -> None:
    """Deal the work of daemons (EXECUTOR=dask) out to workers, until stopped."""
    settings = ready_settings()
    require_distributed()
    from dubarr_watch.cluster.scheduler import run_scheduler

    run_scheduler(settings, host=host, port=port)


def worker(
    scheduler: str = typer.Option("", help="The scheduler; SCHEDULER when not given."),
    one: bool = typer.Option(False, "--one", hidden=True),
) -> None:
    """Run engines for daemons: one worker for each GPU of this machine, until stopped."""
    settings = ready_settings()
    require_distributed()
    if one:
        from dubarr_watch.cluster.worker import run_worker

        asked = run_worker(settings, scheduler=scheduler)
        raise typer.Exit(0 if asked else 1)
    from dubarr_watch.cluster.supervising import run_workers

    run_workers(settings, scheduler=scheduler)
