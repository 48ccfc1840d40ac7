"""Runs engines in child processes: under watch, without secrets, and never left behind.

A model's memory is only surely free again when its process has ended, so every engine lives in a
process of its own for as long as its stage lasts.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

import structlog

from dubarr_watch.engines import remote
from dubarr_watch.engines.base import (
    Diarizer,
    EngineSpec,
    Progress,
    Separator,
    Synthesizer,
    Transcriber,
    Translator,
)
from dubarr_watch.engines.openmp import library_folder
from dubarr_watch.engines.process import ChildProcess, EngineUsage
from dubarr_watch.engines.worker import build
from dubarr_watch.errors import EngineCrashed, EngineError, EngineStuck, JobCancelled
from dubarr_watch.settings import Settings, child_environment

log = structlog.get_logger(__name__)

POLL_S = 0.25
_CLOSE_S = 2.0


def never() -> bool:
    """Say that nobody cancelled."""
    return False


class Watch(TypedDict, total=False):
    """How a call is watched while it lasts.

    Attributes:
        cancelled: Asked every 0.25 s; true ends the process.
        stall_s: Seconds without progress after which the call is given up, STALL_SECONDS when
            None or not given; loading counts as one call.
    """

    cancelled: Callable[[], bool]
    stall_s: float | None


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What an engine that runs its own process (`EngineSpec.owns_process`) gets from the host.

    Attributes:
        kind: Which seam it serves.
        cancelled: Asked several times a second while a call lasts.
        stall_s: Seconds without progress after which a call is given up.
        environment: The whole environment of the process.
        record: Told what a process cost when it has ended.
    """

    kind: str = "synthesizer"
    cancelled: Callable[[], bool] = never
    stall_s: float = 600.0
    environment: Mapping[str, str] = field(default_factory=child_environment)
    record: Callable[[EngineUsage], None] = lambda usage: None


class EngineHost:
    """Starts engines and ends them.

    Args:
        settings: THREADS, STALL_SECONDS.

    Attributes:
        usage: What each process that ended has cost, in order.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.usage: list[EngineUsage] = []

    @property
    def peak_rss_mib(self) -> float:
        """Most memory that any one engine process has held, in MiB."""
        return max((usage.peak_rss_mib for usage in self.usage), default=0.0)

    @overload
    def engine(
        self, kind: Literal["transcriber"], spec: EngineSpec, **watch: Unpack[Watch]
    ) -> AbstractContextManager[Transcriber]: ...
    @overload
    def engine(
        self, kind: Literal["diarizer"], spec: EngineSpec, **watch: Unpack[Watch]
    ) -> AbstractContextManager[Diarizer]: ...
    @overload
    def engine(
        self, kind: Literal["separator"], spec: EngineSpec, **watch: Unpack[Watch]
    ) -> AbstractContextManager[Separator]: ...
    @overload
    def engine(
        self, kind: Literal["translator"], spec: EngineSpec, **watch: Unpack[Watch]
    ) -> AbstractContextManager[Translator]: ...
    @overload
    def engine(
        self, kind: Literal["synthesizer"], spec: EngineSpec, **watch: Unpack[Watch]
    ) -> AbstractContextManager[Synthesizer]: ...
    @contextlib.contextmanager
    def engine(self, kind: str, spec: EngineSpec, **watch: Unpack[Watch]) -> Iterator[Any]:
        """Run an engine for the length of a `with` block.

        Args:
            kind: Which seam it serves.
            spec: Which engine.
            **watch: See `Watch`.

        Yields:
            An object of the seam's Protocol. After EngineCrashed or EngineStuck, its next call
            reaches a new process.

        Raises:
            JobCancelled: From a call, when `cancelled` said so.
            EngineStuck: From a call that made no progress for `stall_s`.
            EngineCrashed: From a call whose process ended.
            EngineError: From a call in which the engine raised.
        """
        stall_s = watch.get("stall_s")
        context = EngineContext(
            kind=kind,
            cancelled=watch.get("cancelled", never),
            stall_s=self._settings.stall_seconds if stall_s is None else stall_s,
            environment=engine_environment(self._settings),
            record=self.usage.append,
        )
        if spec.owns_process:
            with build(spec, context=context) as engine:
                yield engine
            return
        with _EngineProcess(spec, context) as process:
            yield remote.PROXIES[kind](process.call)


def engine_environment(settings: Settings) -> dict[str, str]:
    """Return the whole environment of an engine's process: what it needs, and no secret."""
    threads = str(usable_threads(settings))
    inherited = child_environment()
    if libraries := library_folder(settings.config_dir / "run" / "lib"):
        known = inherited.get("LD_LIBRARY_PATH")
        inherited["LD_LIBRARY_PATH"] = f"{libraries}:{known}" if known else str(libraries)
    return inherited | {
        "PYTHONUNBUFFERED": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
    }


