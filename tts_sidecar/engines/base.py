"""The seam: what an engine is, and what goes in and out of it.

A new engine is one file with one class that fits `Engine`, and one line in `engines/__init__.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tts_sidecar.audio import Samples

Gender = Literal["female", "male"]


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice, in one language.

    Attributes:
        id: Name to ask for; unique within a language.
        language: Code as in `Engine.languages`.
        gender: How it sounds.
        engine: Name of the engine that speaks it.
        quality: Published grade, `A` (best) to `F+`; None when nobody published one.
        native: False for a voice that was made for another language and speaks this one too.
    """

    id: str
    language: str
    gender: Gender
    engine: str
    quality: str | None = None
    native: bool = True


@dataclass(frozen=True, slots=True)
class Speech:
    """One finished take.

    Attributes:
        samples: float32, mono, full scale at 1.0, silence trimmed from both ends.
        sample_rate: In Hz.
    """

    samples: Samples
    sample_rate: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate


class Engine(Protocol):
    """Something that speaks. Only one call to `load`, `unload` or `synthesize` runs at a time."""

    name: str
    device: str

    @property
    def loaded(self) -> bool:
        """Whether the model is in memory."""

    @property
    def problem(self) -> str | None:
        """Why the engine cannot speak now (one sentence), or None."""

    @property
    def languages(self) -> Mapping[str, str]:
        """Language code to the name of the engine that speaks it."""

    def voices(self, language: str) -> Sequence[Voice]:
        """Return the language's voices, the best of each gender first; empty if unknown."""

    def load(self) -> None:
        """Bring the model into memory; nothing happens when it is there.

        Raises:
            EngineUnavailable: Files are missing or damaged.
        """

    def unload(self) -> None:
        """Give the model's memory back."""

    def synthesize(self, text: str, voice: Voice, speed: float) -> Speech:
        """Speak cleaned text, loading first when needed.

        Args:
            text: 1 to 1000 characters, see `tts_sidecar.text.clean_text`.
            voice: One that `voices` returned.
            speed: 0.5 (slow) to 2.0 (fast); 1.0 is the voice's own rate.

        Raises:
            BadRequest: Nothing in the text can be pronounced.
            EngineUnavailable: As for `load`.
            EngineFailed: The engine broke.
        """
