"""Which GPUs there are, through the real pynvml and a driver that tests compile."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dubarr_watch.errors import DeviceError
from dubarr_watch.gpu import nvml
from dubarr_watch.gpu.deadline import Watchdog
from dubarr_watch.gpu.devices import (
    DriverState,
    GpuProcess,
    Memory,
    child_environment,
    memory,
    processes,
    read_gpus,
    read_inventory,
)
from dubarr_watch.settings import Device
from tests.gpu.fake_driver import (
    FIRST,
    HANGS,
    MISMATCH,
    NOT_LOADED,
    SECOND,
    Card,
    FakeDriver,
    Part,
    build,
    hold_from_here,
    no_driver,
)
from tests.waiting import eventually

BIG = Card(
    "GPU-33333333-aaaa-4bbb-8ccc-000000000003",
    name="NVIDIA A100-SXM4-40GB",
    bus="00000000:C1:00.0",
    total_mib=40000,
)
SPLIT = Card(
    "GPU-44444444-aaaa-4bbb-8ccc-000000000004",
    name="NVIDIA A100-SXM4-40GB",
    bus="00000000:41:00.0",
    total_mib=40000,
    split=True,
)
PARTS = (
    Part(SPLIT.uuid, "MIG-55555555-aaaa-5bbb-8ccc-000000000005"),
    Part(SPLIT.uuid, "MIG-66666666-aaaa-5bbb-8ccc-000000000006", total_mib=9856),
)


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[FakeDriver]:
    with build(tmp_path).installed() as installed:
        yield installed


def with_cards(tmp_path: Path, *cards: Card, parts: tuple[Part, ...] = ()) -> FakeDriver:
    return build(tmp_path, *cards, parts=parts)


def test_two_equal_cards_are_two_devices(driver: FakeDriver) -> None:
    """Name and memory are the same; UUID and PCI bus id are not."""
    one, other = read_inventory().gpus
    assert (one.uuid, other.uuid) == (FIRST.uuid, SECOND.uuid)
    assert (one.index, other.index) == (0, 1)
    assert (one.pci_bus_id, other.pci_bus_id) == (FIRST.bus, SECOND.bus)
    assert one.name == other.name == "NVIDIA GeForce RTX 3090"
    assert one.kind == "cuda"
    assert not one.mig
    assert read_inventory().kind == "cuda"


def test_what_the_driver_keeps_is_no_memory_of_ours(driver: FakeDriver) -> None:
    """A request for all that is told must be one that can be granted."""
    driver.set_used(FIRST.uuid, 1500)
    assert memory(FIRST.uuid) == Memory(24000, 1500, 22500)
    assert read_gpus()[0].total_mib == 24000


def test_an_older_driver_counts_its_own_memory_as_used(driver: FakeDriver) -> None:
    """Before version 510 it does not tell what it keeps: what is free is right all the same."""
    driver.set(memory_v2=False)
    driver.set_used(FIRST.uuid, 1500)
    assert memory(FIRST.uuid) == Memory(24400, 1900, 22500)


def test_memory_is_read_afresh_each_time(driver: FakeDriver) -> None:
    """Polling sees what changed between two questions."""
    assert memory(SECOND.uuid).used_mib == 0
    driver.set_used(SECOND.uuid, 8000)
    assert memory(SECOND.uuid).free_mib == 16000
    assert memory(FIRST.uuid).free_mib == 24000


def test_memory_may_come_back_late(driver: FakeDriver) -> None:
    """The driver shows freed memory only some reads later."""
    driver.come_back_late(FIRST.uuid, 3000, reads=3)
    assert [memory(FIRST.uuid).used_mib for _ in range(5)] == [3000, 3000, 3000, 0, 0]


def test_processes_are_told_most_memory_first(driver: FakeDriver) -> None:
    """Whoever holds memory can be named, even where the driver hides how much."""
    driver.hold(FIRST.uuid, 4001, 500, tied=False)
    driver.hold(FIRST.uuid, 4002, 2500, tied=False)
    driver.hold(SECOND.uuid, 4003, -1, tied=False)
    assert processes(FIRST.uuid) == (GpuProcess(4002, 2500), GpuProcess(4001, 500))
    assert processes(SECOND.uuid) == (GpuProcess(4003, None),)
    assert read_gpus()[0].processes == processes(FIRST.uuid)


def test_memory_of_a_killed_process_comes_back(driver: FakeDriver) -> None:
    """The driver frees it when the process is gone, even before anybody has waited for it."""
    code = (
        "import sys, pathlib\n"
        "from tests.gpu.fake_driver import hold_from_here\n"
        f"hold_from_here(pathlib.Path({str(driver.folder)!r}), {FIRST.uuid!r}, 6000)\n"
        "print('holding', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "holding\n"
        assert memory(FIRST.uuid).used_mib == 6000
        assert processes(FIRST.uuid) == (GpuProcess(child.pid, 6000),)
        child.kill()
        psutil.wait_procs([psutil.Process(child.pid)], timeout=10)
        assert memory(FIRST.uuid).used_mib == 0
        assert processes(FIRST.uuid) == ()


def test_memory_of_an_ended_process_may_linger(driver: FakeDriver) -> None:
    """As on real cards it takes the driver a while."""
    with subprocess.Popen([sys.executable, "-c", ""]) as child:
        driver.hold(FIRST.uuid, child.pid, 700, linger_reads=2)
    assert [memory(FIRST.uuid).used_mib for _ in range(4)] == [700, 700, 0, 0]


def test_hold_from_here_counts_for_this_process(driver: FakeDriver) -> None:
    hold_from_here(driver.folder, FIRST.uuid, 300)
    assert processes(FIRST.uuid) == (GpuProcess(os.getpid(), 300),)
    driver.release(os.getpid())
    assert memory(FIRST.uuid).used_mib == 0


def test_no_driver_is_no_error() -> None:
    """A machine without a GPU has an empty inventory that says why."""
    with no_driver():
        found = read_inventory()
        assert found.gpus == ()
        assert found.state is DriverState.ABSENT
        assert found.kind == "cpu"
        assert "no NVIDIA driver" in found.problem
        assert "install its driver" in found.hint
        assert read_gpus() == []


@pytest.mark.parametrize(
    ("code", "words", "hint"),
    [
        (NOT_LOADED, "Driver Not Loaded", "modprobe"),
        (MISMATCH, "version mismatch", "restart the machine"),
        (999, "Unknown Error", "dmesg"),
    ],
)
def test_a_failing_driver_is_told_with_its_words(
    driver: FakeDriver, code: int, words: str, hint: str
) -> None:
    """It is no machine without a GPU: somebody must repair it."""
    driver.fail(code)
    found = read_inventory()
    assert (found.gpus, found.state) == ((), DriverState.FAILS)
    assert words in found.problem
    assert hint in found.hint
    with pytest.raises(DeviceError, match=words):
        read_gpus()
    with pytest.raises(DeviceError, match=words):
        memory(FIRST.uuid)


def test_a_driver_that_works_again_is_used_again(driver: FakeDriver) -> None:
    """Nobody needs to restart the daemon after `modprobe nvidia`."""
    driver.fail(NOT_LOADED)
    assert read_inventory().gpus == ()
    driver.restart()
    assert len(read_inventory().gpus) == 2


def test_a_driver_that_forgot_us_is_started_afresh(driver: FakeDriver) -> None:
    """A question after a reload of the driver is answered like any other."""
    assert memory(FIRST.uuid).used_mib == 0
    driver.restart()
    driver.set_used(FIRST.uuid, 100)
    assert memory(FIRST.uuid).used_mib == 100


def test_a_reloaded_driver_may_count_in_another_order(driver: FakeDriver) -> None:
    """What it called by a number before is another card now."""
    assert memory(FIRST.uuid).used_mib == 0
    driver.set(cards=[SECOND, FIRST])
    driver.restart()
    driver.set_used(FIRST.uuid, 900)
    assert memory(SECOND.uuid).used_mib == 0
    assert memory(FIRST.uuid).used_mib == 900


def test_a_lost_card_is_left_out_and_the_other_works_on(driver: FakeDriver) -> None:
    """A card that falls off the bus between two questions is named with what to do."""
    assert memory(SECOND.uuid).total_mib == 24000
    driver.lose(FIRST.uuid)
    found = read_inventory()
    assert [gpu.uuid for gpu in found.gpus] == [SECOND.uuid]
    assert found.gpus[0].index == 1
    assert [(fault.index, fault.words) for fault in found.faults] == [(0, "GPU is lost")]
    assert "power" in found.faults[0].hint
    assert memory(SECOND.uuid).total_mib == 24000
    with pytest.raises(DeviceError, match=r"GPU-11111111.*does not answer"):
        memory(FIRST.uuid)
    with pytest.raises(DeviceError, match="does not answer"):
        processes(FIRST.uuid)


def test_a_card_that_is_found_again_is_used_again(driver: FakeDriver) -> None:
    """The handle of before its loss is not asked any more."""
    driver.lose(FIRST.uuid)
    with pytest.raises(DeviceError):
        memory(FIRST.uuid)
    driver.find_again(FIRST.uuid)
    assert memory(FIRST.uuid).total_mib == 24000
    assert len(read_inventory().gpus) == 2


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "ANSWER_S", 0.4)
    monkeypatch.setattr(nvml, "START_S", 0.4)


def hanging() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "driver"]


def test_a_card_that_hangs_is_left_behind_and_the_other_works_on(
    driver: FakeDriver, impatient: None
) -> None:
    """One thread waits for it, however often it is asked; nobody else does."""
    assert memory(FIRST.uuid).free_mib == 24000
    driver.hang(FIRST.uuid)
    for _ in range(4):
        with pytest.raises(DeviceError, match=r"does not answer: it (said|has said) nothing for"):
            memory(FIRST.uuid)
        assert memory(SECOND.uuid).free_mib == 24000
        assert processes(SECOND.uuid) == ()
    assert len(hanging()) == 1
    driver.find_again(FIRST.uuid)
    eventually(lambda: not hanging())
    assert memory(FIRST.uuid).free_mib == 24000


def test_a_card_that_hangs_is_listed_as_one_that_does_not_answer(
    driver: FakeDriver, impatient: None
) -> None:
    driver.hang(FIRST.uuid)
    for _ in range(2):
        found = read_inventory()
        assert [gpu.uuid for gpu in found.gpus] == [SECOND.uuid]
        (fault,) = found.faults
        assert (fault.index, "nothing for" in fault.words) == (0, True)
        assert "restart the machine" in fault.hint
    driver.find_again(FIRST.uuid)
    eventually(lambda: not hanging())
    assert len(read_inventory().gpus) == 2


def test_a_card_that_is_lost_while_another_hangs_does_not_restart_the_driver(
    driver: FakeDriver, impatient: None
) -> None:
    """Ending the driver under a question that hangs may take the program with it."""
    memory(FIRST.uuid)
    driver.hang(FIRST.uuid)
    with pytest.raises(DeviceError, match="nothing for"):
        memory(FIRST.uuid)
    driver.lose(SECOND.uuid)
    with pytest.raises(DeviceError, match="GPU is lost"):
        memory(SECOND.uuid)
    driver.find_again(SECOND.uuid)
    assert memory(SECOND.uuid).free_mib == 24000
    driver.find_again(FIRST.uuid)
    eventually(lambda: not hanging())
    assert memory(FIRST.uuid).free_mib == 24000


def test_a_driver_that_hangs_when_it_starts_is_told(driver: FakeDriver, impatient: None) -> None:
    driver.fail(HANGS)
    nvml.reset()
    for _ in range(2):
        found = read_inventory()
        assert found.state is DriverState.FAILS
        assert found.problem.startswith("The NVIDIA driver does not answer: it ")
    driver.restart()
    eventually(lambda: not hanging())
    assert len(read_inventory().gpus) == 2


def test_a_call_that_is_slow_but_returns_is_waited_for() -> None:
    """And what it raises is its own, a time-out of its own too."""
    watchdog = Watchdog()
    assert watchdog.call("card", lambda: 7, seconds=20) == 7

    def late() -> None:
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        watchdog.call("card", late, seconds=20)
    assert not watchdog.any_hangs


def test_the_last_card_lost_says_so(tmp_path: Path) -> None:
    """An inventory without a GPU always has a reason."""
    with with_cards(tmp_path, FIRST).installed() as driver:
        driver.lose(FIRST.uuid)
        found = read_inventory()
        assert found.gpus == ()
        assert "GPU 0 does not answer: GPU is lost" in found.problem


def test_a_driver_without_any_card_says_so(driver: FakeDriver) -> None:
    driver.set(cards=[])
    assert "knows of no GPU" in read_inventory().problem


def test_parts_of_a_card_are_devices_and_the_card_is_none(tmp_path: Path) -> None:
    """Nothing can run on a card in MIG mode but on its parts."""
    with with_cards(tmp_path, FIRST, SPLIT, parts=PARTS).installed() as driver:
        found = read_inventory()
        assert [gpu.uuid for gpu in found.gpus] == [FIRST.uuid, *(part.uuid for part in PARTS)]
        one, other = found.gpus[1:]
        assert one.mig
        assert (one.index, one.parent_uuid, one.pci_bus_id) == (1, SPLIT.uuid, SPLIT.bus)
        assert (one.total_mib, other.total_mib) == (4864, 9856)
        assert [gpu.uuid for gpu in found.split] == [SPLIT.uuid]
        assert found.by_uuid(SPLIT.uuid) is None
        assert found.by_index(1) == one
        driver.hold(PARTS[1].uuid, 77, 1000, tied=False)
        assert memory(PARTS[1].uuid) == Memory(9856, 1000, 8856)
        assert memory(PARTS[0].uuid).used_mib == 0


def test_a_card_in_mig_mode_without_parts_says_what_to_do(tmp_path: Path) -> None:
    """MIG is switched on, and nobody has divided the card."""
    with with_cards(tmp_path, SPLIT).installed():
        found = read_inventory()
        assert found.gpus == ()
        assert "MIG mode" in found.problem
        assert "-mig 0" in found.hint


def test_a_card_without_a_uuid_is_named_by_its_bus(tmp_path: Path) -> None:
    """Two equal cards whose UUIDs cannot be read are two devices, and CUDA can be told which."""
    mute = [
        Card("GPU-0", bus="00000000:A1:00.0", tells_uuid=False),
        Card("GPU-1", bus="00000000:21:00.0", tells_uuid=False),
    ]
    with with_cards(tmp_path, *mute).installed():
        one, other = read_inventory().gpus
        assert (one.uuid, other.uuid) == ("PCI-00000000:A1:00.0", "PCI-00000000:21:00.0")
        assert child_environment(one.uuid)["CUDA_VISIBLE_DEVICES"] == "1"
        assert child_environment(other.uuid)["CUDA_VISIBLE_DEVICES"] == "0"
        with pytest.raises(DeviceError, match="not there any more"):
            child_environment("PCI-00000000:77:00.0")
        assert memory(one.uuid).total_mib == 24000


def test_a_child_sees_one_device_by_uuid() -> None:
    """Never by an index: NVML's are not CUDA's."""
    assert child_environment(SECOND.uuid) == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": SECOND.uuid,
    }
    assert child_environment("")["CUDA_VISIBLE_DEVICES"] == ""


@pytest.mark.parametrize(
    ("mask", "seen"),
    [
        ("", []),
        ("  ", []),
        ("0", [FIRST]),
        ("1", [SECOND]),
        ("1,0", [FIRST, SECOND]),
        ("2", []),
        ("-1", []),
        ("1,-1,0", [SECOND]),
        ("0,0", []),
        ("0,x", [FIRST]),
        (SECOND.uuid, [SECOND]),
        (SECOND.uuid.upper(), [SECOND]),
        ("GPU-2", [SECOND]),
        ("GPU-1,GPU-2", [FIRST, SECOND]),
        ("GPU-", []),
        ("GPU-9,GPU-1", []),
        ("GPU-1,0", [FIRST]),
        ("0,GPU-2", [FIRST]),
        ("none", []),
    ],
)
def test_only_what_cuda_visible_devices_allows_is_used(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch, mask: str, seen: list[Card]
) -> None:
    """As CUDA reads it; the rest is known as hidden."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", mask)
    found = read_inventory()
    assert {gpu.uuid for gpu in found.gpus} == {card.uuid for card in seen}
    assert len(found.gpus) + len(found.hidden) == 2
    assert ("hides every GPU" in found.problem) is (not seen)