def usable_threads(settings: Settings) -> int:
    """Return THREADS, or the number of cores that this process may use."""
    if settings.threads:
        return settings.threads
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    # A container's CPU limit is a quota of time, invisible in the affinity mask.
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores or 1, max(1, round(int(quota) / int(period))))
    return cores or 1


class _EngineProcess:
    """The daemon's end of one engine: starts the worker when needed and forwards calls to it."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        self._spec = spec
        self._context = context
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._connection: Connection | None = None
        self._inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._receiver: threading.Thread | None = None

    def __enter__(self) -> _EngineProcess:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self._end(at_once=kind is not None)

    def call(self, method: str, arguments: dict[str, Any], progress: Progress | None) -> Any:
        """Call a method of the engine and wait for its answer, one call at a time."""
        with self._lock:
            self._refuse_when_cancelled()
            if self._child is None:
                self._start()
            return self._exchange(("call", method, arguments, progress is not None), progress)

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "dubarr_watch.engines.worker", str(theirs.fileno())]
            self._child = ChildProcess(
                self._context.kind,
                command,
                environment=self._context.environment,
                pass_fds=(theirs.fileno(),),
            )
        self._connection = Connection(ours.detach())
        self._inbox = queue.SimpleQueue()
        self._receiver = threading.Thread(
            target=_receive, args=(self._connection, self._inbox), daemon=True
        )
        self._receiver.start()
        try:
            self._exchange(("load", self._spec), None)
        except BaseException:
            self._end(at_once=True)  # a process without its engine is of no use
            raise
        self._child.load_s = time.monotonic() - self._child.started
        log.debug("engine loaded", engine=self._context.kind, load_s=self._child.load_s)

    def _exchange(self, message: tuple[Any, ...], progress: Progress | None) -> Any:
        try:
            return self._exchange_unsafe(message, progress)
        except (JobCancelled, EngineCrashed, EngineStuck):
            self._end(at_once=True)
            raise

    def _exchange_unsafe(self, message: tuple[Any, ...], progress: Progress | None) -> Any:
        child, connection = self._child, self._connection
        if child is None or connection is None:
            raise EngineCrashed(f"The {self._context.kind} process is not running.")
        with contextlib.suppress(OSError):  # a dead child shows below
            connection.send(message)
        moved = time.monotonic()
        seen: tuple[Any, ...] = ()
        while True:
            try:
                reply = self._inbox.get(timeout=POLL_S)
            except queue.Empty:
                reply = ("nothing",)
            self._refuse_when_cancelled()
            alive = child.running()
            match reply:
                case ("result", value):
                    return value
                case ("error", error):
                    raise error
                case ("failed", summary):
                    raise EngineError(
                        f"The {child.name} failed: {summary}.",
                        hint="LOG_LEVEL=debug shows everything that it wrote.",
                    )
                case ("gone",):
                    raise EngineCrashed(f"The {child.name} process {child.how_it_ended()}")
                case ("progress", done, total):
                    if reply != seen:
                        seen, moved = reply, time.monotonic()
                    if progress is not None:
                        progress(done, total)
            if not alive and reply == ("nothing",):
                raise EngineCrashed(f"The {child.name} process {child.how_it_ended()}")
            if time.monotonic() - moved > self._context.stall_s:
                raise EngineStuck(
                    f"The {child.name} made no progress for {self._context.stall_s:.0f} s.",
                    hint="Raise STALL_SECONDS when this machine is only slow.",
                )

    def _refuse_when_cancelled(self) -> None:
        if self._context.cancelled():
            raise JobCancelled("The job was cancelled.")

    def _end(self, *, at_once: bool) -> None:
        child, connection = self._child, self._connection
        self._child = self._connection = None
        if child is None or connection is None:
            return
        child.end(ask=lambda: connection.send(("end",)), at_once=at_once)
        if self._receiver is not None:
            self._receiver.join(_CLOSE_S)
        connection.close()
        usage = child.usage()
        self._context.record(usage)
        log.debug("engine ended", engine=usage.kind, peak_rss_mib=round(usage.peak_rss_mib))


def _receive(connection: Connection, inbox: queue.SimpleQueue[tuple[Any, ...]]) -> None:
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            inbox.put(("gone",))
            return
