"""`dubarr-watch run`: the daemon."""

from __future__ import annotations

import typer

from dubarr_watch.cli.common import ready_settings
from dubarr_watch.cli.models import pull as pull_models
from dubarr_watch.daemon import Daemon


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("run")(run)


def run(
    pull: bool = typer.Option(False, "--pull", help="First fetch the models that are missing."),
) -> None:
    """Watch VIDEOS_DIR and dub what arrives, until stopped.

    Every setting comes from the environment; config.example.env lists them.
    """
    settings = ready_settings()
    if pull and not settings.mock_mode:
        pull_models(names=None, json_=False)
    raise typer.Exit(Daemon(settings).run())
