"""What a voice sounds like, as a vector: the same speaker's point in nearly the same direction.

And whether it sings.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np

from dubarr_watch.engines.base import Progress, Span, no_progress

Print = tuple[float, ...]
"""A voice: a vector of length 1, or empty where there was too little to hear."""


Singing = tuple[float, ...]
"""How surely each moment of a stretch is music, from 0 to 1; the rest is speech. At least one."""


class VoicePrinter(Protocol):
    """Recordings into what their voices sound like."""

    def prints(self, recordings: Sequence[Path]) -> list[Print]:
        """Return the voice of each WAV file, each of one speaker alone."""
        ...

    def voices(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Print]:
        """Return the voice of each stretch of a WAV file, each of one speaker alone."""
        ...

    def singing(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Singing]:
        """Return how much like singing each stretch of a WAV file sounds."""
        ...


class RemotePrinter:
    """A VoicePrinter in another process."""

    def __init__(self, call: Callable[..., object]) -> None:
        self._call = call

    def prints(self, recordings: Sequence[Path]) -> list[Print]:
        """See `VoicePrinter`."""
        return _as_prints(self._call("prints", {"recordings": tuple(recordings)}, None))

    def voices(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Print]:
        """See `VoicePrinter`."""
        told = {"audio": audio, "spans": tuple(spans)}
        return _as_prints(self._call("voices", told, progress))

    def singing(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Singing]:
        """See `VoicePrinter`."""
        told = {"audio": audio, "spans": tuple(spans)}
        return _as_prints(self._call("singing", told, progress))


def _as_prints(found: object) -> list[Print]:
    return [tuple(one) for one in found]  # type: ignore[attr-defined]


def likeness(one: Print, other: Print) -> float | None:
    """Return the cosine of two voices, 1 for the same; nothing when one of them is unknown."""
    return float(np.dot(one, other)) if one and other else None
