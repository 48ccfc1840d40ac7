"""A daemon's connection to the cluster: it outlives schedulers, and knows who is there."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog
from distributed import Client, Future

from dubarr_watch.cluster.joining import join
from dubarr_watch.cluster.members import members_of
from dubarr_watch.cluster.orders import Mark
from dubarr_watch.cluster.worker import GOODBYE
from dubarr_watch.engines.base import Progress
from dubarr_watch.engines.crew import Crew, Member
from dubarr_watch.errors import JobCancelled
from dubarr_watch.settings import Settings
from dubarr_watch.storage import write_atomically

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 1.0
_CONNECT_S = 10.0

OnLost = Callable[[Member], None]
"""Called with a worker that was there and is not, and did not say goodbye."""


@dataclass(slots=True)
class _Followed:
    progress: Progress | None
    answers: dict[str, bytes] = field(default_factory=dict)


class Connection:
    """Connects to the scheduler when it can, again and again.

    Args:
        settings: SCHEDULER, CLUSTER_*, WORK_DIR.
        on_lost: Told of lost workers.
        wanted: Tells how many workers there is work for now.

    Attributes:
        topic: Progress of this daemon's orders is told under this name.
        mark: A file in WORK_DIR by which a worker sees that it shares it.

    Raises:
        UserMustProvide: A setting is missing.
    """

    def __init__(
        self,
        settings: Settings,
        on_lost: OnLost = lambda member: None,
        wanted: Callable[[], int] = lambda: 0,
    ) -> None:
        self._address, self._security = join(settings)
        self._on_lost = on_lost
        self._wanted = wanted
        self.topic = f"dubarr-{secrets.token_hex(8)}"
        self.mark = Mark(settings.work_dir / ".cluster" / self.topic, secrets.token_hex(16))
        self.mark.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.mark.path, self.mark.content.encode("ascii"))
        self._lock = threading.Lock()
        self._client: Client | None = None
        self._followed: dict[str, _Followed] = {}
        self._done: deque[Future] = deque()
        self._crew = Crew(self._address, reachable=False)
        self._goodbyes: set[str] = set()
        self._heard_of = ""
        self._closing = threading.Event()
        self._connected = threading.Event()
        self._first = threading.Event()
        self._thread = threading.Thread(target=self._look, name="cluster", daemon=True)
        self._thread.start()
        self._first.wait(_CONNECT_S)

    @property
    def crew(self) -> Crew:
        """Who is there, as of a second ago."""
        return self._crew

    def close(self) -> None:
        """Leave the cluster; what this daemon has asked of it is dropped there."""
        self._closing.set()
        self._thread.join(_CONNECT_S)
        self._disconnect()
        self.mark.path.unlink(missing_ok=True)

    def client(self, cancelled: Callable[[], bool]) -> Client:
        """Return a client that is connected; waits for a scheduler as long as it takes.

        Raises:
            JobCancelled: As `cancelled` says.
        """
        while True:
            client = self._client
            if client is not None and client.status == "running":
                return client
            if cancelled() or self._closing.is_set():
                raise JobCancelled("The job was cancelled.")
            self._connected.wait(0.25)

    @contextmanager
    def following(self, order: str, progress: Progress | None) -> Iterator[dict[str, bytes]]:
        """Hear what workers tell of an order; yields its answers by task, as they come."""
        self._followed[order] = told = _Followed(progress)
        try:
            yield told.answers
        finally:
            del self._followed[order]

    def done_with(self, future: Future) -> None:
        """Let go of a task that is done, within a second.

        Not at once: what that makes the scheduler say would hold up the task that comes next.
        """
        self._done.append(future)

    def _look(self) -> None:
        while not self._closing.is_set():
            try:
                while self._done:
                    self._done.popleft().release()
                self._look_once(self._connection())
            except Exception as error:  # noqa: BLE001 - whatever it is, the next look may go well
                if self._crew.reachable:
                    log.warning("scheduler lost", scheduler=self._address, reason=str(error),
                                note="what runs there is asked again once it is back")  # fmt: skip
                self._crew = Crew(self._address, reachable=False, lost=self._crew.lost)
                self._connected.clear()
            self._first.set()
            self._closing.wait(LOOK_EVERY_S)

    def _connection(self) -> Client:
        client = self._client
        if client is not None and client.status in ("closed", "closing"):
            self._disconnect()
            client = None
        if client is None:
            client = Client(
                self._address, security=self._security, timeout=_CONNECT_S, set_as_default=False,
                name="dubarr-watch",
            )  # fmt: skip
            # Dask collects what it sends for 10 ms, for the sake of graphs of many small tasks.
            client.scheduler_comm.interval = 0
            self._client, self._heard_of = client, ""
        return client

    def _look_once(self, client: Client) -> None:
        told = client.sync(client.scheduler.identity, n_workers=-1)
        if told["id"] != self._heard_of:  # another scheduler knows of no subscription
            client.subscribe_topic(self.topic, self._hear)
            client.subscribe_topic(GOODBYE, self._hear_goodbye)
            self._heard_of = told["id"]
        members = members_of(told["workers"], client.processing())
        self._connected.set()
        before, lost = self._crew, self._crew.lost
        if before.reachable:
            lost += self._note_changes(before, members)
        else:
            log.info("scheduler", address=self._address, workers=len(members))
        self._crew = Crew(self._address, True, tuple(members), self._wanted(), lost)

    def _note_changes(self, before: Crew, members: list[Member]) -> int:
        there = {one.address for one in members}
        known = {one.address for one in before.members}
        for one in members:
            if one.address not in known:
                log.info("worker joined", worker=one.address, machine=one.machine,
                         offers=dict(one.offers))  # fmt: skip
        lost = 0
        for one in before.members:
            if one.address in there:
                continue
            if one.address in self._goodbyes:
                self._goodbyes.discard(one.address)
                log.info("worker left", worker=one.address, machine=one.machine)
                continue
            lost += 1
            log.warning("worker lost", worker=one.address, machine=one.machine, tasks=one.tasks,
                        note="what it did is done again by others")  # fmt: skip
            self._on_lost(one)
        return lost

    def _hear(self, event: tuple[float, Mapping[str, Any]]) -> None:
        _, news = event
        told = self._followed.get(news["order"])
        if told is None:
            return
        if "answer" in news:
            told.answers[news["task"]] = news["answer"]
        elif told.progress is not None:
            told.progress(news["done"], news["total"])

    def _hear_goodbye(self, event: tuple[float, Mapping[str, Any]]) -> None:
        self._goodbyes.add(event[1]["worker"])

    def _disconnect(self) -> None:
        self._done.clear()
        client, self._client = self._client, None
        self._connected.clear()
        if client is not None:
            try:
                client.close(timeout=2)
            except Exception as error:  # noqa: BLE001 - whatever a lost scheduler leaves behind
                log.debug("cluster left hard", why=str(error) or type(error).__name__)
