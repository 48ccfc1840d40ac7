"""Runs engines in child processes: under watch, without secrets, and never left behind.

A model's memory is only surely free again when its process has ended, so every engine lives in a
process of its own. It starts with the first call, under a lease of its device, and ends with its
stage, or later where it is worth keeping warm and nobody waits for its memory.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Literal, TypedDict, Unpack, overload

from dubarr_watch.engines import remote
from dubarr_watch.engines.base import (
    Diarizer,
    EngineSpec,
    Separator,
    Synthesizer,
    Transcriber,
    Translator,
)
from dubarr_watch.engines.context import EngineContext, never
from dubarr_watch.engines.crew import Crew, Member
from dubarr_watch.engines.engine_process import EngineProcess
from dubarr_watch.engines.openmp import library_folder
from dubarr_watch.engines.process import EngineUsage
from dubarr_watch.engines.seat import Seat, User
from dubarr_watch.engines.voice_prints import RemotePrinter, VoicePrinter
from dubarr_watch.engines.warm import OpenEngine, OpenEngines
from dubarr_watch.engines.worker import build
from dubarr_watch.gpu.leases import LeaseBroker
from dubarr_watch.gpu.wishes import Rules
from dubarr_watch.settings import Settings, child_environment

_PROXIES: Mapping[str, Callable[[remote.Call], Any]] = {**remote.PROXIES, "printer": RemotePrinter}


KEPT_USAGE = 100
"""Of how many processes a host remembers what they have cost."""


class Watch(TypedDict, total=False):
    """How a call is watched while it lasts.

    Attributes:
        cancelled: Asked every 0.25 s; true ends the process.
        stall_s: Seconds without progress after which the call is given up, STALL_SECONDS when
            None or not given; loading counts as one call.
        job: Who it is for; its blocks share what they use at a time, and its engines stay warm
            until `EngineHost.end_job`.
        priority: Who goes first when several wait for a device: higher sooner, 0 unless told.
    """

    cancelled: Callable[[], bool]
    stall_s: float | None
    job: int | None
    priority: int


class EngineHost:
    """Starts engines and ends them; several jobs may use one at a time.

    Args:
        settings: THREADS, STALL_SECONDS, CPU_SLOTS.
        broker: Hands out devices; without one every engine computes on the CPU.

    Attributes:
        broker: Hands out devices.
        usage: What each of the last processes that ended has cost, in order.
        on_lost: Told of workers on other machines that are not heard of any more.
    """

    def __init__(self, settings: Settings, broker: LeaseBroker | None = None) -> None:
        self._settings = settings
        self.broker = broker or LeaseBroker((), Rules.of(settings))
        self.usage: list[EngineUsage] = []
        self._open = OpenEngines()
        self.on_lost: Callable[[Member], None] = lambda member: None

    @property
    def states(self) -> dict[str, str]:
        """What is open now, by the seam that it serves: `busy`, or kept warm and `idle`."""
        return self._open.states()

    @property
    def crew(self) -> Crew:
        """Workers on other machines; there are none."""
        return Crew()

    @property
    def peak_rss_mib(self) -> float:
        """Most memory that any one of these has held, in MiB."""
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
    @overload
    def engine(
        self, kind: Literal["printer"], spec: EngineSpec, **watch: Unpack[Watch]
    ) -> AbstractContextManager[VoicePrinter]: ...
    @contextmanager
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
        key = (kind, spec, self._settings.stall_seconds if stall_s is None else stall_s)
        user = User(watch.get("cancelled", never), watch.get("job"), watch.get("priority", 0))
        engine = self._open.enter(key, user, lambda: self._opened(*key))
        try:
            yield engine.seam
        except BaseException as error:
            if self._open.leave(engine):
                engine.close(error)
            raise
        if not self._open.leave(engine):
            return
        keep_alive_s = 0.0 if spec.need is None else spec.need.keep_alive_s
        if keep_alive_s > 0:
            self._open.keep(engine, keep_alive_s)
        else:
            engine.close()

    def end_job(self, job: int) -> None:
        """End the idle engines that were kept warm for a job."""
        self._open.end(lambda engine: engine.user.job == job)

    def close(self) -> None:
        """End every engine that was kept warm."""
        self._open.end(lambda engine: True)

    def _record(self, usage: EngineUsage) -> None:
        self.usage.append(usage)
        del self.usage[:-KEPT_USAGE]

    def _opened(self, kind: str, spec: EngineSpec, stall_s: float) -> OpenEngine:
        user = User()
        context = EngineContext(
            kind=kind,
            cancelled=lambda: user.cancelled(),  # another block's, once it has taken it over
            stall_s=stall_s,
            environment=engine_environment(self._settings) | _waiting(spec),
            record=self._record,
            seat=Seat(kind, spec.need, self.broker, user),
        )
        resources = ExitStack()
        if spec.owns_process:
            seam = resources.enter_context(build(spec, context=context))
        else:
            process = resources.enter_context(EngineProcess(spec, context))
            seam = _PROXIES[kind](process.call)
        return OpenEngine((kind, spec, stall_s), seam, user, resources)


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


def _waiting(spec: EngineSpec) -> dict[str, str]:
    """Let the waiting threads of torch sleep.

    Where they spin, torch takes up to nine times as long beside other work (XTTS on two busy cores:
    14 to 18 s against 2 s). llama.cpp, which waits after every layer, is slower when they sleep.
    """
    torch = spec.target.partition(":")[0].endswith(("pyannote_diarizer", "demucs_separator"))
    return {"OMP_WAIT_POLICY": "passive"} if torch else {}


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
