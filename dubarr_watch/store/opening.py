"""Which database it is, opened: by the path of a file, or the URL of a server."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from pydantic import SecretStr

from dubarr_watch.errors import ToolMissing
from dubarr_watch.store.database import Database
from dubarr_watch.store.sqlite import SqliteFile, opening_lock


@contextmanager
def opened(where: Path | SecretStr) -> Iterator[Database]:
    """Open a database; one process at a time does so for the length of a `with` block.

    Args:
        where: The SQLite file, or the URL of a PostgreSQL server's database.

    Raises:
        StoreError: It cannot be opened.
        ToolMissing: The driver is not installed.
    """
    with opening_lock(where) if isinstance(where, Path) else nullcontext():
        database = SqliteFile(where) if isinstance(where, Path) else server(where)
        try:
            yield database
        except BaseException:
            database.close()
            raise


def server(url: SecretStr, *, reading: bool = False) -> Database:
    """Return a PostgreSQL server's database.

    Args:
        url: `postgresql://user:password@host/name`.
        reading: Refuse every write.

    Raises:
        ToolMissing: The driver is not installed.
        StoreUnreachable: The server does not answer.
    """
    try:
        from dubarr_watch.store.postgres import PostgresServer
    except ImportError as error:
        raise ToolMissing(
            "DATABASE_URL needs the driver of PostgreSQL.",
            hint="Install dubarr-watch with its extra `cluster`, or unset DATABASE_URL.",
        ) from error
    return PostgresServer(url, reading=reading)
