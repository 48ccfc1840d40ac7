"""A llama.cpp server in a process of ours: started under a lease, replaced when it dies."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import openai
import structlog

from dubarr_watch.engines.context import Admission, EngineContext
from dubarr_watch.engines.llm.running import RunningServer, Shape
from dubarr_watch.engines.process import ChildProcess
from dubarr_watch.errors import EngineCrashed, JobCancelled, OutOfMemory

log = structlog.get_logger(__name__)

_STARTS = 3
# Options that older builds of llama-server do not know would be errors as arguments, and are
# nothing here. Its key goes there too: any user may read the arguments of a process.
_PROGRAM_OPTIONS = {
    "LLAMA_ARG_JINJA": "1",
    "LLAMA_ARG_NO_WEBUI": "1",
    "LLAMA_ARG_WEBUI": "0",
    "LLAMA_ARG_UI": "0",
    "LLAMA_ARG_CACHE_RAM": "0",
    "LLAMA_ARG_FIT": "off",
    "LLAMA_OFFLINE": "1",
}


def find_llama_server(program: Path | None = None) -> Path | None:
    """Return the llama-server program: the one that was named, or the one on PATH."""
    if program is not None:
        return program
    found = shutil.which("llama-server")
    return Path(found) if found else None


class LocalServer:
    """Keeps one server running from the first call to the end.

    Args:
        context: From the host.
        model: A GGUF file.
        shape: How many slots, and their context.
        threads: Threads of the CPU.
        program: A llama-server program; None: the library that comes with this package, which
            computes on the CPU.
    """

    def __init__(
        self,
        *,
        context: EngineContext,
        model: Path,
        shape: Shape,
        threads: int,
        program: Path | None,
    ) -> None:
        self._context = context
        self._model = model
        self._shape = shape
        self._threads = threads
        self._program = program
        self._lock = threading.RLock()
        self._running: RunningServer | None = None
        self._starts_left = _STARTS
        self._frugal = False
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        running = self._running
        return running.process.pid if running is not None else None

    @property
    def address(self) -> str | None:
        """Where it listens while it runs, as a URL without a path."""
        running = self._running
        return running.address if running is not None else None

    def begin(self) -> Shape:
        """Start it where it does not run, and return what it says of itself.

        Call this at the beginning of a call, inside `EngineContext.computing`.

        Raises:
            EngineCrashed: It ended while it loaded, time after time.
            EngineStuck: It made no progress for too long.
            OutOfMemory: There is not enough memory for it, alone on its device.
            LeaseError: No device can hold it.
            JobCancelled: As the context says.
        """
        self._starts_left = _STARTS
        return self._ensured().shape

    def client(self) -> openai.OpenAI:
        """Return a client of the server, which is started again where it has died.

        Raises:
            EngineCrashed: It died too often in this call, or was closed.
        """
        return self._ensured().client

    def failed(self, error: Exception) -> None:
        """End a server that does not answer, so that the next attempt reaches a new one."""
        running = self._running
        if isinstance(error, openai.APITimeoutError) and running is not None:
            log.warning("language model hangs", pid=running.process.pid)
            self._discard(running, at_once=True)

    def close(self, *, at_once: bool = False) -> None:
        """End it for good.

        Args:
            at_once: Without asking; requests that are under way fail.
        """
        self._closed = True
        running = self._running
        if running is not None:
            self._discard(running, at_once=at_once)

    def _ensured(self) -> RunningServer:
        with self._lock:
            while True:
                running = self._running
                if running is not None and running.process.running():
                    return running
                if running is not None:
                    how = running.process.how_it_ended()
                    log.warning("language model died", how=how)
                    self._discard(running, at_once=True)
                self._refuse_when_ended()
                self._running = self._start()

    def _start(self) -> RunningServer:
        """Start it, in a smaller shape and alone on its device where memory was short."""
        while True:
            self._starts_left -= 1
            try:
                return self._start_once()
            except OutOfMemory:
                if self._frugal:
                    raise
                log.warning("language model out of memory", slots=self._shape.slots)
                self._frugal = True
            except EngineCrashed as error:
                if self._starts_left <= 0:
                    raise
                log.warning("language model died", how=error.message)

    def _start_once(self) -> RunningServer:
        if self._starts_left < 0:
            raise EngineCrashed(
                f"The language model's server died {_STARTS} times in one call.",
                hint="LOG_LEVEL=debug shows everything that it wrote.",
            )
        admission = self._context.admit(alone=self._frugal)
        try:
            running = self._spawned(admission)
        except BaseException:
            admission.release()
            raise
        try:
            running.wait_until_ready(self._context.stall_s, self._refuse_when_ended)
        except BaseException:
            self._discard(running, at_once=True)
            raise
        admission.loaded()
        return running

    def _spawned(self, admission: Admission) -> RunningServer:
        key = secrets.token_urlsafe(24)
        asked = self._shape
        shape = Shape(1, asked.context // asked.slots) if admission.place.frugal else asked
        command = [
            *(sys.executable, "-m", "dubarr_watch.engines.llm.serve"),
            *("--model", str(self._model.absolute()), "--threads", str(self._threads)),
            *("--slots", str(shape.slots), "--context", str(shape.context)),
        ]
        environment, port = dict(admission.environment), 0
        if self._program is not None:
            port = _free_port()
            command += ["--program", str(self._program.absolute()), "--port", str(port)]
            command += ["--gpu"] if admission.place.kind != "cpu" else []
            environment |= {**_PROGRAM_OPTIONS, "LLAMA_API_KEY": key}
        running = RunningServer(admission, shape, key, port)
        with _readable(key) as descriptor:
            running.process = ChildProcess(
                self._context.kind,
                [*command, "--key-from", str(descriptor)],
                environment=environment,
                pass_fds=(descriptor,),
                on_line=running.on_line,
            )
        admission.started(running.process.pid)
        admission.on_leave(lambda: self._discard(running, at_once=False))
        return running

    def _discard(self, running: RunningServer, *, at_once: bool) -> None:
        with self._lock:
            if self._running is running:
                self._running = None
            if running.ended:
                return
            running.ended = True
        running.process.end(at_once=at_once)
        running.close()
        left = running.admission.release()
        usage = running.process.usage()
        self._context.record(replace(usage, peak_gpu_mib=left.peak_mib, left_gpu_mib=left.left_mib))

    def _refuse_when_ended(self) -> None:
        if self._context.cancelled():
            raise JobCancelled("The job was cancelled.")
        if self._closed:
            raise EngineCrashed("The language model's server was ended.")


@contextmanager
def _readable(text: str) -> Iterator[int]:
    """Give a file descriptor from which a process that inherits it can read a short text."""
    ours, theirs = os.pipe()
    try:
        os.write(theirs, text.encode())
        os.close(theirs)
        yield ours
    finally:
        os.close(ours)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port
