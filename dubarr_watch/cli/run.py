"""`dubarr-watch run`: the daemon."""

from __future__ import annotations

import typer

from dubarr_watch.cli.common import ready_settings
from dubarr_watch.daemon import Daemon


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run() -> None:
    """Watch VIDEOS_DIR and dub what arrives, until stopped.

    Every setting comes from the environment; config.example.env lists them.
    """
    raise typer.Exit(Daemon(ready_settings()).run())
