"""An engine that does nothing but hold GPU memory: leases are measured with it, without any model.

It speaks to CUDA's driver library itself, so its process is there within a moment and holds what
it was told to, and the context that every program needs.
"""

from __future__ import annotations

import ctypes
import time
from ctypes import byref, c_int, c_size_t, c_uint64, c_void_p
from pathlib import Path

from dubarr_watch.engines.base import EngineSpec, Need, Place, Span
from dubarr_watch.errors import OutOfMemory
from dubarr_watch.gpu.identity import LIBRARY

_MIB = 2**20
_LONGEST_S = 120.0


class MemoryHolder:
    """Stands in the place of a Transcriber.

    Args:
        mib: What it takes from device 0, whatever its lease says.
        place: Its lease.

    Raises:
        OutOfMemory: The device has not so much.
    """

    def __init__(self, *, mib: int, place: Place) -> None:
        self._cuda = ctypes.CDLL(LIBRARY)
        self._check(self._cuda.cuInit(0))
        context, device = c_void_p(), c_int()
        self._check(self._cuda.cuDeviceGet(byref(device), 0))
        self._check(self._cuda.cuDevicePrimaryCtxRetain(byref(context), device))
        self._check(self._cuda.cuCtxSetCurrent(context))
        self._memory = c_uint64()
        self._check(self._cuda.cuMemAlloc_v2(byref(self._memory), c_size_t(mib * _MIB)))

    def voice_activity(self, audio: Path) -> list[Span]:
        """Hold the memory until a file is there; return since when and until when.

        Both times are of the monotonic clock, which is the same for all processes of a machine.
        """
        started = time.monotonic()
        audio.with_suffix(".holding").touch()
        while not audio.exists() and time.monotonic() - started < _LONGEST_S:
            time.sleep(0.02)
        return [Span(started, time.monotonic())]

    def _check(self, code: int) -> None:
        if code:
            raise OutOfMemory(f"CUDA refuses with code {code}.")


def holder_spec(name: str, mib: int, context_mib: int) -> EngineSpec:
    """Return the spec of a holder whose lease covers its memory and its context."""
    return EngineSpec(
        "benchmarks.gpu_holder:MemoryHolder",
        {"mib": mib},
        need=Need(name, mib + context_mib, cpu=False),
    )
