"""The daemon's end of one engine: a process that is started when needed, and calls to it."""

from __future__ import annotations

import contextlib
import queue
import socket
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

import structlog

from dubarr_watch.engines.base import EngineSpec, Progress
from dubarr_watch.engines.context import POLL_S, EngineContext
from dubarr_watch.engines.process import ChildProcess
from dubarr_watch.errors import EngineCrashed, EngineError, EngineStuck, JobCancelled

log = structlog.get_logger(__name__)

_CLOSE_S = 2.0


class EngineProcess:
    """Starts the worker of one engine when it is needed and forwards calls to it."""

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        self._spec = spec
        self._context = context
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._connection: Connection | None = None
        self._inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._receiver: threading.Thread | None = None

    def __enter__(self) -> EngineProcess:
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
