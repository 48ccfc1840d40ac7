"""Webhooks: stored first, answered at once, worked off later by one thread.

Radarr and Sonarr mute a receiver that answers with an error (for 1, 5, 15, 30, 60 minutes, and
what they had to say meanwhile is lost), so whatever they send is accepted, and what cannot be done
is kept as refused for people to see. Who names a single path is told at once when it is wrong.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass

import structlog

from dubarr_watch.errors import StoreError, WrongUsage
from dubarr_watch.library.intake import Library
from dubarr_watch.neighbours.letters import Letters
from dubarr_watch.neighbours.payloads import News, Wanted, parse
from dubarr_watch.settings import Settings
from dubarr_watch.store.inbox import InboxRecord, InboxState
from dubarr_watch.store.store import Store

MAX_PENDING = 10_000
KEPT = 500
"""Messages that stay to be looked at, once they are worked off."""

MAX_ATTEMPTS = 3
_RETRY_S = 2.0
_STOP_S = 2.0
_IDLE_S = 60.0
_QUIET_S = 0.1
_MOST_WAIT_S = 2.0

_LOG = structlog.get_logger(__name__)


class InboxFull(StoreError):
    """More messages wait than anybody could have sent in earnest."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a sender is told: the message is on disk.

    Attributes:
        id: Of the message.
        sender: Who sent it, as far as it can be told; see `News`.
        event: What the sender calls it.
    """

    id: int
    sender: str
    event: str


@dataclass(slots=True)
class _Waiting:
    """A message on its way to the disk."""

    message: tuple[str, str, str]
    id: int = 0
    error: Exception | None = None


class Inbox:
    """Takes messages from any thread, and works them off in one of its own.

    Args:
        settings: VIDEOS_DIR, PATH_MAP, TARGET_LANGS.
        store: Holds the messages.
        library: Takes what they ask for.
        retry_s: Wait after a failure.
    """

    def __init__(
        self, settings: Settings, store: Store, library: Library, *, retry_s: float = _RETRY_S
    ) -> None:
        self._store = store
        self._letters = Letters(settings, store, library)
        self._retry_s = retry_s
        self._waiting: list[_Waiting] = []
        self._last_put_s = 0.0
        self._joining = threading.Lock()
        self._writing = threading.Lock()
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)

    def start(self) -> None:
        """Start working off, first of all what an earlier run has left."""
        self._thread.start()

    def stop(self, timeout_s: float = _STOP_S) -> None:
        """End the thread; what is pending stays in the store, also what takes longer to do."""
        self._stopping.set()
        self._news.set()
        if self._thread.is_alive():
            self._thread.join(timeout_s)
            if self._thread.is_alive():
                _LOG.warning("inbox_stopped_hard")

    def put(self, payload: object) -> Receipt:
        """Keep a message; it is on disk when this returns.

        Args:
            payload: What the sender's JSON, or its form, held.

        Raises:
            WrongUsage: It asks for one path, which cannot be dubbed; it is kept as refused.
            InboxFull: Too many messages wait.
            StoreError, NotWritable, DiskFull: It could not be kept.
        """
        self._last_put_s = time.monotonic()
        news = parse(payload)
        message = self._write((news.sender, news.event, json.dumps(payload)))
        if isinstance(news.what, Wanted) and news.what.told:
            try:
                self._letters.check(news.what)
            except WrongUsage as error:
                self._settle(message, news, InboxState.REFUSED, str(error))
                raise
        self._news.set()
        return Receipt(message, news.sender, news.event)

    def _write(self, message: tuple[str, str, str]) -> int:
        """Put a message on disk, together with all that came while the disk was busy."""
        mine = _Waiting(message)
        with self._joining:
            self._waiting.append(mine)
        with self._writing:
            with self._joining:
                batch, self._waiting = self._waiting, []
            if batch:  # else whoever wrote before has written it too
                self._write_all(batch)
        if mine.error is not None:
            raise mine.error
        return mine.id

    def _write_all(self, batch: list[_Waiting]) -> None:
        try:
            if self._store.inbox.count_pending() + len(batch) > MAX_PENDING:
                raise InboxFull(
                    f"{MAX_PENDING} messages wait to be worked off.",
                    hint="Look into the log for what keeps them from it.",
                )
            ids = self._store.inbox.add([waiting.message for waiting in batch])
        except Exception as error:  # noqa: BLE001 - raised in each thread that waits for it
            for waiting in batch:
                waiting.error = error
            return
        for waiting, number in zip(batch, ids, strict=True):
            waiting.id = number

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                record = self._store.inbox.next_pending()
                if record is not None:
                    self._give_way()
                    self._work_off(record)
                    continue
                self._store.inbox.prune(KEPT)
            except Exception:  # noqa: BLE001 - messages are safe, and are worked off again
                _LOG.exception("inbox_failed")
                self._stopping.wait(self._retry_s)
                continue
            self._news.wait(_IDLE_S)
            self._news.clear()

    def _give_way(self) -> None:
        """Let a burst be answered before its first message is worked off."""
        latest_s = time.monotonic() + _MOST_WAIT_S
        while not self._stopping.is_set():
            now_s = time.monotonic()
            if now_s >= min(latest_s, self._last_put_s + _QUIET_S):
                return
            self._stopping.wait(_QUIET_S / 4)

    def _work_off(self, record: InboxRecord) -> None:
        news = News(record.sender, record.event, parse(json.loads(record.payload)).what)
        if record.attempts >= MAX_ATTEMPTS:
            # Also what made the program die each time must not keep the others waiting.
            why = f"Given up after {MAX_ATTEMPTS} attempts; the log says why."
            self._settle(record.id, news, InboxState.FAILED, why)
            return
        self._store.inbox.begin(record.id)
        self._settle(record.id, news, *self._letters.work_off(news))

    def _settle(self, message: int, news: News, state: InboxState, outcome: str) -> None:
        self._store.inbox.settle(message, state, outcome)
        say = _LOG.warning if state in (InboxState.REFUSED, InboxState.FAILED) else _LOG.info
        say("webhook", sender=news.sender, told=news.event, state=state, outcome=outcome)
