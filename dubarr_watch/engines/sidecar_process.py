"""Starts the speech process and learns where it listens."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import psutil
import structlog

from dubarr_watch.engines.context import POLL_S, Admission, EngineContext
from dubarr_watch.engines.process import ChildProcess
from dubarr_watch.errors import EngineCrashed, EngineStuck, JobCancelled, ToolMissing

log = structlog.get_logger(__name__)

_LISTENING = "tts_sidecar listening on "
_PORT_TAKEN = "cannot be used"
_SCRATCH = "dubarr-watch-speech-"


class RunningSidecar:
    """One speech process, the way to talk to it, and its right to run."""

    def __init__(self, process: ChildProcess, client: httpx.Client, admission: Admission) -> None:
        self.process = process
        self.client = client
        self.admission = admission
        self.ended = False


def start_sidecar(
    context: EngineContext,
    admission: Admission,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    port: int,
) -> RunningSidecar:
    """Start the speech process and wait until it listens.

    Args:
        context: From the host.
        admission: Its right to run.
        command: Interpreter and arguments, all but the port.
        environment: Its whole environment.
        port: Port on 127.0.0.1; any free one when it is 0 or taken.

    Raises:
        ToolMissing: There is no such interpreter.
        EngineCrashed: It ended before it listened.
        EngineStuck: It did not listen in time.
        JobCancelled: As the context says.
    """
    try:
        return _start(context, admission, command, environment, port)
    except _PortTaken:
        log.info("speech port taken", port=port)
        return _start(context, admission, command, environment, 0)


def _start(
    context: EngineContext,
    admission: Admission,
    command: Sequence[str],
    environment: Mapping[str, str],
    port: int,
) -> RunningSidecar:
    token = secrets.token_urlsafe(24)
    address: concurrent.futures.Future[str] = concurrent.futures.Future()

    def on_line(line: str) -> None:
        if line.startswith(_LISTENING) and not address.done():
            address.set_result(line.removeprefix(_LISTENING).strip())
        elif _PORT_TAKEN in line and not address.done():
            address.set_exception(_PortTaken())

    # Another environment's packages, possibly for another version of Python, must stay out.
    told = {key: value for key, value in environment.items() if key != "PYTHONPATH"}
    scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-"))
    try:
        process = ChildProcess(
            context.kind,
            [*command, "--port", str(port)],
            environment={**told, "TTS_SIDECAR_TOKEN": token, "TMPDIR": str(scratch)},
            on_line=on_line,
            scratch=scratch,
        )
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise ToolMissing(
            "The speech process has no Python environment.",
            hint="Run `make setup`.",
            path=Path(command[0]),
        ) from error
    admission.started(process.pid)
    try:
        where = _await_address(context, process, address)
    except BaseException:
        process.end(at_once=True)
        raise
    client = httpx.Client(
        base_url=f"http://{where}",
        headers={"Authorization": f"Bearer {token}"},
        timeout=httpx.Timeout(None),
        trust_env=False,
    )
    return RunningSidecar(process, client, admission)


def _await_address(
    context: EngineContext, process: ChildProcess, address: concurrent.futures.Future[str]
) -> str:
    while True:
        with contextlib.suppress(concurrent.futures.TimeoutError):
            return address.result(timeout=POLL_S)
        if context.cancelled():
            raise JobCancelled("The job was cancelled.")
        if not process.running() and not address.done():
            raise EngineCrashed(f"The speech process {process.how_it_ended()}")
        if time.monotonic() - process.started > context.stall_s:
            raise EngineStuck("The speech process did not start to listen.")


class _PortTaken(Exception):
    pass


def remove_scratch_of_the_dead() -> None:
    """Remove temporary files of speech processes whose daemon was killed together with them.

    Call it before one is started: a process of an earlier life may have had our number.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        number = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if not number.isdecimal():
            continue
        if int(number) == os.getpid() or not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)
