"""All commands in one place, and how errors leave the program."""

from __future__ import annotations

import signal
import sys

import typer

from dubarr_watch import __version__
from dubarr_watch.cli import (
    cast,
    cluster,
    demo,
    doctor,
    dub,
    glossary,
    jobs,
    languages,
    models,
    plan,
    redo,
    report,
    restore,
    run,
    status,
)
from dubarr_watch.cli.common import exit_code_of, show_error
from dubarr_watch.errors import DubarrError

app = typer.Typer(
    name="dubarr-watch",
    help="Drop a video into a folder and find a dubbed audio track beside it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    epilog="Exit codes: 0 done, 1 failed, 2 wrong usage, 3 the input cannot be dubbed, "
    "4 something that you must provide is missing.",
)
for module in (
    run,
    dub,
    status,
    report,
    cast,
    redo,
    glossary,
    jobs,
    models,
    plan,
    languages,
    doctor,
    restore,
    demo,
    cluster,
):
    module.register(app)


@app.callback(invoke_without_command=True)
def version(
    show: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    """Drop a video into a folder and find a dubbed audio track beside it."""
    if show:
        typer.echo(f"dubarr-watch {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the program; errors become one plain message and an exit code."""
    # As Ctrl-C does, it lets everything clean up behind itself; `run` and `dub` have their own way.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        app()
    except DubarrError as error:
        show_error(error)
        sys.exit(exit_code_of(error))
    except KeyboardInterrupt:
        sys.exit(130)
