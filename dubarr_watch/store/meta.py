"""Small values by name, such as whether the first scan has been recorded."""

from __future__ import annotations

from dubarr_watch.store.database import Database
from dubarr_watch.store.models import Meta


class MetaValues:
    """Values by name."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, key: str, default: str | None = None) -> str | None:
        """Return a value, or the default when it was never set."""
        row = self._database.first(Meta.select().where(Meta.key == key))
        return default if row is None else str(row.value)

    def set(self, key: str, value: str) -> None:
        """Keep a value; replaces an earlier one."""
        self._database.run(Meta.put(key=key, value=value))
