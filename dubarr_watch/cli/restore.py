"""`dubarr-watch restore`: a copy of the database in place of one that is damaged or lost."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import typer
from rich.markup import escape

from dubarr_watch.cli.common import out, ready_settings
from dubarr_watch.daemon import only_one
from dubarr_watch.errors import WrongUsage, printable
from dubarr_watch.settings import Settings
from dubarr_watch.store.backups import copies, restore

_COPY = typer.Argument(
    "", metavar="[COPY]", help="`newest`, or a file, as shown without any; it is checked first."
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("restore")(restore_copy)


def restore_copy(copy: str = _COPY) -> None:
    """List the copies of the database that each night makes, or put one of them back.

    The database that is there is kept beside it under another name. Videos, tracks and reports are
    never touched.
    """
    settings = ready_settings()
    if settings.database_url is not None:
        raise WrongUsage(
            "The database is on a server, of which no copies are made here.",
            hint="Put back what pg_dump wrote: pg_restore, or psql.",
        )
    found = copies(settings.database_path)
    if not copy:
        _list(settings, found)
        return
    chosen = found[0] if copy == "newest" and found else Path(copy)
    with only_one(settings.config_dir):
        replaced = restore(settings.database_path, chosen)
    out.print(f"Restored: {escape(printable(chosen))}")
    if replaced is not None:
        out.print(f"What was there is now {escape(printable(replaced))}")
    out.print("What came since then is found by the next scan: dubarr-watch run")


def _list(settings: Settings, found: list[Path]) -> None:
    if not found:
        out.print("There are no copies yet: the daemon makes one each day.")
        return
    for one in found:
        at = datetime.fromtimestamp(one.stat().st_mtime).astimezone()
        size = f"{one.stat().st_size / 1e6:.1f} MB"
        out.print(f"{escape(printable(one))}  {at:%Y-%m-%d %H:%M}  {size}")
    out.print("To put one back, with the daemon stopped: dubarr-watch restore newest")