def test_an_ambiguous_beginning_names_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA takes the beginning of a UUID only when no other card shares it."""
    twin = Card("GPU-11111111-ffff-4bbb-8ccc-000000000009", bus="00000000:22:00.0")
    with with_cards(tmp_path, FIRST, twin).installed():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-11111111")
        assert read_inventory().gpus == ()
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-11111111-f")
        assert [gpu.uuid for gpu in read_inventory().gpus] == [twin.uuid]


def test_indices_count_by_bus_whatever_nvml_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NVML promises no order; nvidia-smi and CUDA_DEVICE_ORDER=PCI_BUS_ID have one."""
    with with_cards(tmp_path, SECOND, FIRST).installed():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        assert [gpu.uuid for gpu in read_inventory().gpus] == [FIRST.uuid]


def test_indices_among_unequal_cards_are_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CUDA itself may count the fastest first: the user should hear of it, unless it is settled."""
    with with_cards(tmp_path, FIRST, BIG).installed():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
        assert "fastest" in read_inventory().notes[0]
        monkeypatch.setenv("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        assert read_inventory().notes == ()
        monkeypatch.delenv("CUDA_DEVICE_ORDER")
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", BIG.uuid)
        assert read_inventory().notes == ()


def test_a_word_that_names_nothing_is_told(
    driver: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,7,0")
    found = read_inventory()
    assert [gpu.uuid for gpu in found.gpus] == [SECOND.uuid]
    assert "'7,0'" in found.notes[0]


def test_a_part_is_allowed_by_its_uuid_and_by_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each part is handed out by itself, so a card stands for all of its parts."""
    with with_cards(tmp_path, FIRST, SPLIT, parts=PARTS).installed():
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", PARTS[1].uuid)
        assert [gpu.uuid for gpu in read_inventory().gpus] == [PARTS[1].uuid]
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
        assert {gpu.uuid for gpu in read_inventory().gpus} == {part.uuid for part in PARTS}


