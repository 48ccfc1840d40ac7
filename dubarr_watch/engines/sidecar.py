"""Speech through tts_sidecar: an HTTP service with a Python environment of its own.

The sidecar is started with the first call and replaced when it dies, so a caller never sees more
of that than a line that took longer.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import secrets
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import structlog

from dubarr_watch.engines.base import Place, Speech, Voice
from dubarr_watch.engines.context import POLL_S, EngineContext
from dubarr_watch.engines.process import ChildProcess
from dubarr_watch.engines.sidecar_answers import raise_for, voice_of
from dubarr_watch.errors import (
    EngineCrashed,
    EngineStuck,
    JobCancelled,
    SynthesisFailed,
    ToolMissing,
)

log = structlog.get_logger(__name__)

_TRIES = 3
_LISTENING = "tts_sidecar listening on "
_PORT_TAKEN = "cannot be used"
_REPOSITORY = Path(__file__).resolve().parents[2]
_PLACES = (
    _REPOSITORY / "tts_sidecar" / ".venv" / "bin" / "python",
    Path("/app/.venv_tts/bin/python"),
)
# More references than that add nothing to a voice, and a request has a largest size.
_MAX_REFERENCES = 8
# Requests that may be under way; the process answers no more than its slots at a time.
_MAX_CALLS = 64


class SidecarSynthesizer:
    """A Synthesizer that speaks through the sidecar, whose process it owns.

    Args:
        context: From the host.
        engine: The sidecar's engine: `kokoro`, `xtts` or `fake`.
        models_dir: Where models are.
        port: Port on 127.0.0.1; any free one when it is 0 or taken.
        threads: Threads of one synthesis.
        python: Interpreter of the sidecar's environment; found beside this package or where the
            container image has it when None.
        references_dir: Folder whose files a cloned voice may be taken from; none when None.
        licence_agreed: The user has agreed to the licence of XTTS v2.
    """

    def __init__(
        self,
        *,
        context: EngineContext,
        engine: str,
        models_dir: Path,
        port: int,
        threads: int,
        python: Path | None = None,
        references_dir: Path | None = None,
        licence_agreed: bool = False,
    ) -> None:
        self._context = context
        self._engine = engine
        models_dir = models_dir.absolute()
        self._options = [
            *("-m", "tts_sidecar", "--engine", engine, "--models-dir", str(models_dir)),
            *("--threads", str(threads), "--exit-with-stdin"),
        ]
        if references_dir is not None:
            self._options += ["--references-dir", str(references_dir.absolute())]
        self._licence_agreed = licence_agreed
        self._slots = 0
        self._port = port
        self._python = python
        self._lock = threading.RLock()
        self._running: _Running | None = None
        self._calls = concurrent.futures.ThreadPoolExecutor(
            _MAX_CALLS, thread_name_prefix="sidecar"
        )

    def __enter__(self) -> SidecarSynthesizer:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if self._running is not None:
            self._discard(self._running, at_once=kind is not None)
        self._calls.shutdown(wait=True, cancel_futures=True)

    @property
    def pid(self) -> int | None:
        """Process id of the sidecar while it runs."""
        running = self._running
        return running.process.pid if running is not None else None

    @property
    def address(self) -> str | None:
        """Where the sidecar listens while it runs, as host:port."""
        running = self._running
        return running.client.base_url.netloc.decode() if running is not None else None

    @property
    def slots(self) -> int:
        """See `Synthesizer`; XTTS tells it once it runs, since it depends on the memory it got."""
        if self._engine != "xtts":
            return 1
        if not self._slots:
            self._slots = int(self.health()["slots"])
        return self._slots

    def health(self) -> Mapping[str, Any]:
        """Return what the sidecar says of itself: engine, device, loaded, languages ..."""
        answer = self._ask("GET", "/health")
        raise_for(answer)
        found: dict[str, Any] = answer.json()
        return found

    def voices(self, language: str) -> list[Voice]:
        """See `Synthesizer`."""
        answer = self._ask("GET", "/voices", params={"language": language})
        if answer.status_code == httpx.codes.NOT_FOUND:
            return []
        raise_for(answer)
        return [voice_of(entry) for entry in answer.json()]

    def synthesize(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        speed: float,
        target: Path,
        references: Sequence[Path] = (),
    ) -> Speech:
        """See `Synthesizer`."""
        body: dict[str, object] = {
            "text": text,
            "language": language,
            "voice": voice,
            "speed": speed,
        }
        if references:
            body["references"] = [str(path.absolute()) for path in references[:_MAX_REFERENCES]]
        answer = self._ask("POST", "/synthesize", json=body)
        raise_for(answer)
        unfinished = target.with_name(f".{target.name}.part")
        unfinished.write_bytes(answer.content)
        unfinished.replace(target)
        return Speech(
            path=target,
            duration_s=float(answer.headers["X-Duration-Seconds"]),
            sample_rate=int(answer.headers["X-Sample-Rate"]),
            suspect=bool(answer.headers.get("X-Suspect")),
        )

    def _arguments(self, place: Place, port: int) -> list[str]:
        """Return the arguments of the interpreter for a process at a place."""
        arguments = [*self._options, "--port", str(port)]
        if self._engine == "xtts":
            arguments += ["--device", place.kind, "--mib", str(place.mib)]
            arguments += ["--uuid", place.uuid] if place.uuid else []
            arguments += ["--frugal"] if place.frugal else []
        return arguments

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request, to a new process when one dies under it, three times at most."""
        for attempt in range(1, _TRIES + 1):
            try:
                running = self._ensure_running()
                return self._wait_for(
                    running, self._calls.submit(running.client.request, method, path, **request)
                )
            except EngineCrashed as error:
                log.warning("speech process died", attempt=attempt, reason=error.message)
                last = error
        raise SynthesisFailed(
            f"The speech process died {_TRIES} times on one line. {last.message}",
            hint="LOG_LEVEL=debug shows everything that it wrote.",
        )

    def _wait_for(
        self, running: _Running, future: concurrent.futures.Future[httpx.Response]
    ) -> httpx.Response:
        started = time.monotonic()
        while True:
            done, _ = concurrent.futures.wait([future], POLL_S)
            if self._context.cancelled():
                self._discard(running, at_once=True)
                raise JobCancelled("The job was cancelled.")
            if done and future.exception() is None:
                running.process.running()  # notes its memory
                return future.result()
            if done or not running.process.running():
                how = running.process.how_it_ended()
                self._discard(running, at_once=True)
                raise EngineCrashed(f"The speech process {how}")
            if time.monotonic() - started > self._context.stall_s:
                self._discard(running, at_once=True)
                raise EngineStuck(
                    f"The speech process did not answer for {self._context.stall_s:.0f} s.",
                    hint="Raise STALL_SECONDS when this machine is only slow.",
                )

    def _ensure_running(self) -> _Running:
        with self._lock:
            if self._running is None:
                try:
                    self._running = self._start(self._port)
                except _PortTaken:
                    log.info("speech port taken", port=self._port)
                    self._running = self._start(0)
                self._load(self._running)
            return self._running

    def _start(self, port: int) -> _Running:
        token = secrets.token_urlsafe(24)
        address: concurrent.futures.Future[str] = concurrent.futures.Future()

        def on_line(line: str) -> None:
            if line.startswith(_LISTENING) and not address.done():
                address.set_result(line.removeprefix(_LISTENING).strip())
            elif _PORT_TAKEN in line and not address.done():
                address.set_exception(_PortTaken())

        # Another environment's packages, possibly for another version of Python, must stay out.
        environment = {**self._context.environment, "TTS_SIDECAR_TOKEN": token}
        environment.pop("PYTHONPATH", None)
        if self._licence_agreed:
            environment["COQUI_TOS_AGREED"] = "1"
        python = self._python or next((place for place in _PLACES if place.exists()), _PLACES[0])
        try:
            process = ChildProcess(
                self._context.kind,
                [str(python), *self._arguments(Place(), port)],
                environment=environment,
                on_line=on_line,
            )
        except OSError as error:
            raise ToolMissing(
                "The speech process has no Python environment.",
                hint="Run `make setup`.",
                path=python,
            ) from error
        try:
            where = self._await_address(process, address)
        except BaseException:
            process.end(at_once=True)
            raise
        client = httpx.Client(
            base_url=f"http://{where}",
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(None),
            trust_env=False,
        )
        return _Running(process, client)

    def _await_address(self, process: ChildProcess, address: concurrent.futures.Future[str]) -> str:
        while True:
            with contextlib.suppress(concurrent.futures.TimeoutError):
                return address.result(timeout=POLL_S)
            if self._context.cancelled():
                raise JobCancelled("The job was cancelled.")
            if not process.running() and not address.done():
                raise EngineCrashed(f"The speech process {process.how_it_ended()}")
            if time.monotonic() - process.started > self._context.stall_s:
                raise EngineStuck("The speech process did not start to listen.")

    def _load(self, running: _Running) -> None:
        try:
            answer = self._wait_for(running, self._calls.submit(running.client.post, "/load"))
            raise_for(answer)
        except BaseException:
            self._discard(running, at_once=True)
            raise
        running.process.load_s = time.monotonic() - running.process.started

    def _discard(self, running: _Running, *, at_once: bool) -> None:
        with self._lock:
            if self._running is running:
                self._running = None
            if running.ended:
                return
            running.ended = True
        running.process.end(at_once=at_once)
        running.client.close()
        self._context.record(running.process.usage())


class _PortTaken(Exception):
    pass


class _Running:
    """One sidecar process and the way to talk to it."""

    def __init__(self, process: ChildProcess, client: httpx.Client) -> None:
        self.process = process
        self.client = client
        self.ended = False
