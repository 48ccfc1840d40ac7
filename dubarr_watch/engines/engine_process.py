"""The daemon's end of one engine: a process that is started when needed, and calls to it."""

from __future__ import annotations

import contextlib
import queue
import socket
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

import structlog

from dubarr_watch.engines.base import EngineSpec, Progress
from dubarr_watch.engines.context import POLL_S, Admission, EngineContext, MemoryLeft
from dubarr_watch.engines.process import ChildProcess
from dubarr_watch.errors import (
    EngineCrashed,
    EngineError,
    EngineStuck,
    JobCancelled,
    OutOfMemory,
)

log = structlog.get_logger(__name__)

_CLOSE_S = 2.0
_SMALLER = "Choose a smaller model, or end what else uses the GPU."


class _DiedWhileIdle(EngineCrashed):
    """It was gone before it began with what it was asked for, which therefore is not to blame."""


class EngineProcess:
    """Starts the worker of one engine when it is needed and forwards calls to it.

    Args:
        spec: Which engine.
        context: Who asks, and where it may run.
    """

    def __init__(self, spec: EngineSpec, context: EngineContext) -> None:
        self._spec = spec
        self._context = context
        self._lock = threading.Lock()
        self._child: ChildProcess | None = None
        self._connection: Connection | None = None
        self._inbox: queue.SimpleQueue[tuple[Any, ...]] = queue.SimpleQueue()
        self._receiver: threading.Thread | None = None
        self._admission: Admission | None = None
        self._alone = False

    def __enter__(self) -> EngineProcess:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.close(at_once=kind is not None)

    def close(self, *, at_once: bool = False) -> None:
        """End the process, if it runs; the next call starts another."""
        with self._lock:
            self._end(at_once=at_once)

    def call(self, method: str, arguments: dict[str, Any], progress: Progress | None) -> Any:
        """Call a method of the engine and wait for its answer, one call at a time.

        Raises:
            OutOfMemory: Even with a device for itself.
        """
        self._refuse_when_cancelled()
        message = ("call", method, arguments, progress is not None)
        with self._context.computing(), self._lock:
            try:
                return self._attempt(message, progress)
            except OutOfMemory as error:
                if self._alone or self._admission is None or self._admission.place.kind == "cpu":
                    raise
                log.warning("out of memory, once more alone", reason=error.message)
            self._alone = True
            return self._attempt(message, progress)

    def _attempt(self, message: tuple[Any, ...], progress: Progress | None) -> Any:
        self._refuse_when_cancelled()
        try:
            if self._child is not None:
                with contextlib.suppress(_DiedWhileIdle):
                    return self._exchange(message, progress)
                log.warning("engine died while idle", engine=self._context.kind)
            self._start()
            return self._exchange(message, progress)
        except OutOfMemory as error:
            self._end(at_once=True)
            where = "" if self._admission is None else f" It ran {self._admission.figures()}."
            raise OutOfMemory(f"{error.message}{where}", hint=error.hint or _SMALLER) from error

    def _start(self) -> None:
        admission = self._context.admit(alone=self._alone)
        self._admission = admission
        try:
            child = self._spawn(admission.environment)
        except BaseException:
            admission.release()
            raise
        admission.started(child.pid)
        admission.on_leave(self.close)
        try:
            self._exchange(("load", self._spec, admission.place), None)
        except BaseException:
            self._end(at_once=True)  # a process without its engine is of no use
            raise
        admission.loaded()
        child.load_s = time.monotonic() - child.started
        log.debug("engine loaded", engine=self._context.kind, load_s=child.load_s)

    def _spawn(self, environment: Mapping[str, str]) -> ChildProcess:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "dubarr_watch.engines.worker", str(theirs.fileno())]
            try:
                child = ChildProcess(
                    self._context.kind,
                    command,
                    environment=environment,
                    pass_fds=(theirs.fileno(),),
                )
            except BaseException:
                ours.close()
                raise
        self._child = child
        self._connection = Connection(ours.detach())
        self._inbox = queue.SimpleQueue()
        self._receiver = threading.Thread(
            target=_receive, args=(self._connection, self._inbox), daemon=True
        )
        self._receiver.start()
        return child

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
        died: type[EngineCrashed] = _DiedWhileIdle
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
                case ("begun",):
                    died = EngineCrashed
                case ("gone",):
                    raise died(f"The {child.name} process {child.how_it_ended()}")
                case ("progress", done, total):
                    if reply != seen:
                        seen, moved = reply, time.monotonic()
                    if progress is not None:
                        progress(done, total)
            if not alive and reply == ("nothing",):
                raise died(f"The {child.name} process {child.how_it_ended()}")
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
        left = MemoryLeft() if self._admission is None else self._admission.release()
        usage = replace(child.usage(), peak_gpu_mib=left.peak_mib, left_gpu_mib=left.left_mib)
        self._context.record(usage)
        log.debug(
            "engine ended",
            engine=usage.kind,
            peak_rss_mib=round(usage.peak_rss_mib),
            peak_gpu_mib=usage.peak_gpu_mib,
            left_gpu_mib=usage.left_gpu_mib,
        )


def _receive(connection: Connection, inbox: queue.SimpleQueue[tuple[Any, ...]]) -> None:
    while True:
        try:
            inbox.put(connection.recv())
        except (EOFError, OSError):
            inbox.put(("gone",))
            return
