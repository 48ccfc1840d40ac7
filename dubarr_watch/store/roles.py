"""What one process at a time does for all that share a database, for as long as it gives signs."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from dubarr_watch.store.claims import LEASE_S
from dubarr_watch.store.database import Database
from dubarr_watch.store.models import Meta

_KEY = "role "


class Roles:
    """Who has which role; a role without a sign of life for its lease is anybody's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(self, role: str, owner: str, *, lease_s: float = LEASE_S) -> bool:
        """Take a role, or keep it for another while; tells whether it is the owner's now.

        Args:
            role: Its name.
            owner: Id of the process that takes it.
            lease_s: How long others wait for the next sign of life.
        """
        with self._database.transaction():
            held = self._held()
            if held.get(role, owner) != owner:
                return False
            until = self._database.now() + timedelta(seconds=lease_s)
            value = json.dumps([owner, until.isoformat()])
            self._database.run(Meta.put(key=_KEY + role, value=value))
            return True

    def give_up(self, role: str, owner: str) -> None:
        """Let somebody else take a role, if it is the owner's."""
        with self._database.transaction():
            if self._held().get(role) == owner:
                self._database.run(Meta.delete().where(Meta.key == _KEY + role))

    def holder(self, role: str) -> str:
        """Return who has a role; nobody is empty."""
        row = self._database.first(Meta.select().where(Meta.key == _KEY + role))
        owner, until = json.loads(row.value) if row is not None else ("", None)
        alive = until is not None and datetime.fromisoformat(until) > self._database.now()
        return str(owner) if alive else ""

    def _held(self) -> dict[str, str]:
        """Return the holder of each role, and forget those that nobody has any more."""
        now, held = self._database.now(), dict[str, str]()
        for row in self._database.all(Meta.select().where(Meta.key.startswith(_KEY))):
            owner, until = json.loads(row.value)
            if datetime.fromisoformat(until) > now:
                held[str(row.key).removeprefix(_KEY)] = owner
            else:
                self._database.run(Meta.delete().where(Meta.key == row.key))
        return held
