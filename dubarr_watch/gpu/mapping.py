"""Which card is which: CUDA_VISIBLE_DEVICES, and NVML's cards among CUDA's.

NVML counts cards in the order of their PCI bus ids, CUDA puts the fastest first unless
CUDA_DEVICE_ORDER=PCI_BUS_ID, and neither promises to keep its order. Only UUIDs name a card.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

MEMORY_TOLERANCE = 0.05
"""CUDA tells less memory than NVML: it leaves out what the driver reserves, about 1 to 3 %."""


class Card(Protocol):
    """What is needed to tell a card: satisfied by `devices.Gpu`."""

    @property
    def index(self) -> int: ...  # noqa: D102
    @property
    def uuid(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def pci_bus_id(self) -> str: ...  # noqa: D102
    @property
    def total_mib(self) -> int: ...  # noqa: D102
    @property
    def parent_uuid(self) -> str: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class CudaDevice:
    """A device as CUDA, or torch, tells it.

    Attributes:
        ordinal: Its number in this process.
        name: As CUDA tells it.
        total_mib: Memory in MiB.
        uuid: With or without `GPU-`; empty where it cannot be read.
        pci_bus_id: With or without leading zeros of the domain; empty where unknown.
    """

    ordinal: int
    name: str
    total_mib: int
    uuid: str = ""
    pci_bus_id: str = ""


def same_uuid(one: str, other: str) -> bool:
    """Tell whether two UUIDs are the same, whatever their prefix: torch leaves out `GPU-`."""
    return bool(_bare(one)) and _bare(one) == _bare(other)


def same_bus(one: str, other: str) -> bool:
    """Tell whether two PCI bus ids are the same: NVML writes the domain with 8 digits, CUDA 4."""
    return bool(_bus(one)) and _bus(one) == _bus(other)


def same_kind(name: str, total_mib: int, other_name: str, other_mib: int) -> bool:
    """Tell whether name and memory may be of the same card, or of two equal ones."""
    near = abs(total_mib - other_mib) <= MEMORY_TOLERANCE * max(total_mib, other_mib)
    return near and _plain(name) == _plain(other_name)


def match_devices(gpus: Sequence[Card], cuda: Sequence[CudaDevice]) -> dict[int, Card]:
    """Return which card each of CUDA's ordinals is; an ordinal that fits none is left out.

    By UUID; where one cannot be read, by PCI bus id; where that is unknown too, by name and
    memory, equal cards in the order of their PCI bus ids. No card is given to two ordinals. The
    last needs CUDA_DEVICE_ORDER=PCI_BUS_ID, which every process of ours gets.
    """
    found: dict[int, Card] = {}
    left = sorted(gpus, key=lambda gpu: _bus(gpu.pci_bus_id))
    for fits in (_fits_uuid, _fits_bus, _fits_kind):
        for device in sorted(cuda, key=lambda one: one.ordinal):
            if device.ordinal in found:
                continue
            if match := next((gpu for gpu in left if fits(gpu, device)), None):
                found[device.ordinal] = match
                left = [gpu for gpu in left if gpu is not match]
    return found


def visible(gpus: Iterable[Card], mask: str | None) -> tuple[set[str], str]:
    """Return the UUIDs of the devices that CUDA_VISIBLE_DEVICES allows, and what it ignores.

    As CUDA reads it: unset allows all, empty none; a list of indices, of `GPU-` or of `MIG-`
    UUIDs or their unambiguous beginnings, never mixed; a word that fits nothing hides itself and
    all after it; a word said twice hides everything. An index counts cards by PCI bus id, as
    nvidia-smi does and NVIDIA's guide of CUDA says of this variable; CUDA itself may put the
    fastest first, but in which order that is cannot be asked without starting CUDA. A card that
    is divided stands for all of its parts: each is handed out by itself.

    Args:
        gpus: All cards and parts of cards.
        mask: Value of the variable; None when it is unset.

    Returns:
        UUIDs, and the part of the list from the first bad word on; empty when all is well.
    """
    known = list(gpus)
    if mask is None:
        return {gpu.uuid for gpu in known}, ""
    words = [word.strip() for word in mask.split(",")] if mask.strip() else []
    if len(set(words)) < len(words):
        return set(), mask.strip()
    allowed: set[str] = set()
    for position, word in enumerate(words):
        uuid = _named(known, word) if _sort(word) == _sort(words[0]) else ""
        if not uuid:
            return allowed, ",".join(words[position:])
        allowed |= {gpu.uuid for gpu in known if uuid in (gpu.uuid, gpu.parent_uuid)}
    return allowed, ""


def pci_order(gpus: Iterable[Card]) -> list[Card]:
    """Return whole cards as CUDA counts them with CUDA_DEVICE_ORDER=PCI_BUS_ID."""
    whole = [gpu for gpu in gpus if not gpu.parent_uuid]
    return sorted(whole, key=lambda gpu: _bus(gpu.pci_bus_id))


def _named(gpus: list[Card], word: str) -> str:
    if word.isascii() and word.isdecimal():
        cards = pci_order(gpus)
        return cards[int(word)].uuid if int(word) < len(cards) else ""
    if not _sort(word):
        return ""
    fitting = {gpu.uuid for gpu in gpus if gpu.uuid.lower().startswith(word.lower())}
    return fitting.pop() if len(fitting) == 1 else ""


def _sort(word: str) -> str:
    if word.isascii() and word.isdecimal():
        return "index"
    return word[:4] if word[:4].upper() in ("GPU-", "MIG-") and len(word) > 4 else ""


def _fits_uuid(gpu: Card, device: CudaDevice) -> bool:
    return same_uuid(gpu.uuid, device.uuid)


def _fits_bus(gpu: Card, device: CudaDevice) -> bool:
    # The parts of a card share its bus id.
    return not (_told(gpu, device) or gpu.parent_uuid) and same_bus(
        gpu.pci_bus_id, device.pci_bus_id
    )


def _fits_kind(gpu: Card, device: CudaDevice) -> bool:
    if _told(gpu, device) or (device.pci_bus_id and gpu.pci_bus_id):
        return False
    return same_kind(gpu.name, gpu.total_mib, device.name, device.total_mib)


def _told(gpu: Card, device: CudaDevice) -> bool:
    """Tell whether both sides gave a UUID: then nothing weaker may contradict them."""
    return bool(_bare(gpu.uuid) and _bare(device.uuid))


def _bare(uuid: str) -> str:
    if uuid.startswith("PCI-"):
        return ""
    digits = uuid.lower().removeprefix("gpu-").removeprefix("mig-").replace("-", "")
    return digits.removeprefix("gpu")


def _bus(bus_id: str) -> tuple[int, ...]:
    """Return domain, bus, device and function as numbers, so that they sort and compare."""
    head, _, function = bus_id.partition(".")
    try:
        numbers = [int(part, 16) for part in head.split(":")]
        last = int(function, 16) if function else 0
    except ValueError:
        return ()
    return (*([0] * (3 - len(numbers))), *numbers, last)


def _plain(name: str) -> str:
    return " ".join(name.lower().removeprefix("nvidia").split())
