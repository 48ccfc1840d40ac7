"""The seam: what an engine is, and what goes in and out of it.

A new engine is one file with one class that fits `Engine`, and one line in `engines/__init__.py`.
One that makes several takes together fits `BatchEngine` too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from tts_sidecar.audio import Samples
from tts_sidecar.errors import SidecarError

Gender = Literal["female", "male"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """What the command line says about the engine.

    Attributes:
        models_dir: Where models lie.
        threads: CPU threads that one synthesis may use.
        device: `cpu`, `cuda` (always the first GPU that the process sees) or `mps`.
        uuid: Of the GPU that must be the first one; empty when any will do.
        mib: GPU memory that the engine may use; 0 when nobody counts.
        frugal: Take as little memory as possible.
        slots: Takes made together; 0 for as many as there is memory for.
        references: Folders in which recordings may be read.
        licence_agreed: The user has agreed to the model's licence.
    """

    models_dir: Path = Path("models")
    threads: int = 1
    device: str = "cpu"
    uuid: str = ""
    mib: int = 0
    frugal: bool = False
    slots: int = 0
    references: tuple[Path, ...] = ()
    licence_agreed: bool = False


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
        cloned: It takes its sound from the references of each order; its gender means nothing.
    """

    id: str
    language: str
    gender: Gender
    engine: str
    quality: str | None = None
    native: bool = True
    cloned: bool = False


@dataclass(frozen=True, slots=True)
class Order:
    """One take that is wanted.

    Attributes:
        text: 1 to 1000 characters, see `tts_sidecar.text.clean_text`.
        voice: One that `Engine.voices` returned.
        speed: 0.5 (slow) to 2.0 (fast); 1.0 is the voice's own rate.
        references: Recordings of a cloned voice, best first.
    """

    text: str
    voice: Voice
    speed: float = 1.0
    references: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Speech:
    """One finished take.

    Attributes:
        samples: float32, mono, full scale at 1.0, silence trimmed from both ends.
        sample_rate: In Hz.
        attempts: How often it was made before it was good, or given up.
        doubts: What still looks wrong with it, in single words; empty when all is well.
    """

    samples: Samples
    sample_rate: int
    attempts: int = 1
    doubts: tuple[str, ...] = ()

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
            text: As in `Order`.
            voice: As in `Order`.
            speed: As in `Order`.

        Raises:
            BadRequest: Nothing in the text can be pronounced.
            EngineUnavailable: As for `load`.
            EngineFailed: The engine broke.
        """


class Work(Protocol):
    """An order that a `BatchEngine` works on."""

    @property
    def outcome(self) -> Speech | SidecarError | None:
        """The finished take or why there is none; None while it is under way."""


@runtime_checkable
class BatchEngine(Protocol):
    """What an engine has beside `Engine` when it makes several takes together.

    Its voices are known only once it is loaded.
    """

    @property
    def slots(self) -> int:
        """How many takes it makes together, 1 or more."""

    @property
    def unspoken(self) -> Mapping[str, str]:
        """Languages that it could speak but does not, each with the reason."""

    def begin(self, order: Order) -> Work:
        """Check an order and prepare it, loading first when needed.

        Raises:
            SidecarError: It cannot be done; see `tts_sidecar.errors`.
        """

    def advance(self, works: Sequence[Work]) -> None:
        """Do the next step of works that have no outcome yet, the earliest first."""
