"""The NVIDIA driver as pynvml speaks to it: started when needed, and again when it must be.

A card that dies may keep a question for ever, so each is asked in a thread that can be left behind.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import psutil
import pynvml  # type: ignore[import-untyped,unused-ignore]
import structlog
from pynvml import NVMLError

from dubarr_watch.gpu.deadline import NoAnswer, Watchdog

log = structlog.get_logger(__name__)

T = TypeVar("T")

__all__ = [
    "MIB",
    "Fault",
    "Handle",
    "NVMLError",
    "about",
    "ask",
    "driver_version",
    "fault_of",
    "handle_of",
    "handles",
    "is_stale",
    "memory_bytes",
    "name_of",
    "processes_of",
    "reset",
]

MIB = 2**20

ANSWER_S = 10.0
"""A card answers within milliseconds; one that sleeps takes a second or two to wake."""

START_S = 60.0
"""Without its persistence daemon the driver wakes every card when it is started."""

_ABSENT = {pynvml.NVML_ERROR_LIBRARY_NOT_FOUND}
_UNSUPPORTED = {
    pynvml.NVML_ERROR_NOT_SUPPORTED,
    pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
    pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
    pynvml.NVML_ERROR_DEPRECATED,
}
_NOT_THERE = {pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INVALID_ARGUMENT}

_HINTS = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "If there is an NVIDIA GPU, install its driver; a "
    "container must be given the GPU (NVIDIA Container Toolkit, `gpus: all`).",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "Load it (`sudo modprobe nvidia`) or restart the machine.",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "The driver was updated while it ran: restart the "
    "machine, then the container.",
    pynvml.NVML_ERROR_NO_PERMISSION: "This user or container may not open /dev/nvidia*: grant it.",
    pynvml.NVML_ERROR_GPU_IS_LOST: "Restart the machine; when it happens again, look at the "
    "card's power and seating (`dmesg | grep -i xid`).",
    pynvml.NVML_ERROR_TIMEOUT: "It hangs: restart the machine; when it happens again, look at the "
    "card's power, heat and seating (`dmesg | grep -i xid`).",
    pynvml.NVML_ERROR_RESET_REQUIRED: "Restart the machine, or reset the card "
    "(`sudo nvidia-smi --gpu-reset`) while nothing uses it.",
}
_HINT = "`nvidia-smi` and `dmesg` may say more; restarting the machine often helps."

_lock = threading.RLock()
_state: dict[str, Any] = {"started": False, "handles": {}}
_watchdog = Watchdog()


class _Silent(NVMLError):  # type: ignore[misc,unused-ignore]  # pynvml has no types
    """The driver has not answered in time."""

    def __init__(self, value: int, words: str) -> None:
        super().__init__(value)
        self.words = words

    def __new__(cls, value: int, words: str) -> _Silent:
        made: _Silent = super().__new__(cls, value)
        return made

    def __str__(self) -> str:
        return self.words


@dataclass(frozen=True, slots=True)
class Handle:
    """One device as the driver knows it.

    Attributes:
        index: NVML's index of the card.
        uuid: `GPU-...` or `MIG-...`; `PCI-<bus id>` where the driver does not tell one.
        pci_bus_id: Domain, bus and device of the card, e.g. `00000000:65:00.0`.
        device: What NVML functions take.
        mig: It is a part of a card.
        split: It is a card that is divided into such parts, and of no use by itself.
        parent_uuid: The card that a part belongs to.
    """

    index: int
    uuid: str
    pci_bus_id: str
    device: Any
    mig: bool = False
    split: bool = False
    parent_uuid: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A card, or the whole driver, that does not answer as it should.

    Attributes:
        words: The driver's own words.
        hint: What the user can do.
        index: NVML's index of the card; None for the driver itself.
        absent: There is no driver at all, which is no fault on a machine without a GPU.
    """

    words: str
    hint: str
    index: int | None = None
    absent: bool = False


def fault_of(error: NVMLError, index: int | None = None) -> Fault:
    """Return a driver's error in words a user can act on."""
    return Fault(
        words=str(error),
        hint=_HINTS.get(error.value, _HINT),
        index=index,
        absent=error.value in _ABSENT,
    )


def is_stale(error: NVMLError) -> bool:
    """Tell whether the driver has forgotten this program, and must be started afresh."""
    return bool(error.value == pynvml.NVML_ERROR_UNINITIALIZED)


def ask(work: Callable[[], T]) -> T:
    """Run `work` with the driver ready; when it fails, start the driver afresh and repeat it once.

    Calls from several threads take turns: each lasts a few milliseconds, and `ANSWER_S` at most
    where it is asked `about` a device. While any question hangs the driver is left running.

    Raises:
        NVMLError: The driver does not answer, even when started afresh.
    """
    with _lock:
        try:
            _start()
            return work()
        except NVMLError as error:
            if error.value in _ABSENT or _watchdog.any_hangs:
                raise
            log.debug("driver started afresh", why=str(error))
        _stop()
        _start()
        return work()


