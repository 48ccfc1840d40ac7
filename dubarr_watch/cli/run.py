"""`dubarr-watch run`: the daemon."""

from __future__ import annotations

import os
import signal
import sys
import threading

import typer

from dubarr_watch.cli.common import ready_settings
from dubarr_watch.cli.models import pull as pull_models
from dubarr_watch.daemon import Daemon
from dubarr_watch.errors import ExitCode


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
        # The next start goes on where it was; the daemon takes the signal over.
        signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(ExitCode.DONE))
        pull_models(names=None, json_=False)
    code = Daemon(settings).run()
    if threading.active_count() > 1:
        # Somebody waits for a service that does not answer; Python would wait for them, too.
        sys.stderr.flush()
        os._exit(code)
    raise typer.Exit(code)
