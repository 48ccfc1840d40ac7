"""What is mixed, and how mixing is watched."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.engines.base import Progress, Span, no_progress

_PARTS = (0.15, 0.65, 0.2)  # of the time: levels, encoding, measuring the result


@dataclass(frozen=True, slots=True)
class MixControl:
    """How a mix is watched and stopped."""

    progress: Progress = no_progress
    cancelled: Callable[[], bool] = field(default=lambda: False)
    stall_s: float = 600

    def part(self, number: int, duration_s: float) -> MixControl:
        """Return the control of one part of the whole."""
        tell, before, share = self.progress, sum(_PARTS[:number]), _PARTS[number]
        return replace(
            self,
            progress=lambda done, total: tell(
                (before + share * (min(done / total, 1.0) if total else 1.0)) * duration_s,
                duration_s,
            ),
        )


@dataclass(frozen=True, slots=True)
class Programme:
    """What is mixed.

    Attributes:
        original: The film's sound: 48 kHz, starting at the video's time 0.
        bed: What lies under the dub: the same file, or what is left of it without voices.
        lines: What is heard, in order of start.
        duration_s: Length of the video.
        style: What is done to the bed: `dub`, `voiceover` or `without voices`; see `DUCK_DB`.
        match: Whether the mix becomes as loud as the original; else -23 LUFS.
        wordless: When a bed without voices gives way to the original, see `wordless`.
    """

    original: Path
    bed: Path
    lines: Sequence[MixLine]
    duration_s: float
    style: str = "dub"
    match: bool = False
    wordless: Sequence[Span] = ()
