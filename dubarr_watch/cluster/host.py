"""The daemon's engine host of a cluster: the same seams, with workers behind them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from typing import Any

from dubarr_watch.cluster.calls import Calls, Demand
from dubarr_watch.cluster.connection import Connection
from dubarr_watch.cluster.divided import DividedTranscriber
from dubarr_watch.cluster.members import able, asked
from dubarr_watch.cluster.orders import stays
from dubarr_watch.cluster.together import Ranges
from dubarr_watch.engines import remote
from dubarr_watch.engines.base import EngineSpec, Progress
from dubarr_watch.engines.crew import Crew
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.seat import User
from dubarr_watch.engines.voice_prints import RemotePrinter
from dubarr_watch.engines.warm import OpenEngine
from dubarr_watch.errors import DubarrError
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.settings import Settings

SPARE = 2
"""Ranges of lines that wait beyond two for each worker: what an autoscaler sees of the backlog."""


class ClusterHost(EngineHost):
    """Runs engines on the workers of a cluster, and in this process those that hold a key.

    Args:
        settings: SCHEDULER, CLUSTER_*, WORK_DIR and what `EngineHost` reads.
        broker: Of this machine.

    Raises:
        UserMustProvide: A setting is missing.
    """

    def __init__(self, settings: Settings, broker: LeaseBroker) -> None:
        super().__init__(settings, broker)
        self._demand = Demand()
        self._connection = Connection(
            settings, lambda member: self.on_lost(member), self._demand.workers
        )
        self._calls = Calls(settings, self._connection, self.broker, {}, self._demand)

    @property
    def crew(self) -> Crew:
        """Who is in the cluster."""
        return self._connection.crew

    def end_job(self, job: int) -> None:
        """See `EngineHost`; what workers hold for a job ends there by itself."""
        super().end_job(job)
        folder = self._settings.work_dir / str(job)
        for path in [path for path in self._calls.holds if path.is_relative_to(folder)]:
            self._calls.holds.pop(path, None)

    def close(self) -> None:
        """End every engine that was kept warm, and leave the cluster."""
        super().close()
        self._connection.close()

    def _opened(self, kind: str, spec: EngineSpec, stall_s: float) -> OpenEngine:
        if stays(spec):
            return super()._opened(kind, spec, stall_s)
        user = User()
        engine = _Engine(self._calls, kind, spec, user, stall_s)
        return OpenEngine((kind, spec, stall_s), _SEAMS[kind](engine), user, ExitStack())


class _Engine:
    """An engine of the cluster: which worker it is is found with each call."""

    def __init__(
        self, calls: Calls, kind: str, spec: EngineSpec, user: User, stall_s: float
    ) -> None:
        self._calls = calls
        self._kind = kind
        self._spec = spec
        self._user = user
        self._stall_s = stall_s
        self._lock = threading.Lock()
        self._slots = 0

    @property
    def demand(self) -> Demand:
        """Where it is counted what could be done."""
        return self._calls.demand

    def workers(self) -> int:
        """Return how many workers can run it now, 1 at least."""
        members = self._calls.connection.crew.members
        asks = asked(self._kind, self._spec, members, self._calls.broker)
        return max(1, len(able(asks, members)))

    def slots(self) -> int:
        """Return how many calls one worker works on at a time."""
        with self._lock:
            if not self._slots:
                self._slots = int(self.call("slots", {}, None))
            return self._slots

    def call(self, method: str, arguments: dict[str, Any], progress: Progress | None) -> Any:
        """Have one call made."""
        return result_of(self.many(method, [arguments], progress)[0])

    def many(
        self, method: str, calls: list[Mapping[str, Any]], progress: Progress | None = None
    ) -> list[Any]:
        """Have some calls made by one worker; see `Calls.many`."""
        return self._calls.many(
            self._kind, self._spec, method, calls, progress, self._user, self._stall_s
        )


def result_of(found: Any) -> Any:
    """Return what a call returned, or raise what it raised."""
    if isinstance(found, DubarrError):
        raise found
    return found


class _Translator(remote.RemoteTranslator):
    def __init__(self, engine: _Engine) -> None:
        super().__init__(engine.call)
        self._engine = engine

    @property
    def slots(self) -> int:
        """See `Translator`."""
        return self._engine.slots() * self._engine.workers()


class _Synthesizer(remote.RemoteSynthesizer):
    """Lines that are asked for at a time go out in ranges, as many as a worker speaks at a time."""

    def __init__(self, engine: _Engine) -> None:
        self._engine = engine
        self._ranges = Ranges(engine.many, engine.slots, engine.workers)
        engine.demand.ranges.add(self._ranges)
        super().__init__(self._called)

    @property
    def slots(self) -> int:
        """See `Synthesizer`; more than there are workers now, so that those who join find work."""
        return self._engine.slots() * (2 * self._engine.workers() + SPARE)

    def _called(self, method: str, arguments: dict[str, Any], progress: Progress | None) -> Any:
        if method == "synthesize":
            return result_of(self._ranges.call(method, arguments))
        return self._engine.call(method, arguments, progress)


_SEAMS: Mapping[str, Callable[[_Engine], Any]] = {
    "transcriber": lambda engine: DividedTranscriber(engine.call, engine.workers),
    "diarizer": lambda engine: remote.RemoteDiarizer(engine.call),
    "separator": lambda engine: remote.RemoteSeparator(engine.call),
    "translator": _Translator,
    "synthesizer": _Synthesizer,
    "printer": lambda engine: RemotePrinter(engine.call),
}
