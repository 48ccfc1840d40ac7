"""An NVIDIA driver without a GPU: C libraries that the real pynvml, and real programs, load.

`build` compiles them into a folder; what they answer stands in a file beside them, which a test
changes while programs run. In this process they are found inside `installed()`, in child processes
through LD_LIBRARY_PATH.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pynvml  # type: ignore[import-untyped,unused-ignore]
import pytest

from dubarr_watch.gpu import identity, nvml

SOURCES = Path(__file__).parent / "driver"
LIBRARIES = {"nvml.c": "libnvidia-ml.so.1", "cuda.c": "libcuda.so.1"}

HANGS = -1
"""Instead of a code: it is never answered, until it is another one."""
LOST = 15
NOT_LOADED = 9
MISMATCH = 18

_generations = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Card:
    """A card of the machine.

    Attributes:
        uuid: `GPU-` and 32 hexadecimal digits with dashes.
        name: What its maker calls it.
        bus: PCI bus id.
        total_mib: What can be used of it.
        used_mib: What is used whoever is there.
        code: What NVML answers instead of speaking of it; 0: it works.
        split: It is in MIG mode.
        tells_uuid: The driver tells its UUID.
    """

    uuid: str
    name: str = "NVIDIA GeForce RTX 3090"
    bus: str = "00000000:01:00.0"
    total_mib: int = 24000
    used_mib: int = 0
    code: int = 0
    split: bool = False
    tells_uuid: bool = True


@dataclass(frozen=True, slots=True)
class Part:
    """A MIG part of a card."""

    parent: str
    uuid: str
    name: str = "NVIDIA A100-SXM4-40GB MIG 1g.5gb"
    total_mib: int = 4864
    used_mib: int = 0


FIRST = Card("GPU-11111111-aaaa-4bbb-8ccc-000000000001", bus="00000000:21:00.0")
"""Of two equal cards the first by bus id."""
SECOND = Card("GPU-22222222-aaaa-4bbb-8ccc-000000000002", bus="00000000:A1:00.0")


@dataclass
class FakeDriver:
    """A driver that answers what it is told to.

    Attributes:
        folder: Holds the libraries: give it to a child process as LD_LIBRARY_PATH.
        cards: In NVML's order.
        parts: MIG parts of cards.
        cuda_order: UUIDs as CUDA counts without CUDA_DEVICE_ORDER; empty: as NVML does.
        init_code: What NVML answers to whoever starts it; 0: it works.
        memory_v2: It is as new as version 510, and tells what it keeps for itself.
        reserved_mib: What it keeps for itself of each card.
        memory_code: What NVML answers when asked for memory; 0: it works.
        cuda_code: What CUDA answers to whoever starts it; 0: it works.
        cuda_uuids: CUDA tells UUIDs and PCI bus ids.
        cuda_deaf: CUDA shows every device, whatever CUDA_VISIBLE_DEVICES says.
        cuda_linger: Reads for which memory that was taken through CUDA still counts as used
            when its process has ended.
    """

    folder: Path
    cards: list[Card]
    parts: list[Part] = field(default_factory=list)
    cuda_order: list[str] = field(default_factory=list)
    init_code: int = 0
    memory_v2: bool = True
    reserved_mib: int = 400
    memory_code: int = 0
    cuda_code: int = 0
    cuda_uuids: bool = True
    cuda_deaf: bool = False
    cuda_linger: int = 0
    _generation: int = 0
    _late: tuple[str, int, int, int] = ("", 0, 0, 0)
    _holders: list[str] = field(default_factory=list)

    def set(self, **values: object) -> None:
        """Change any attribute by name, e.g. `init_code`, `cuda_deaf` or `memory_v2`."""
        for name, value in values.items():
            setattr(self, name, value)
        self.write()

    def set_used(self, uuid: str, mib: int) -> None:
        """Set what is used of a device beside what processes hold."""
        self._change(uuid, used_mib=mib)

    def lose(self, uuid: str, code: int = LOST) -> None:
        """Let a card fall off the bus: every question about it fails."""
        self._change(uuid, code=code)

    def hang(self, uuid: str) -> None:
        """Let a card die: who asks it anything waits until it is found again."""
        self._change(uuid, code=HANGS)

    def find_again(self, uuid: str) -> None:
        """Let a lost card work again."""
        self._change(uuid, code=0)

    def fail(self, code: int) -> None:
        """Let the driver refuse to start with a code of NVML; programs that use it lose it too."""
        self._generation += 1
        self.set(init_code=code)

    def restart(self) -> None:
        """Let the driver forget all programs: they must start it afresh."""
        self._generation += 1
        self.set(init_code=0)

    def come_back_late(self, uuid: str, mib: int, reads: int) -> None:
        """Let MiB count as used for so many more reads of a device's memory."""
        self._late = (uuid, mib, reads, next(_generations))
        self.write()

    def hold(
        self, uuid: str, pid: int, mib: int, *, tied: bool = True, linger_reads: int = 0
    ) -> None:
        """Let a process hold memory of a device.

        Args:
            uuid: The device.
            pid: The process.
            mib: How much; -1: the driver does not tell (and nothing counts as used).
            tied: The memory is free when the process has ended, however it ended.
            linger_reads: Reads of the memory for which it still counts after that.
        """
        self._holders.append(_holder(uuid, pid, mib, tied, linger_reads))
        self.write()

    def release(self, pid: int) -> None:
        """Take a process's memory from it."""
        self._holders = [line for line in self._holders if line.split("|")[2] != str(pid)]
        for path in (self.folder / "held").glob(f"{pid}-*"):
            path.unlink()
        self.write()

    def write(self) -> None:
        """Write the file that the libraries read at each question."""
        rows: list[Sequence[object]] = [
            ("driver", self.init_code, self._generation, int(self.memory_v2), self.reserved_mib,
             self.memory_code),
            ("cuda", self.cuda_code, int(self.cuda_uuids), int(self.cuda_deaf), self.cuda_linger),
            ("late", *self._late),
            *(
                ("card", c.uuid, c.name, c.bus, c.total_mib, c.used_mib, c.code, int(c.split),
                 int(c.tells_uuid))
                for c in self.cards
            ),
            *(("part", p.parent, p.uuid, p.name, p.total_mib, p.used_mib) for p in self.parts),
            *(("cuda_order", uuid) for uuid in self.cuda_order or [c.uuid for c in self.cards]),
        ]  # fmt: skip
        lines = ["|".join(map(str, row)) for row in rows] + self._holders
        beside = self.folder / ".machine"
        beside.write_text("\n".join(lines) + "\n", encoding="utf-8")
        beside.replace(self.folder / "machine")

    @contextlib.contextmanager
    def installed(self) -> Iterator[FakeDriver]:
        """Let this process, and those it starts, find this driver and no other."""
        with pytest.MonkeyPatch.context() as patch:
            _load_from(patch, lambda name: ctypes.CDLL(str(self.folder / name)))
            # A search path is read when a program starts: here it comes too late.
            patch.setattr(identity, "LIBRARY", str(self.folder / identity.LIBRARY))
            known = os.environ.get("LD_LIBRARY_PATH")
            patch.setenv("LD_LIBRARY_PATH", f"{self.folder}:{known}" if known else str(self.folder))
            yield self
            nvml.reset()

    def _change(self, uuid: str, **values: int) -> None:
        self.cards = [replace(c, **values) if c.uuid == uuid else c for c in self.cards]  # type: ignore[arg-type]
        self.parts = [replace(p, **values) if p.uuid == uuid else p for p in self.parts]  # type: ignore[arg-type]
        self.write()


