"""What one daemon does for all that share a database: it watches, tells, and clears up.

On one machine that is the only daemon. Of several on a database server it is the one that has the
role; when it gives no sign of life for the role's lease another one begins.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from dubarr_watch.errors import DubarrError
from dubarr_watch.library.intake import Library, LibraryHealth
from dubarr_watch.neighbours.inbox import Inbox, Receipt
from dubarr_watch.neighbours.telling import Teller
from dubarr_watch.notify import Notifier
from dubarr_watch.settings import Settings
from dubarr_watch.store.claims import LEASE_S
from dubarr_watch.store.store import Store
from dubarr_watch.upkeep import Upkeep
from dubarr_watch.workers import give_memory_back
from dubarr_watch.workshop import Workshop

log = structlog.get_logger(__name__)

ROLE = "lookout"

LOOK_S = 2.0
"""How soon the lookout sees what other daemons have written."""

_LEAST_S = 0.2


@dataclass(frozen=True, slots=True)
class _Duty:
    """The parts, each of which is started once."""

    upkeep: Upkeep
    notifier: Notifier
    teller: Teller
    library: Library
    inbox: Inbox

    def start(self) -> None:
        for part in (self.upkeep, self.notifier, self.teller, self.library, self.inbox):
            part.start()

    def last_words(self) -> None:
        for outbox in (self.teller, self.notifier):
            outbox.stop(0)

    def stop(self, left_s: Callable[[], float]) -> None:
        self.inbox.stop()
        self.library.stop()
        for outbox in (self.teller, self.notifier):
            outbox.stop(max(_LEAST_S, left_s()))
        self.upkeep.stop()


class Lookout:
    """Does it, or waits until nobody else does.

    Args:
        settings: All settings; without DATABASE_URL nobody else can.
        workshop: Its store, its owner, and the languages that it refuses.
        ring: Called when there may be a new job.
        should_stop: Breaks long work off.
        lease_s: How long others wait for this one's next sign of life.
    """

    def __init__(
        self,
        settings: Settings,
        workshop: Workshop,
        ring: Callable[[], None],
        should_stop: Callable[[], bool],
        *,
        lease_s: float = LEASE_S,
    ) -> None:
        self._settings = settings
        self._store: Store = workshop.store
        self._owner = workshop.owner.id
        self._workshop = workshop
        self._ring = ring
        self._should_stop = should_stop
        self._lease_s = lease_s
        self._shared = settings.database_url is not None
        self._seen = 0
        self._on_duty = False
        self._duty = self._new_duty()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)

    @property
    def on_duty(self) -> bool:
        """Whether it is this daemon that watches and tells."""
        return self._on_duty

    @property
    def notifier(self) -> Notifier:
        """Where messages are put that are to be sent."""
        return self._duty.notifier

    def start(self) -> None:
        """Begin, at once when nobody else does it."""
        if not self._shared:
            self._begin()
            return
        self._turn()
        if not self._on_duty:
            log.info("lookout", note="Another daemon on this database watches the library.")
        self._thread.start()

    def last_words(self) -> None:
        """Let messages begin their end; see `stop`."""
        self._duty.last_words()

    def stop(self, left_s: Callable[[], float]) -> None:
        """End all, and let another daemon begin.

        Args:
            left_s: Tells how long messages may still take.
        """
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        if self._on_duty:
            self._end(left_s)
            if self._shared:
                try:
                    self._store.roles.give_up(ROLE, self._owner)
                except DubarrError as error:
                    log.warning("lookout", error=error)

    def look_at(self, path: Path) -> None:
        """Look at one file or folder soon; where another daemon watches, that one's scan does."""
        self._duty.library.look_at(path)

    def hear(self, payload: object) -> Receipt:
        """Take a webhook's payload; see `Inbox.put`."""
        return self._duty.inbox.put(payload)

    def is_away(self, path: Path) -> bool:
        """Tell whether the disk that a video is on is not there just now."""
        return self._duty.library.is_away(path)

    def health(self) -> LibraryHealth:
        """Return how the library is looked after; by another daemon it is as that one says."""
        found = self._duty.library.health()
        return found if self._on_duty else replace(found, running=True, root_present=True)

    def settle(self) -> None:
        """Answer what is done, and send what is to be sent."""
        if self._on_duty:
            duty = self._duty
            duty.library.settle_requests()
            duty.notifier.wake()
            duty.teller.wake()

    def _run(self) -> None:
        look_s = min(LOOK_S, self._lease_s / 4)
        looks = max(1, round(self._lease_s / 4 / look_s))
        count = 0
        while not self._stopping.wait(look_s):
            count += 1
            try:
                if count % looks == 0:
                    self._turn()
                self._look()
            except DubarrError as error:
                log.warning("lookout", error=error)
            except Exception:
                log.exception("lookout")

    def _turn(self) -> None:
        mine = self._store.roles.take(ROLE, self._owner, lease_s=self._lease_s)
        if mine and not self._on_duty:
            log.info("lookout", note="This daemon watches the library from now on.")
            self._begin()
        elif self._on_duty and not mine:
            log.warning("lookout", note="Another daemon watches the library from now on.")
            self._end(lambda: _LEAST_S)
            self._duty = self._new_duty()

    def _look(self) -> None:
        """Heed what the other daemons have written: jobs that ended, messages, requests."""
        now = self._store.changes()
        if now != self._seen:
            self._seen = now
            self.settle()

    def _begin(self) -> None:
        self._on_duty = True  # whatever cannot be started, /health says so
        self._duty.start()

    def _end(self, left_s: Callable[[], float]) -> None:
        self._on_duty = False
        self._duty.stop(left_s)

    def _has_role(self) -> bool:
        return not self._shared or self._store.roles.holder(ROLE) == self._owner

    def _new_duty(self) -> _Duty:
        settings, store = self._settings, self._store
        library = Library(
            settings, store, self._ring, refusal=self._workshop.refusal,
            after_scan=give_memory_back,
        )  # fmt: skip
        return _Duty(
            Upkeep(settings, store, should_stop=self._should_stop),
            Notifier(settings, store, on_duty=self._has_role),
            Teller(settings, store, on_duty=self._has_role),
            library,
            Inbox(settings, store, library),
        )
