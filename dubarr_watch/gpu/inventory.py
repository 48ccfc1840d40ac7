"""What there is to run models on, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dubarr_watch.gpu.nvml import Fault


class DriverState(StrEnum):
    """How the driver answered."""

    WORKS = "works"
    ABSENT = "absent"
    """There is none: a machine without an NVIDIA GPU."""
    FAILS = "fails"
    UNUSED = "unused"
    """Nobody asked it: DEVICE=cpu, or the GPU is Apple's."""


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory of a GPU.

    Attributes:
        pid: As the driver counts; inside a container it may be a number of the host.
        mib: What it holds; None where the driver does not tell.
    """

    pid: int
    mib: int | None


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of a device in MiB; what the driver keeps for itself is in none of the three."""

    total_mib: int
    used_mib: int
    free_mib: int


@dataclass(frozen=True, slots=True)
class Gpu:
    """A device that work can be put on: a card, a MIG part of one, or Apple's GPU.

    Attributes:
        index: NVML's index, as nvidia-smi shows it; a part has its card's.
        uuid: `GPU-...`, `MIG-...`, `mps`; `PCI-<bus id>` where the driver tells no UUID.
        name: What its maker calls it.
        pci_bus_id: e.g. `00000000:65:00.0`; a part has its card's.
        total_mib: All that can be used.
        used_mib: In use when this was read.
        free_mib: Free when this was read.
        processes: Who holds memory on it, as far as the driver tells.
        mig: It is a part of a card.
        parent_uuid: The card that a part belongs to.
        kind: `cuda` or `mps`.
    """

    index: int
    uuid: str
    name: str
    pci_bus_id: str
    total_mib: int
    used_mib: int
    free_mib: int
    processes: tuple[GpuProcess, ...] = ()
    mig: bool = False
    parent_uuid: str = ""
    kind: str = "cuda"


@dataclass(frozen=True, slots=True)
class Inventory:
    """What there is.

    Attributes:
        gpus: Devices that work can be put on, by index; parts of a card by their place in it.
        state: How the driver answered.
        problem: Why there is no GPU, in one sentence; empty when there is one.
        hint: What the user can do about it.
        driver: Version of the driver.
        faults: Cards that are there and do not answer; the others work on.
        hidden: Devices that CUDA_VISIBLE_DEVICES hides.
        split: Cards that are divided into MIG parts, which are listed instead.
        notes: What the user should know though all works.
    """

    gpus: tuple[Gpu, ...] = ()
    state: DriverState = DriverState.WORKS
    problem: str = ""
    hint: str = ""
    driver: str = ""
    faults: tuple[Fault, ...] = ()
    hidden: tuple[Gpu, ...] = ()
    split: tuple[Gpu, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Return where engines run unless told otherwise: `cuda`, `mps` or `cpu`."""
        return self.gpus[0].kind if self.gpus else "cpu"

    def by_uuid(self, uuid: str) -> Gpu | None:
        """Return one device that work can be put on."""
        return next((gpu for gpu in self.gpus if gpu.uuid == uuid), None)

    def by_index(self, index: int) -> Gpu | None:
        """Return the device with an index as nvidia-smi counts; the first part of a split card."""
        return next((gpu for gpu in self.gpus if gpu.index == index), None)