def build(
    folder: Path,
    *cards: Card,
    parts: Sequence[Part] = (),
    cuda_order: Sequence[str] = (),
) -> FakeDriver:
    """Make a driver in a folder of its own; two equal cards unless told otherwise."""
    home = folder / "driver"
    home.mkdir(parents=True)
    (home / "held").mkdir()
    for name, content in _compiled().items():
        (home / name).write_bytes(content)
    driver = FakeDriver(home, list(cards) or [FIRST, SECOND], list(parts), list(cuda_order))
    driver.write()
    return driver


def hold_from_here(folder: Path, uuid: str, mib: int, *, linger_reads: int = 0) -> None:
    """Let this process hold memory of a device until it ends; for programs that tests start."""
    path = folder / "held" / f"{os.getpid()}-{mib}"
    beside = path.with_name(f".{path.name}")
    beside.write_text(_holder(uuid, os.getpid(), mib, True, linger_reads) + "\n", encoding="utf-8")
    beside.replace(path)


@contextlib.contextmanager
def no_driver() -> Iterator[None]:
    """Let this process find no driver, even on a machine that has one."""

    def refuse(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    with pytest.MonkeyPatch.context() as patch:
        _load_from(patch, refuse)
        yield
        nvml.reset()


def _load_from(patch: pytest.MonkeyPatch, load: object) -> None:
    nvml.reset()
    patch.setattr(pynvml, "nvmlLib", None)
    patch.setattr(pynvml, "_nvmlGetFunctionPointer_cache", {})
    patch.setattr(pynvml, "CDLL", load)
    # Whoever runs the tests may have chosen a GPU for other work.
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    patch.delenv("CUDA_DEVICE_ORDER", raising=False)


def _holder(uuid: str, pid: int, mib: int, tied: bool, linger_reads: int) -> str:
    return f"holder|{uuid}|{pid}|{mib}|{int(tied)}|{linger_reads}"


@cache
def _compiled() -> dict[str, bytes]:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.fail("These tests compile C: install a compiler (Debian: apt install gcc libc6-dev)")
    scratch = Path(mkdtemp(prefix="fake-driver-"))
    flags = ["-O1", "-Wall", "-Wextra", "-Wno-format-truncation", "-Werror", "-shared", "-fPIC"]
    try:
        for source, library in LIBRARIES.items():
            command = [
                compiler,
                *flags,
                "-o",
                str(scratch / library),
                str(SOURCES / source),
                "-ldl",
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.fail(f"{source} does not compile:\n{done.stderr}")
        return {name: (scratch / name).read_bytes() for name in LIBRARIES.values()}
    finally:
        shutil.rmtree(scratch)
