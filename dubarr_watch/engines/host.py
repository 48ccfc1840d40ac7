"""Runs engines in child processes: under watch, without secrets, and never left behind.

A model's memory is only surely free again when its process has ended, so every engine lives in a
process of its own for as long as its stage lasts.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
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
from dubarr_watch.engines.engine_process import EngineProcess
from dubarr_watch.engines.openmp import library_folder
from dubarr_watch.engines.process import EngineUsage
from dubarr_watch.engines.worker import build
from dubarr_watch.settings import Settings, child_environment


class Watch(TypedDict, total=False):
    """How a call is watched while it lasts.

    Attributes:
        cancelled: Asked every 0.25 s; true ends the process.
        stall_s: Seconds without progress after which the call is given up, STALL_SECONDS when
            None or not given; loading counts as one call.
        job: Who it is for; its engines stay warm until `EngineHost.end_job`.
        priority: Who goes first when several wait for a device: higher sooner, 0 unless told.
    """

    cancelled: Callable[[], bool]
    stall_s: float | None
    job: int | None
    priority: int


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
            need=spec.need,
        )
        if spec.owns_process:
            with build(spec, context=context) as engine:
                yield engine
            return
        with EngineProcess(spec, context) as process:
            yield remote.PROXIES[kind](process.call)

    def end_job(self, job: int) -> None:
        """End the idle engines that were kept warm for a job."""

    def close(self) -> None:
        """End every engine that was kept warm."""


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
