"""Which GPUs this machine has, what is free on them, and how a process is given one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from dubarr_watch.errors import DeviceError
from dubarr_watch.gpu import nvml
from dubarr_watch.gpu.apple import MPS_UUID, apple_memory, is_apple, read_apple
from dubarr_watch.gpu.inventory import DriverState, Gpu, GpuProcess, Inventory, Memory
from dubarr_watch.gpu.mapping import CudaDevice, match_devices, pci_order, visible
from dubarr_watch.gpu.nvml import MIB, Fault, Handle, NVMLError
from dubarr_watch.settings import Device
from dubarr_watch.settings.sources import counts_by_bus, visible_devices

T = TypeVar("T")

__all__ = [
    "MPS_UUID",
    "CudaDevice",
    "DriverState",
    "Fault",
    "Gpu",
    "GpuProcess",
    "Inventory",
    "Memory",
    "child_environment",
    "find_gpu",
    "match_devices",
    "memory",
    "processes",
    "read_gpus",
    "read_inventory",
]


def read_inventory(device: Device | None = None) -> Inventory:
    """Look for GPUs; a machine without any is no error, and `problem` says why there is none.

    Args:
        device: DEVICE: with `cpu` nobody looks, with `mps` or `cuda` only for that kind.

    Raises:
        DeviceError: `cuda` or `mps` is asked for and there is none.
    """
    if device is Device.CPU:
        return Inventory(state=DriverState.UNUSED, problem="DEVICE=cpu: no GPU is used.")
    found = read_apple() if device is Device.MPS or (device is None and is_apple()) else _nvidia()
    if device is not None and not found.gpus:
        raise DeviceError(
            f"DEVICE={device}, but there is no such GPU: {found.problem}",
            hint=f"{found.hint} Or leave DEVICE unset.".strip(),
        )
    return found


def read_gpus(device: Device | None = None) -> list[Gpu]:
    """Return the devices that work can be put on.

    Raises:
        DeviceError: There is a driver, and it does not answer as it should.
    """
    found = read_inventory(device)
    if found.state is DriverState.FAILS:
        raise DeviceError(found.problem, hint=found.hint)
    return list(found.gpus)


def memory(uuid: str) -> Memory:
    """Return the memory of one device now; a few milliseconds, so fit for polling.

    Raises:
        DeviceError: It does not answer, even when the driver is started afresh, or hangs.
    """
    if uuid == MPS_UUID:
        return apple_memory()
    try:
        return nvml.ask(lambda: _about(uuid, _memory))
    except NVMLError as error:
        raise _lost(uuid, error) from None


def processes(uuid: str) -> tuple[GpuProcess, ...]:
    """Return who holds memory on a device, most first, as far as the driver tells.

    Raises:
        DeviceError: It does not answer, even when the driver is started afresh.
    """
    if uuid == MPS_UUID:
        return ()
    try:
        return nvml.ask(lambda: _about(uuid, _processes))
    except NVMLError as error:
        raise _lost(uuid, error) from None


def child_environment(uuid: str) -> dict[str, str]:
    """Return the variables with which a process sees one device, as its device 0, and no other.

    Args:
        uuid: The device; empty for a process that is to see none.

    Raises:
        DeviceError: The device has no UUID to name it by, and is not there any more.
    """
    if uuid == MPS_UUID:
        # What Metal cannot do yet runs on the CPU instead of failing.
        return {"CUDA_VISIBLE_DEVICES": "", "PYTORCH_ENABLE_MPS_FALLBACK": "1"}
    name = _ordinal(uuid) if uuid.startswith("PCI-") else uuid
    return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": name}


def find_gpu(uuid: str) -> Gpu | None:
    """Return a device whatever CUDA_VISIBLE_DEVICES hides; None when it is not there.

    Raises:
        DeviceError: The driver does not answer.
    """
    try:
        _, _, whole, _ = nvml.ask(_read_all)
    except NVMLError as error:
        raise _lost(uuid, error) from None
    return next((gpu for gpu in whole if gpu.uuid == uuid), None)


def _nvidia() -> Inventory:
    try:
        driver, handles, whole, faults = nvml.ask(_read_all)
    except NVMLError as error:
        return _without_driver(nvml.fault_of(error))
    mask = visible_devices()
    allowed, ignored = visible(whole, mask)
    split = {one.uuid for one in handles if one.split}
    usable = [gpu for gpu in whole if gpu.uuid not in split]
    gpus = tuple(gpu for gpu in usable if gpu.uuid in allowed)
    problem, hint = ("", "") if gpus else _why_none(faults, usable, bool(split))
    return Inventory(
        gpus=gpus,
        problem=problem,
        hint=hint,
        driver=driver,
        faults=tuple(faults),
        hidden=tuple(gpu for gpu in usable if gpu.uuid not in allowed),
        split=tuple(gpu for gpu in whole if gpu.uuid in split),
        notes=tuple(_notes(whole, mask, ignored)),
    )


def _read_all() -> tuple[str, list[Handle], list[Gpu], list[Fault]]:
    handles, faults = nvml.handles()
    whole: list[Gpu] = []
    for handle in handles:
        try:
            whole.append(nvml.about(handle.uuid, partial(_gpu, handle)))
        except NVMLError as error:
            if nvml.is_stale(error):
                raise
            faults.append(nvml.fault_of(error, handle.index))
    return nvml.about("driver", nvml.driver_version), handles, whole, faults


def _without_driver(fault: Fault) -> Inventory:
    if fault.absent:
        problem = "There is no NVIDIA driver on this machine."
        return Inventory(state=DriverState.ABSENT, problem=problem, hint=fault.hint)
    problem = f"The NVIDIA driver does not answer: {fault.words}."
    return Inventory(
        state=DriverState.FAILS,
        problem=problem.replace("..", "."),
        hint=fault.hint,
        faults=(fault,),
    )


def _why_none(faults: Sequence[Fault], usable: Sequence[Gpu], split: bool) -> tuple[str, str]:
    if usable:
        return (
            f"CUDA_VISIBLE_DEVICES={visible_devices()} hides every GPU.",
            "Unset it, or set it to UUIDs that `nvidia-smi -L` shows.",
        )
    if split:
        return (
            "The GPU is in MIG mode and not divided into parts yet.",
            "Make parts (`sudo nvidia-smi mig -cgi ... -C`), or turn MIG off "
            "(`sudo nvidia-smi -mig 0`).",
        )
    if faults:
        return f"GPU {faults[0].index} does not answer: {faults[0].words}.", faults[0].hint
    return (
        "The NVIDIA driver works, and knows of no GPU.",
        "Look for the card with `lspci`; a container must be given it (`gpus: all`).",
    )


def _notes(whole: Sequence[Gpu], mask: str | None, ignored: str) -> list[str]:
    notes = []
    if ignored:
        notes.append(
            f"CUDA_VISIBLE_DEVICES={mask}: '{ignored}' names no GPU, or names one twice; "
            "CUDA ignores it and all that follows."
        )
    unequal = len({gpu.name for gpu in whole if not gpu.mig}) > 1
    if mask and mask.strip()[:1].isdecimal() and unequal and not counts_by_bus():
        notes.append(
            f"CUDA_VISIBLE_DEVICES={mask} is read as nvidia-smi counts; other programs may count "
            "the fastest GPU first. UUIDs leave no doubt."
        )
    return notes


def _gpu(handle: Handle) -> Gpu:
    held = _memory(handle)
    return Gpu(
        index=handle.index,
        uuid=handle.uuid,
        name=nvml.name_of(handle),
        pci_bus_id=handle.pci_bus_id,
        total_mib=held.total_mib,
        used_mib=held.used_mib,
        free_mib=held.free_mib,
        processes=_processes(handle),
        mig=handle.mig,
        parent_uuid=handle.parent_uuid,
    )


def _about(uuid: str, question: Callable[[Handle], T]) -> T:
    return nvml.about(uuid, partial(question, nvml.handle_of(uuid)))


def _memory(handle: Handle) -> Memory:
    total, free = nvml.memory_bytes(handle.device)
    return Memory(total // MIB, max(0, total // MIB - free // MIB), free // MIB)


def _processes(handle: Handle) -> tuple[GpuProcess, ...]:
    held = nvml.processes_of(handle.device)
    found = [GpuProcess(pid, None if used is None else used // MIB) for pid, used in held.items()]
    return tuple(sorted(found, key=lambda one: (-(one.mib or 0), one.pid)))


def _lost(uuid: str, error: NVMLError) -> DeviceError:
    fault = nvml.fault_of(error)
    return DeviceError(f"{uuid} does not answer: {fault.words}.", hint=fault.hint)


def _ordinal(uuid: str) -> str:
    """Return the number of a device that the driver tells no UUID of: CUDA takes nothing else."""
    try:
        _, _, whole, _ = nvml.ask(_read_all)
    except NVMLError as error:
        raise _lost(uuid, error) from None
    cards = [gpu.uuid for gpu in pci_order(whole)]
    if uuid not in cards:
        raise DeviceError(f"{uuid} is not there any more.", hint="Look at it with `nvidia-smi`.")
    return str(cards.index(uuid))
