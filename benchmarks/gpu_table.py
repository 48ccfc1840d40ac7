"""The GPU benchmark's rows, and the page that they become."""

from __future__ import annotations

import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from dubarr_watch.gpu.devices import Gpu, Inventory


@dataclass(frozen=True, slots=True)
class EngineRow:
    """What one engine cost.

    Attributes:
        name: Engine and model.
        load_s: From the start of its process until its model was loaded.
        peak_mib: Most memory of the device in use beyond what was before.
        left_mib: In use after the end of its process beyond what was before.
        audio_s: Length of audio that was worked through, or spoken.
        busy_s: Seconds of work.
    """

    name: str
    load_s: float
    peak_mib: int
    left_mib: int
    audio_s: float
    busy_s: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for one of audio."""
        return self.busy_s / self.audio_s


@dataclass(frozen=True, slots=True)
class Fact:
    """One figure beside its goal; `reached` is None where there is none."""

    what: str
    value: str
    goal: str = ""
    reached: bool | None = None


def as_page(
    inventory: Inventory, gpu: Gpu, engines: Sequence[EngineRow], facts: Sequence[Fact]
) -> str:
    """Return the results as Markdown, with card, driver and date above them."""
    head = (
        f"GPU benchmark, {datetime.now(UTC):%Y-%m-%d}: {gpu.name}, {gpu.total_mib} MiB, driver "
        f"{inventory.driver}, Python {platform.python_version()}\n"
    )
    engine_rows = [
        f"| {row.name} | {row.load_s:.1f} | {row.peak_mib} | {row.left_mib} | {row.audio_s:.0f} "
        f"| {row.busy_s:.1f} | {row.real_time_factor:.3f} |"
        for row in engines
    ]
    fact_rows = [f"| {f.what} | {f.value} | {_goal(f)} |" for f in facts]
    return "\n".join(
        [
            head,
            "| engine | load s | peak MiB | MiB left | audio s | work s | real-time factor |",
            "| --- | --- | --- | --- | --- | --- | --- |",
            *engine_rows,
            "",
            "| what | measured | goal |",
            "| --- | --- | --- |",
            *fact_rows,
        ]
    )


def file_name(gpu: Gpu) -> str:
    """Return the name under which results are kept: card and date."""
    card = re.sub(r"[^a-z0-9]+", "-", gpu.name.lower()).strip("-")
    return f"gpu-{card}-{datetime.now(UTC):%Y-%m-%d}.md"


def _goal(fact: Fact) -> str:
    if fact.reached is None:
        return fact.goal
    return f"{fact.goal}: {'reached' if fact.reached else 'MISSED'}"
