"""One order, until there is an answer: sent, watched, sent again when it was lost, and its files.

What an order writes gets its name only here, once, when the answer is there: whatever a worker that
was thought lost writes later stays under a name that nobody knows.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from weakref import WeakSet

import structlog
from distributed import Client, Future
from distributed.protocol import deserialize_bytes
from distributed.scheduler import KilledWorker

from dubarr_watch.cluster.connection import Connection
from dubarr_watch.cluster.members import able, asked
from dubarr_watch.cluster.orders import Answer, Carried, Made, Order, portable, read_paths
from dubarr_watch.cluster.tasks import keep_made, keep_piece, read_piece, serve
from dubarr_watch.cluster.together import Ranges
from dubarr_watch.engines.base import EngineSpec, Progress
from dubarr_watch.engines.seat import User
from dubarr_watch.errors import EngineCrashed, EngineError, JobCancelled
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.settings import Settings
from dubarr_watch.storage import write_atomically

log = structlog.get_logger(__name__)

PIECE_BYTES = 8 * 2**20
_POLL_S = 0.25
_REVIEW_S = 2.0
"""How often it is looked whether what an order asks for is still to be had."""
_PIECE_S = 120.0


@dataclass(slots=True)
class Demand:
    """How much this daemon has to do for workers; the figure that autoscalers go by.

    Dask's own `adaptive_target` divides by threads, of which our workers have more than they have
    devices, and does not see what a daemon holds back while all workers are busy.

    Attributes:
        orders: Under way.
        ranges: Where calls wait that are not sent yet.
    """

    orders: set[str] = field(default_factory=set)
    ranges: WeakSet[Ranges] = field(default_factory=WeakSet)

    def workers(self) -> int:
        """Return how many workers could be busy now."""
        return len(self.orders) + sum(one.waiting for one in list(self.ranges))


@dataclass(slots=True)
class Sent:
    """When files were sent to workers, so that several calls that lack one wait for one sending."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _locks: dict[tuple[str, str], threading.Lock] = field(default_factory=dict)
    _at: dict[tuple[str, str], float] = field(default_factory=dict)

    def once(self, key: str, worker: str, asked_s: float, send: Callable[[], None]) -> None:
        """Send a file unless that was done since it was found lacking."""
        which = (key, worker)
        with self._lock:
            lock = self._locks.setdefault(which, threading.Lock())
        with lock:
            if self._at.get(which, 0.0) < asked_s:
                send()
                self._at[which] = time.monotonic()


class Lost(Exception):
    """An order, or a worker, is not known any more: ask again."""