def test_device_cpu_asks_no_driver(driver: FakeDriver) -> None:
    """A driver that hangs or fails cannot disturb a machine that is not to use it."""
    driver.fail(MISMATCH)
    found = read_inventory(Device.CPU)
    assert (found.gpus, found.state, found.kind) == ((), DriverState.UNUSED, "cpu")


def test_device_cuda_without_a_gpu_is_an_error() -> None:
    """What the user asked for cannot be had, and that is said with a way out."""
    with no_driver(), pytest.raises(DeviceError, match="DEVICE=cuda") as raised:
        read_inventory(Device.CUDA)
    assert "leave DEVICE unset" in raised.value.hint


def test_device_mps_is_for_apple_machines(driver: FakeDriver) -> None:
    with pytest.raises(DeviceError, match=r"DEVICE=mps.*Apple"):
        read_inventory(Device.MPS)


def test_an_apple_machine_has_one_gpu(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> None:
    """It shares the machine's memory, and nothing is loaded to find it."""
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    for wanted in (None, Device.MPS):
        found = read_inventory(wanted)
        (gpu,) = found.gpus
        assert (gpu.kind, gpu.uuid, found.kind) == ("mps", "mps", "mps")
    held = memory("mps")
    assert 0 < held.total_mib < psutil.virtual_memory().total // 2**20
    assert held.free_mib + held.used_mib == held.total_mib
    assert processes("mps") == ()
    assert child_environment("mps")["PYTORCH_ENABLE_MPS_FALLBACK"] == "1"
    assert read_inventory(Device.CUDA).kind == "cuda"
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert read_inventory().kind == "cuda"


def test_a_gpu_without_memory_of_its_own_has_the_machines(driver: FakeDriver) -> None:
    """Jetson and DGX Spark share memory with the processor; NVML has no figure for it."""
    driver.set(memory_code=3)
    held = memory(FIRST.uuid)
    assert held.total_mib == psutil.virtual_memory().total // 2**20
    assert 0 < held.free_mib < held.total_mib


def test_a_child_process_finds_the_library_by_name(driver: FakeDriver) -> None:
    """The real pynvml in a program of its own loads it like NVIDIA's."""
    code = "import pynvml; pynvml.nvmlInit(); print(pynvml.nvmlDeviceGetCount())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
