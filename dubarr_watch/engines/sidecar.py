"""Speech through tts_sidecar: an HTTP service with a Python environment of its own.

The sidecar is started with the first call and replaced when it dies, so a caller never sees more
of that than a line that took longer.
"""

from __future__ import annotations

import concurrent.futures
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import structlog

from dubarr_watch.engines.base import Place, Speech, Voice
from dubarr_watch.engines.context import POLL_S, Admission, EngineContext
from dubarr_watch.engines.sidecar_answers import raise_for, voice_of
from dubarr_watch.engines.sidecar_process import RunningSidecar, start_sidecar
from dubarr_watch.errors import (
    EngineCrashed,
    EngineStuck,
    JobCancelled,
    OutOfMemory,
    SynthesisFailed,
)

log = structlog.get_logger(__name__)

_TRIES = 3
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
        self._running: RunningSidecar | None = None
        self._admission: Admission | None = None
        self._alone = False
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

    def _arguments(self, place: Place) -> list[str]:
        """Return the arguments of the interpreter for a process at a place."""
        arguments = list(self._options)
        if self._engine == "xtts":
            arguments += ["--device", place.kind, "--mib", str(place.mib)]
            arguments += ["--uuid", place.uuid] if place.uuid else []
            arguments += ["--frugal"] if place.frugal else []
        return arguments

    def _ask(self, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request, to a new process when one dies under it, three times at most."""
        for attempt in range(1, _TRIES + 1):
            try:
                return self._ask_once(method, path, request)
            except OutOfMemory as error:
                if attempt == _TRIES or not self._may_be_helped(error):
                    raise
            except EngineCrashed as error:
                log.warning("speech process died", attempt=attempt, reason=error.message)
                last = error
        raise SynthesisFailed(
            f"The speech process died {_TRIES} times on one line. {last.message}",
            hint="LOG_LEVEL=debug shows everything that it wrote.",
        )

    def _ask_once(self, method: str, path: str, request: Mapping[str, Any]) -> httpx.Response:
        with self._context.computing():
            running = self._ensure_running()
            answer = self._wait_for(
                running, self._calls.submit(running.client.request, method, path, **request)
            )
            if answer.status_code == httpx.codes.INSUFFICIENT_STORAGE:
                self._discard(running, at_once=True)
                raise_for(answer)
            return answer

    def _may_be_helped(self, error: OutOfMemory) -> bool:
        """Tell whether another process, with a device for itself, may have room for the same."""
        admission = self._admission
        if admission is None or admission.place.kind == "cpu":
            return False
        if admission.place.frugal:
            error.message += f" It ran {admission.figures()}."
            return False
        log.warning("out of memory, once more alone", reason=error.message)
        self._alone = True
        return True

    def _wait_for(
        self, running: RunningSidecar, future: concurrent.futures.Future[httpx.Response]
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

    def _ensure_running(self) -> RunningSidecar:
        with self._lock:
            if self._running is None:
                self._admission = admission = self._context.admit(alone=self._alone)
                try:
                    running = self._start(admission)
                except BaseException:
                    admission.release()
                    raise
                self._running = running
                admission.on_leave(lambda: self._discard(running, at_once=False))
                self._load(running)
                admission.loaded()
            return self._running

    def _start(self, admission: Admission) -> RunningSidecar:
        environment = dict(admission.environment)
        if self._licence_agreed:
            environment["COQUI_TOS_AGREED"] = "1"
        python = self._python or next((place for place in _PLACES if place.exists()), _PLACES[0])
        command = [str(python), *self._arguments(admission.place)]
        return start_sidecar(self._context, admission, command, environment, port=self._port)

    def _load(self, running: RunningSidecar) -> None:
        try:
            answer = self._wait_for(running, self._calls.submit(running.client.post, "/load"))
            raise_for(answer)
        except BaseException:
            self._discard(running, at_once=True)
            raise
        running.process.load_s = time.monotonic() - running.process.started

    def _discard(self, running: RunningSidecar, *, at_once: bool) -> None:
        with self._lock:
            if self._running is running:
                self._running = None
            if running.ended:
                return
            running.ended = True
        running.process.end(at_once=at_once)
        running.client.close()
        left = running.admission.release()
        self._slots = 0  # another process may get more memory, or less
        self._context.record(
            replace(
                running.process.usage(),
                peak_gpu_mib=left.peak_mib,
                left_gpu_mib=left.left_mib,
            )
        )