@dataclass(frozen=True, slots=True)
class Calls:
    """Has engines of the cluster called.

    Attributes:
        settings: MODELS_DIR.
        connection: To the scheduler.
        broker: Knows what engines need.
        holds: Machine by path, of files that a worker wrote or was sent: where they are is where
            the next one that reads them had better run.
        demand: What could be done now is counted here.
        sent: What was sent to whom.
    """

    settings: Settings
    connection: Connection
    broker: LeaseBroker
    holds: dict[Path, str]
    demand: Demand
    sent: Sent = field(default_factory=lambda: Sent())

    def many(
        self, kind: str, spec: EngineSpec, method: str, calls: Sequence[Mapping[str, Any]],
        progress: Progress | None, user: User, stall_s: float,
    ) -> list[Any]:  # fmt: skip
        """Have some calls made at a time by one worker; return results, errors among them.

        Raises:
            JobCancelled: As the user says.
            EngineCrashed: Too many workers died under it.
            EngineError: It failed outside of its engine.
            LeaseError: No worker can run it.
        """
        paths = list(dict.fromkeys(path for call in calls for path in read_paths(call)))
        order = Order(
            id=secrets.token_hex(8),
            topic=self.connection.topic,
            kind=kind,
            spec=portable(spec, self.settings.models_dir),
            method=method,
            calls=calls,
            files=[Carried.of(path) for path in paths if path.is_file()],
            mark=self.connection.mark,
            wants_progress=progress is not None,
            job=user.job,
            priority=user.priority,
            stall_s=stall_s,
        )
        self.demand.orders.add(order.id)
        try:
            with self.connection.following(order.id, progress) as told:
                answer = self._answered(order, user, told)
        finally:
            self.demand.orders.discard(order.id)
        for model, gpu, mib in answer.peaks:
            if self.broker.needs is not None:
                self.broker.needs.keep(model, gpu, mib)
        return list(answer.results)

    def _answered(self, order: Order, user: User, told: Mapping[str, bytes]) -> Answer:
        sent_to: str | None = None
        while True:
            client = self.connection.client(user.cancelled)
            asked_s = time.monotonic()
            try:
                answer = self._tried(client, order, user, sent_to, told)
                if answer.lacks:
                    lacking = [one for one in order.files if one.path in answer.lacks]
                    for file in lacking:
                        self.sent.once(
                            file.key, answer.worker, asked_s,
                            partial(self._send, client, file, answer.worker, user.cancelled),
                        )  # fmt: skip
                        self.holds[file.path] = answer.host
                    sent_to = answer.worker
                    continue
                for made in answer.made:
                    self._take(client, made, answer.worker, user.cancelled)
                    self.holds[made.path] = answer.host
            except Lost as lost:
                sent_to = None
                log.info("asked again", engine=order.kind, method=order.method, job=order.job,
                         because=str(lost))  # fmt: skip
                continue
            return answer

    def _tried(
        self, client: Client, order: Order, user: User, sent_to: str | None,
        told: Mapping[str, bytes],
    ) -> Answer:  # fmt: skip
        asks = asked(order.kind, order.spec, self.connection.crew.members, self.broker)
        prefer = [sent_to] if sent_to else self._near(order, asks)
        future = client.submit(
            serve, order, key=f"{order.kind}-job-{order.job}-{secrets.token_hex(6)}",
            resources=asks, workers=prefer or None, allow_other_workers=bool(prefer),
            priority=order.priority, pure=False,
        )  # fmt: skip
        try:
            self._wait(client, future, order, asks, user.cancelled)
            heard = told.get(future.key) if future.status == "finished" else None
            answer: Answer = _result(future) if heard is None else deserialize_bytes(heard)
        except JobCancelled:
            future.cancel()
            raise
        finally:
            self.connection.done_with(future)
        return answer

    def _near(self, order: Order, asks: Mapping[str, float]) -> list[str]:
        """Return the workers on the machines that hold what an order reads."""
        machines = {self.holds[one.path] for one in order.files if one.path in self.holds}
        members = able(asks, self.connection.crew.members)
        return [one.address for one in members if one.machine in machines]

    def _wait(
        self, client: Client, future: Future, order: Order, asks: Mapping[str, float],
        cancelled: Callable[[], bool],
    ) -> None:  # fmt: skip
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        reviewed_s = time.monotonic()
        while not done.wait(_POLL_S):
            if cancelled():
                raise JobCancelled("The job was cancelled.")
            if client.status in ("closed", "closing"):
                raise Lost("the scheduler was lost")
            if time.monotonic() - reviewed_s < _REVIEW_S:
                continue
            reviewed_s = time.monotonic()
            members = self.connection.crew.members
            if members and not able(asks, members):
                now = asked(order.kind, order.spec, members, self.broker)
                if now != asks:
                    future.cancel()
                    raise Lost(f"nobody has {dict(asks)}, but {now}")

    def _send(
        self, client: Client, file: Carried, worker: str, cancelled: Callable[[], bool]
    ) -> None:
        """Send a file to a worker, in pieces."""
        at = 0
        with file.path.open("rb") as source:
            while at < file.size or file.size == 0:
                piece = source.read(PIECE_BYTES)
                held = _guarded(
                    lambda piece=piece: client.scatter(piece, workers=[worker], hash=False)  # type: ignore[misc]
                )
                at = _run(client, worker, cancelled, keep_piece, file.key, file.path.name, at, held,
                          file.size)  # fmt: skip
                if not piece:
                    raise EngineError("A file became shorter while it was sent.", path=file.path)

    def _take(self, client: Client, made: Made, worker: str, cancelled: Callable[[], bool]) -> None:
        """Give a file that was written its name, wherever it is now."""
        made.path.parent.mkdir(parents=True, exist_ok=True)
        if made.shared:
            made.here.replace(made.path)
            if made.here.parent != made.path.parent and not any(made.here.parent.iterdir()):
                made.here.parent.rmdir()
        elif made.content is not None:
            write_atomically(made.path, made.content)
        else:
            part = made.path.with_name(f".{made.path.name}.{secrets.token_hex(4)}.part")
            try:
                with part.open("wb") as file:
                    while file.tell() < made.size:
                        file.write(_run(client, worker, cancelled, read_piece, made.here,
                                        file.tell(), PIECE_BYTES))  # fmt: skip
                part.replace(made.path)
            finally:
                part.unlink(missing_ok=True)
            key = Carried.of(made.path).key
            _run(client, worker, cancelled, keep_made, made.here, key, made.path.name)


def _run(
    client: Client, worker: str, cancelled: Callable[[], bool], work: Callable[..., Any], *told: Any
) -> Any:
    """Run something small on one worker and no other.

    Raises:
        Lost: It is gone.
    """
    future = _guarded(
        lambda: client.submit(work, *told, workers=[worker], pure=False, priority=100)
    )
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    until = time.monotonic() + _PIECE_S
    try:
        while not done.wait(_POLL_S):
            if cancelled():
                raise JobCancelled("The job was cancelled.")
            gone = worker not in client.sync(client.scheduler.identity, n_workers=-1)["workers"]
            if client.status != "running" or gone or time.monotonic() > until:
                raise Lost(f"worker {worker} was lost")
        return _result(future)
    finally:
        future.release()


def _guarded(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (OSError, TimeoutError, ValueError, RuntimeError, KeyError) as error:
        raise Lost(f"{type(error).__name__}: {error}") from error


def _result(future: Future) -> Any:
    """Return the result of a task that is done.

    Raises:
        Lost: The scheduler or the worker that had it is gone.
        EngineCrashed: Too many workers died under it.
        EngineError: It raised what no engine raises.
    """
    if future.status in ("cancelled", "lost"):
        raise Lost("the scheduler was lost")
    try:
        return future.result(timeout=_PIECE_S)
    except KilledWorker as error:
        raise EngineCrashed(
            f"{error.allowed_failures + 1} workers died under it, one after the other.",
            hint="Their logs say why; a worker without enough memory is the usual reason.",
        ) from error
    except (EngineError, JobCancelled):
        raise
    except Exception as error:
        if future.status != "error":
            raise Lost(f"{type(error).__name__}: {error}") from error
        raise EngineError(
            f"A worker failed: {type(error).__name__}: {error}.",
            hint="Its log holds the details.",
        ) from error
