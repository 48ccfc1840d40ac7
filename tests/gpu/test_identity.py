"""A model process makes sure of its GPU: real processes, CUDA's driver library stood in for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.errors import DeviceError
from dubarr_watch.gpu.devices import MPS_UUID, child_environment, read_inventory
from dubarr_watch.gpu.identity import assert_gpu
from tests.gpu.fake_driver import FIRST, SECOND, Card, FakeDriver, Part, build

PROGRAM = """
import sys
from dubarr_watch.errors import DeviceError
from dubarr_watch.gpu.identity import assert_gpu
try:
    assert_gpu(sys.argv[1])
except DeviceError as error:
    sys.exit(str(error))
assert "torch" not in sys.modules
print("sure")
"""

REVERSED = (SECOND.uuid, FIRST.uuid)
CARD = Card("GPU-44444444-aaaa-4bbb-8ccc-000000000004", bus="00000000:41:00.0", split=True)
PARTS = (
    Part(CARD.uuid, "MIG-55555555-aaaa-5bbb-8ccc-000000000005"),
    Part(CARD.uuid, "MIG-66666666-aaaa-5bbb-8ccc-000000000006"),
)


def run(driver: FakeDriver, uuid: str, **changes: str) -> tuple[bool, str]:
    """Run a program on a leased device; return whether it was sure, and what it said."""
    with driver.installed():
        own: Mapping[str, str] = dict(os.environ) | child_environment(uuid) | changes
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, uuid], env=own, capture_output=True, text=True
        )
    assert "Traceback" not in done.stderr
    return done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("uuid", [FIRST.uuid, SECOND.uuid])
@pytest.mark.parametrize("order", [(FIRST.uuid, SECOND.uuid), REVERSED])
def test_a_leased_card_is_device_0(tmp_path: Path, uuid: str, order: tuple[str, ...]) -> None:
    """Each of two equal cards, in whatever order CUDA counts them."""
    assert run(build(tmp_path, cuda_order=order), uuid) == (True, "sure\n")


def test_an_index_would_have_been_the_other_card(tmp_path: Path) -> None:
    """What goes wrong with NVML's index in CUDA's order is noticed, and both cards are named."""
    driver = build(tmp_path, cuda_order=REVERSED)
    sure, words = run(driver, FIRST.uuid, CUDA_VISIBLE_DEVICES="0", CUDA_DEVICE_ORDER="")
    assert not sure
    assert FIRST.uuid in words
    assert SECOND.uuid.removeprefix("GPU-") in words


def test_a_wrong_card_is_refused(tmp_path: Path) -> None:
    """Whatever the reason that CUDA gives another."""
    driver = build(tmp_path)
    driver.set(cuda_deaf=True)
    assert run(driver, FIRST.uuid)[0]
    assert not run(driver, SECOND.uuid)[0]


def test_a_part_of_a_card_is_known_by_its_own_uuid(tmp_path: Path) -> None:
    """Not by that of its card."""
    driver = build(tmp_path, CARD, parts=PARTS, cuda_order=[PARTS[0].uuid])
    assert run(driver, PARTS[1].uuid)[0]
    driver.set(cuda_deaf=True)
    assert run(driver, PARTS[0].uuid)[0]
    assert not run(driver, PARTS[1].uuid)[0]


def test_a_card_that_is_gone_is_told(tmp_path: Path) -> None:
    """Its UUID names nothing any more, so CUDA shows nothing."""
    sure, words = run(build(tmp_path, FIRST), SECOND.uuid)
    assert not sure
    assert "CUDA sees no GPU" in words
    assert SECOND.uuid in words


def test_a_cuda_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    driver = build(tmp_path)
    driver.set(cuda_code=803)
    sure, words = run(driver, FIRST.uuid)
    assert not sure
    assert "unknown error (803)" in words


def test_equal_cards_without_uuids_are_told_by_their_buses(tmp_path: Path) -> None:
    """Where NVML has no UUID, CUDA's bus id is what tells them apart."""
    mute = [replace(FIRST, tells_uuid=False), replace(SECOND, tells_uuid=False)]
    driver = build(tmp_path, *mute, cuda_order=REVERSED)
    with driver.installed():
        one, other = (gpu.uuid for gpu in read_inventory().gpus)
    assert run(driver, one) == (True, "sure\n")
    assert run(driver, other) == (True, "sure\n")
    sure, words = run(driver, one, CUDA_VISIBLE_DEVICES="1")
    assert not sure
    assert FIRST.bus in words


def test_name_and_memory_decide_where_nothing_else_can_be_read(tmp_path: Path) -> None:
    """It goes on with a warning; a card that is plainly another is refused."""
    small = Card("GPU-77777777-aaaa-4bbb-8ccc-000000000007", "NVIDIA T4", "00000000:C1:00.0", 15000)
    driver = build(tmp_path, FIRST, small)
    driver.set(cuda_uuids=False)
    sure, words = run(driver, FIRST.uuid)
    assert sure
    assert "gpu known by name and memory only" in words
    sure, words = run(driver, FIRST.uuid, CUDA_VISIBLE_DEVICES=small.uuid)
    assert not sure
    assert "NVIDIA T4" in words


def test_without_a_lease_of_a_gpu_nothing_is_checked() -> None:
    """The CPU and Apple's GPU have no UUID."""
    assert_gpu("")
    assert_gpu(MPS_UUID)


def test_a_missing_cuda_library_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The driver is half installed, or the container was not given it."""
    monkeypatch.setattr("dubarr_watch.gpu.identity.LIBRARY", "libcuda-that-is-not-there.so")
    with pytest.raises(DeviceError, match="cannot be loaded"):
        assert_gpu(FIRST.uuid)
