"""`dubarr-watch` that pulls models of its own and takes its time over copies of the database.

python -m tests.crashes.unhurried LISTING run   where LISTING is like engines/catalog/models.toml.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from dubarr_watch.cli import main
from dubarr_watch.engines import catalog
from dubarr_watch.store import sqlite
from dubarr_watch.store.sqlite import SqliteFile

PAGE_S = 0.25


def run() -> None:
    """Run the program with its own arguments, the first one aside."""
    listing, copy_to = catalog.ModelList.load(Path(sys.argv.pop(1))), SqliteFile.copy_to

    def copy_slowly(self: SqliteFile, target: Path, should_stop: Callable[[], bool]) -> Path:
        def asked() -> bool:
            time.sleep(PAGE_S)
            return should_stop()

        return copy_to(self, target, asked)

    catalog.models_of = lambda settings: listing
    SqliteFile.copy_to = copy_slowly  # type: ignore[assignment,method-assign]
    sqlite._PAGES_AT_ONCE = 1
    main()


if __name__ == "__main__":
    run()
