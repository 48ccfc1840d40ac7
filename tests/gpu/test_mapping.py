"""NVML's cards among CUDA's devices."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubarr_watch.gpu.devices import CudaDevice, Gpu, match_devices
from dubarr_watch.gpu.mapping import MEMORY_TOLERANCE, same_bus, same_kind, same_uuid

NAME = "NVIDIA GeForce RTX 3090"
UUIDS = [f"{digit * 8}-aaaa-4bbb-8ccc-00000000000{digit}" for digit in "123"]


def gpu(number: int, name: str = NAME, mib: int = 24000, bus: str = "", uuid: str = "") -> Gpu:
    return Gpu(
        index=number,
        uuid=uuid or f"GPU-{UUIDS[number]}",
        name=name,
        pci_bus_id=bus or f"00000000:{number + 1}1:00.0",
        total_mib=mib,
        used_mib=0,
        free_mib=mib,
    )


def cuda(number: int, name: str = NAME, mib: int = 23800, **more: str) -> CudaDevice:
    return CudaDevice(number, name, mib, **more)


def indices(gpus: list[Gpu], devices: list[CudaDevice]) -> dict[int, int]:
    return {ordinal: found.index for ordinal, found in match_devices(gpus, devices).items()}


def test_torch_leaves_out_the_prefix() -> None:
    assert same_uuid(f"GPU-{UUIDS[0]}", UUIDS[0])
    assert same_uuid(f"GPU-{UUIDS[0].upper()}", UUIDS[0])
    assert same_uuid(f"MIG-{UUIDS[0]}", UUIDS[0])
    assert not same_uuid(f"GPU-{UUIDS[0]}", UUIDS[1])
    assert not same_uuid("", "")
    assert not same_uuid("PCI-00000000:11:00.0", "PCI-00000000:11:00.0")


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_uuids_decide_in_any_order(order: tuple[int, ...]) -> None:
    """The order of NVML says nothing about CUDA's."""
    devices = [cuda(ordinal, uuid=UUIDS[card]) for ordinal, card in enumerate(order)]
    assert indices([gpu(0), gpu(1), gpu(2)], devices) == dict(enumerate(order))


def test_buses_decide_where_uuids_cannot_be_read() -> None:
    """CUDA writes the domain with four digits, NVML with eight."""
    devices = [cuda(0, pci_bus_id="0000:21:00.0"), cuda(1, pci_bus_id="0000:11:00.0")]
    assert indices([gpu(0), gpu(1)], devices) == {0: 1, 1: 0}
    assert same_bus("00000000:0A:00.0", "0000:0a:00.0")
    assert not same_bus("00000001:0A:00.0", "0000:0a:00.0")
    assert not same_bus("", "")
    assert not same_bus("?", "?")


def test_two_equal_cards_are_never_one() -> None:
    """By name and memory alone both fit both: the order of their buses tells them apart."""
    assert indices([gpu(0), gpu(1)], [cuda(0), cuda(1)]) == {0: 0, 1: 1}
    turned = [gpu(0, bus="00000000:91:00.0"), gpu(1, bus="00000000:11:00.0")]
    assert indices(turned, [cuda(0), cuda(1)]) == {0: 1, 1: 0}


def test_buses_are_ordered_as_numbers() -> None:
    """9 comes before A, and a domain before all."""
    cards = [gpu(0, bus="00000001:01:00.0"), gpu(1, bus="00000000:A1:00.0")]
    assert indices(cards, [cuda(0), cuda(1)]) == {0: 1, 1: 0}


def test_unequal_cards_are_told_by_name_and_memory() -> None:
    """CUDA puts the fastest first, NVML does not."""
    cards = [gpu(0), gpu(1, name="NVIDIA A100-SXM4-40GB", mib=40000)]
    devices = [cuda(0, name="NVIDIA A100-SXM4-40GB", mib=39500), cuda(1)]
    assert indices(cards, devices) == {0: 1, 1: 0}


def test_a_known_uuid_is_never_overruled() -> None:
    """A card that looks the same and tells another UUID is another."""
    assert indices([gpu(0)], [cuda(0, uuid=UUIDS[1])]) == {}


def test_what_is_told_apart_leaves_the_rest() -> None:
    """One UUID can be read, the other card is then the one that is left."""
    assert indices([gpu(0), gpu(1)], [cuda(0, uuid=UUIDS[1]), cuda(1)]) == {0: 1, 1: 0}


def test_memory_may_differ_a_little() -> None:
    """Both sides of the limit."""
    within = round(24000 * (1 - MEMORY_TOLERANCE))
    assert same_kind(NAME, 24000, "GeForce  RTX 3090", within)
    assert not same_kind(NAME, 24000, NAME, within - 1)
    assert not same_kind(NAME, 24000, "NVIDIA GeForce RTX 3090 Ti", 24000)


def test_parts_of_a_card_are_not_told_by_its_bus() -> None:
    """They share it."""
    part = Gpu(0, "MIG-x", "MIG 1g", "00000000:11:00.0", 4864, 0, 4864, (), True, "GPU-parent")
    assert match_devices([part], [cuda(0, pci_bus_id="0000:11:00.0")]) == {}


@given(st.permutations(range(3)), st.lists(st.booleans(), min_size=3, max_size=3))
def test_no_card_is_given_twice(order: list[int], told: list[bool]) -> None:
    """Whatever can be read of three equal cards, three ordinals are three cards."""
    devices = [
        cuda(ordinal, uuid=UUIDS[card] if told[ordinal] else "")
        for ordinal, card in enumerate(order)
    ]
    found = indices([gpu(0), gpu(1), gpu(2)], devices)
    assert sorted(found.values()) == [0, 1, 2]
    assert all(found[ordinal] == card for ordinal, card in enumerate(order) if told[ordinal])
