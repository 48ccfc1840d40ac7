"""A sign of life for the jobs of this process, and a look for those of processes that died."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import structlog

from dubarr_watch.dubbing.keeping import broken_off
from dubarr_watch.dubbing.leftovers import remove_leftovers_of
from dubarr_watch.errors import DubarrError
from dubarr_watch.settings import Settings
from dubarr_watch.store.claims import LEASE_S
from dubarr_watch.store.owners import is_known_here, owner_is_alive
from dubarr_watch.store.store import Store

log = structlog.get_logger(__name__)


_ALIVE = "alive "
"""The role that each process has which shares a database with other machines."""


def living(settings: Settings, store: Store) -> Callable[[str], bool]:
    """Return what tells whether an owner's process lives.

    On one machine its lock says so at once; of other machines only signs of life tell.

    Args:
        settings: CONFIG_DIR and DATABASE_URL.
        store: The database.
    """

    def lives(owner: str) -> bool:
        alone = settings.database_url is None
        if alone or is_known_here(settings.config_dir, owner):
            return owner_is_alive(settings.config_dir, owner)
        return bool(owner) and store.roles.holder(_ALIVE + owner) == owner

    return lives


def take_back(settings: Settings, store: Store, event: str) -> None:
    """Queue again what processes were running that died or were silent for too long.

    What they left beside videos is removed, also where a line of a finished job was made anew.

    Args:
        settings: CONFIG_DIR and MAX_ATTEMPTS.
        store: The queue.
        event: Message to send about a job that fails for it; none when empty.
    """
    for job in store.recovery.recover(
        living(settings, store),
        max_attempts=settings.max_attempts,
        event=event,
    ):
        log.info("job taken back", job=job.id, video=job.video.path, state=job.state)
        remove_leftovers_of(job)
    for number in broken_off(settings.work_dir):
        if again := store.jobs.find(number):
            remove_leftovers_of(again)


class Heartbeat:
    """A thread that renews the claims of a process, for the length of a `with` block.

    Args:
        settings: See `take_back`.
        store: The queue.
        owner: Id of this process.
        event: See `take_back`.
        lease_s: How long others wait for the next sign of life.
    """

    def __init__(
        self, settings: Settings, store: Store, owner: str, event: str, lease_s: float = LEASE_S
    ) -> None:
        self._settings = settings
        self._store = store
        self._owner = owner
        self._event = event
        self._lease_s = lease_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._give_sign()
        self._thread.start()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._stopping.set()
        self._thread.join()
        if self._settings.database_url is not None:
            with suppress(DubarrError):  # the others see soon enough
                self._store.roles.give_up(_ALIVE + self._owner, self._owner)

    def _give_sign(self) -> None:
        if self._settings.database_url is not None:
            self._store.roles.take(_ALIVE + self._owner, self._owner, lease_s=self._lease_s)
        self._store.claims.renew(self._owner, lease_s=self._lease_s)

    def _run(self) -> None:
        while not self._stopping.wait(self._lease_s / 4):
            try:
                # In this order: after a pause of the whole machine nothing of our own is lost.
                self._give_sign()
                take_back(self._settings, self._store, self._event)
            except DubarrError as error:
                log.warning("heartbeat", error=error)
            except Exception:
                log.exception("heartbeat")
