"""What stages need, and where each was put, as data and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from dubarr_watch.gpu.inventory import Gpu


class Where(StrEnum):
    """What a stage runs on."""

    CUDA = "cuda"
    MPS = "mps"
    CPU = "cpu"
    SERVICE = "service"
    NOWHERE = "nowhere"


@dataclass(frozen=True, slots=True)
class StageNeed:
    """What the engine of a stage needs.

    Attributes:
        kind: Its seam: transcriber, diarizer, separator, translator or synthesizer.
        name: Engine and model; its measured peak is kept under this.
        mib: Estimate of its peak GPU memory, with one slot.
        cpu: Whether it can run on the CPU.
        gpu: Kinds of GPU that it can use.
        service: It runs on machines of others, and needs nothing here.
        slot_mib: What each slot beyond the first takes, where an engine has slots.
    """

    kind: str
    name: str
    mib: int = 0
    cpu: bool = True
    gpu: tuple[str, ...] = ("cuda", "mps")
    service: bool = False
    slot_mib: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where one stage runs.

    Attributes:
        kind: Its seam.
        name: Engine and model.
        where: On what.
        mib: GPU memory that it will ask for; 0 where none is counted.
        gpu: The device, or nothing.
        fixed: It runs on this device and on no other one.
        slots: Requests that it serves at a time, as far as memory tells.
        source: Where the figure comes from: `estimate`, `measured` or `ENGINE_MIB`.
        why: What the user should know, e.g. why it is not on a GPU.
    """

    kind: str
    name: str
    where: Where
    mib: int = 0
    gpu: Gpu | None = None
    fixed: bool = False
    slots: int = 1
    source: str = "estimate"
    why: str = ""

    @property
    def on_gpu(self) -> bool:
        """Whether it takes memory of a GPU."""
        return self.gpu is not None


@dataclass(frozen=True, slots=True)
class Plan:
    """Where every stage runs.

    Attributes:
        placements: In the order of the stages.
        side_by_side: Translator and voice stay loaded together; else they take turns.
        separate: Whether the voices are taken out of the original.
        jobs: Jobs worked on at a time.
        notes: What the user should know.
    """

    placements: tuple[Placement, ...]
    side_by_side: bool
    separate: bool
    jobs: int
    notes: tuple[str, ...] = ()

    def of(self, kind: str) -> Placement | None:
        """Return where the engine of a seam runs."""
        return next((one for one in self.placements if one.kind == kind), None)

    def prefer(self, kind: str, gpus: Sequence[Gpu]) -> list[Gpu]:
        """Order devices for a stage: the planned one, then smaller before larger ones."""
        placed = self.of(kind)
        planned = placed.gpu.uuid if placed and placed.gpu else ""
        return sorted(gpus, key=lambda gpu: (gpu.uuid != planned, gpu.total_mib, gpu.index))

    @property
    def impossible(self) -> tuple[Placement, ...]:
        """Stages that can run nowhere."""
        return tuple(one for one in self.placements if one.where is Where.NOWHERE)

    def rows(self) -> list[tuple[str, str, str, str]]:
        """Return the plan as a table: stage, engine, where, memory."""
        return [(one.kind, one.name, _where(one), _memory(one)) for one in self.placements]

    def summary(self) -> str:
        """Say in one sentence how stages share the memory."""
        jobs = "one job at a time" if self.jobs == 1 else f"{self.jobs} jobs at a time"
        if not any(one.on_gpu for one in self.placements):
            return f"No GPU is used; {jobs}."
        how = "side by side" if self.side_by_side else "in turns"
        return f"Translation and speech run {how}; {jobs}."

    def text(self) -> str:
        """Return the table, its columns aligned, and what goes with it."""
        return "\n".join([*filter(None, [aligned(self.rows())]), self.summary(), *self.notes])


def aligned(rows: Sequence[tuple[str, str, str, str]]) -> str:
    """Return rows of a plan's table as lines, their columns aligned."""
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _where(one: Placement) -> str:
    if one.gpu is not None:
        part = " part" if one.gpu.mig else ""
        return f"GPU {one.gpu.index}{part} ({one.gpu.name})"
    return {Where.SERVICE: "a service", Where.CPU: "CPU"}.get(one.where, "nowhere")


def _memory(one: Placement) -> str:
    if not one.mib:
        return "-"
    slots = f", {one.slots} slots" if one.slots > 1 else ""
    return f"{one.mib} MiB ({one.source}{slots})"
