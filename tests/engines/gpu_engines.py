"""Engines that hold memory of a GPU that a fake driver tells of."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

from dubarr_watch.engines.base import Place, Progress, Span, Turn, no_progress
from tests.gpu.fake_driver import hold_from_here


class HungryDiarizer:
    """Holds memory while it lives, and does what the name of the audio file says.

    Args:
        driver: Folder of the fake driver.
        mib: What it holds.
        linger_reads: Reads of the driver's figure for which it counts after the end.
        load_s: Seconds that it loads.
        place: Where it runs.
    """

    def __init__(
        self,
        *,
        driver: Path,
        mib: int,
        linger_reads: int = 0,
        load_s: float = 0.0,
        place: Place = Place(),  # noqa: B008 - frozen
    ) -> None:
        self._place = place
        if place.kind == "cuda":
            hold_from_here(driver, place.uuid, mib, linger_reads=linger_reads)
        time.sleep(load_s)

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        """See `Diarizer`; a turn's speaker carries the process id."""
        act = getattr(self, f"_{audio.name}", None)
        if act is not None:
            act(audio.parent)
        return [Turn(0.0, 1.0, os.getpid())]

    def _place_told(self, folder: Path) -> None:
        seen = os.environ.get("CUDA_VISIBLE_DEVICES", "none")
        told = f"{self._place.kind} {self._place.uuid} {self._place.mib} {self._place.frugal}"
        (folder / "place.txt").write_text(f"{told} {seen}", encoding="utf-8")

    def _work(self, folder: Path) -> None:
        """Work until somebody says that it is enough."""
        (folder / f"works-{os.getpid()}").touch()
        while not (folder / "enough").exists():
            time.sleep(0.02)
        (folder / f"works-{os.getpid()}").unlink()

    def _burst(self, folder: Path) -> None:
        """Need all of a device."""
        if not self._place.frugal:
            raise RuntimeError("CUDA failed with error out of memory")

    def _burst_always(self, folder: Path) -> None:
        raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED")
