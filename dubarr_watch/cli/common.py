"""What the commands share: settings, consoles, JSON, and errors as exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from enum import Enum
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from dubarr_watch.errors import DubarrError, ExitCode, printable
from dubarr_watch.logs import configure_logging
from dubarr_watch.settings import Settings, load_settings
from dubarr_watch.store.store import Store

# No emoji: `:warning:` in a file's name is a part of the name.
out = Console(highlight=False, soft_wrap=True, emoji=False)
"""For people, on standard output; silent with --json."""

err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)
"""For people, on standard error."""


def ready_settings(**overrides: Any) -> Settings:
    """Load the settings and set logging up.

    Raises:
        SettingsInvalid: One line for each wrong variable.
    """
    settings = load_settings(**overrides)
    configure_logging(settings)
    return settings


@contextmanager
def opened_store(settings: Settings) -> Iterator[Store]:
    """Open the database for the length of a `with` block."""
    with Store.open(settings.database) as store:
        yield store


def print_json(document: object) -> None:
    """Print one JSON document on standard output."""
    text = json.dumps(document, ensure_ascii=False, indent=2, default=_as_json)
    sys.stdout.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


def show_error(error: DubarrError) -> None:
    """Tell a person what failed and what to do."""
    where = f" [dim]({escape(printable(error.path))})[/dim]" if error.path is not None else ""
    err.print(f"[bold red]Error:[/bold red] {escape(error.message)}{where}")
    if error.hint:
        err.print(f"[bold]What to do:[/bold] {escape(error.hint)}")


@contextmanager
def told_as_json(as_json: bool) -> Iterator[None]:
    """With --json, let an error of the block be the one document on standard output.

    It is `{"error", "hint", "path"}`, and the exit code is the error's own. Without --json errors
    pass through, to become plain words.
    """
    try:
        yield
    except DubarrError as error:
        if not as_json:
            raise
        print_json(error_document(error))
        raise typer.Exit(exit_code_of(error)) from error


def error_document(error: DubarrError) -> dict[str, object]:
    """Return the public JSON of an error."""
    return {"error": error.message, "hint": error.hint, "path": error.path}


def exit_code_of(error: BaseException) -> int:
    """Return the exit code that an error ends the program with."""
    return int(error.exit_code if isinstance(error, DubarrError) else ExitCode.FAILED)


def _as_json(value: object) -> object:
    if isinstance(value, Path):
        return printable(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Enum):
        return value.value
    return str(value)