def about(device: str, question: Callable[[], T]) -> T:
    """Ask about one device, in a thread that is left behind when no answer comes in time.

    Args:
        device: Which; nothing more is asked about it until that question has an answer.
        question: Calls of pynvml; to be made through `ask`.

    Raises:
        NVMLError: What the driver says, or that it says nothing.
    """
    return _in_time(device, question, ANSWER_S)


def driver_version() -> str:
    """Return the version of the driver, e.g. `580.65.06`; to be called through `ask`."""
    return str(pynvml.nvmlSystemGetDriverVersion())


def handles() -> tuple[list[Handle], list[Fault]]:
    """Return every card and every part of a card, and the cards that fail; through `ask`."""
    found: list[Handle] = []
    faults: list[Fault] = []
    for index in range(about("count", pynvml.nvmlDeviceGetCount)):
        try:
            found += about(f"card {index}", partial(_of_card, index))
        except NVMLError as error:
            if is_stale(error):
                raise
            faults.append(fault_of(error, index))
    lost = {fault.index for fault in faults}
    before = {uuid: one for uuid, one in _state["handles"].items() if one.index in lost}
    _state["handles"] = before | {one.uuid: one for one in found}
    return found, faults


def handle_of(uuid: str) -> Handle:
    """Return one device by its UUID; to be called through `ask`."""
    if uuid not in _state["handles"]:
        handles()
    if uuid not in _state["handles"]:
        raise NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
    known: Handle = _state["handles"][uuid]
    return known


def memory_bytes(device: Any) -> tuple[int, int]:
    """Return (total, free) of a device in bytes, without what the driver keeps for itself."""
    for version in (pynvml.nvmlMemory_v2, None):
        try:
            memory = pynvml.nvmlDeviceGetMemoryInfo(device, version)
        except NVMLError as error:
            if error.value not in _UNSUPPORTED:
                raise
            continue
        return int(memory.total) - int(getattr(memory, "reserved", 0)), int(memory.free)
    # A GPU that shares the machine's memory (Jetson, DGX Spark) has none of its own to tell.
    shared = psutil.virtual_memory()
    return int(shared.total), int(shared.available)


def processes_of(device: Any) -> dict[int, int | None]:
    """Return the bytes that each process holds on a device; None where the driver hides it."""
    found: dict[int, int | None] = {}
    for read in (
        pynvml.nvmlDeviceGetComputeRunningProcesses,
        pynvml.nvmlDeviceGetGraphicsRunningProcesses,
    ):
        try:
            running = read(device)
        except (NVMLError, pynvml.NVMLLibraryMismatchError):
            continue  # nobody is left out of work because names cannot be told
        found |= {int(one.pid): one.usedGpuMemory for one in running}
    return found


def name_of(handle: Handle) -> str:
    """Return what the maker calls a device."""
    return str(pynvml.nvmlDeviceGetName(handle.device))


def reset() -> None:
    """Forget the driver, and what hangs in it: the next question starts it again."""
    with _lock:
        _watchdog.forget()
        _stop()


def _start() -> None:
    if not _state["started"]:
        _in_time("start", pynvml.nvmlInit, START_S)
        _state["started"] = True


def _stop() -> None:
    _state["handles"] = {}
    if _state["started"]:
        _state["started"] = False
        with contextlib.suppress(NVMLError):
            _in_time("stop", pynvml.nvmlShutdown, ANSWER_S)


def _in_time(what: str, question: Callable[[], T], seconds: float) -> T:
    try:
        return _watchdog.call(what, question, seconds=seconds)
    except NoAnswer as error:
        raise _Silent(pynvml.NVML_ERROR_TIMEOUT, str(error)) from None


def _of_card(index: int) -> list[Handle]:
    device = pynvml.nvmlDeviceGetHandleByIndex(index)
    bus = str(pynvml.nvmlDeviceGetPciInfo(device).busId)
    uuid = _uuid(device) or f"PCI-{bus}"
    split = _is_split(device)
    parts = list(_parts(index, device, bus, uuid)) if split else []
    return [Handle(index, uuid, bus, device, split=split), *parts]


def _parts(index: int, card: Any, bus: str, parent: str) -> Iterator[Handle]:
    for slot in range(pynvml.nvmlDeviceGetMaxMigDeviceCount(card)):
        try:
            part = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(card, slot)
        except NVMLError as error:
            if error.value in _NOT_THERE:
                continue
            raise
        uuid = _uuid(part)
        if uuid:  # without one it cannot be named to CUDA
            yield Handle(index, uuid, bus, part, mig=True, parent_uuid=parent)


def _is_split(card: Any) -> bool:
    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(card)
    except NVMLError as error:
        if error.value in _UNSUPPORTED:
            return False
        raise
    return bool(current == pynvml.NVML_DEVICE_MIG_ENABLE)


def _uuid(device: Any) -> str:
    try:
        return str(pynvml.nvmlDeviceGetUUID(device))
    except NVMLError as error:
        if error.value in _UNSUPPORTED | {pynvml.NVML_ERROR_NO_PERMISSION}:
            return ""
        raise
