"""The GPU of an Apple machine, told without loading anything: it shares the machine's memory."""

from __future__ import annotations

import platform

import psutil

from dubarr_watch.gpu.inventory import DriverState, Gpu, Inventory, Memory

MIB = 2**20

MPS_UUID = "mps"
"""Names the GPU of an Apple machine, which has no UUID: there is never more than one."""

MPS_SHARE = 2 / 3
"""Part of an Apple machine's memory that Metal lets its GPU use (recommendedMaxWorkingSetSize)."""


def is_apple() -> bool:
    """Tell whether this machine has Apple's own processor, and so its GPU."""
    return platform.system() == "Darwin" and platform.machine() == "arm64"


def read_apple() -> Inventory:
    """Return the GPU of this machine when it is Apple's."""
    if not is_apple():
        return Inventory(
            state=DriverState.UNUSED,
            problem="MPS is the GPU of Apple machines, and this is none.",
        )
    held = apple_memory()
    gpu = Gpu(
        index=0,
        uuid=MPS_UUID,
        name="Apple GPU",
        pci_bus_id="",
        total_mib=held.total_mib,
        used_mib=held.used_mib,
        free_mib=held.free_mib,
        kind="mps",
    )
    return Inventory(gpus=(gpu,), state=DriverState.UNUSED)


def apple_memory() -> Memory:
    """Return what the GPU may use now of the memory that it shares with the machine."""
    machine = psutil.virtual_memory()
    total = int(machine.total * MPS_SHARE) // MIB
    free = min(total, int(machine.available) // MIB)
    return Memory(total, total - free, free)
