"""The seams: one small Protocol for each kind of model, and the data that crosses them.

A stage never imports an engine; it is handed one through its Protocol. All audio that crosses a
seam is a mono 16-bit PCM WAV file named by its path, so that a call can cross a process boundary
cheaply. Times are seconds from the start of that file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from dubarr_watch.engines.texts import EMPTY_FILM as EMPTY_FILM
from dubarr_watch.engines.texts import AnalysisRequest as AnalysisRequest
from dubarr_watch.engines.texts import CorrectionRequest as CorrectionRequest
from dubarr_watch.engines.texts import FilmContext as FilmContext
from dubarr_watch.engines.texts import ShortenRequest as ShortenRequest
from dubarr_watch.engines.texts import SourceText as SourceText
from dubarr_watch.engines.texts import SpokenText as SpokenText
from dubarr_watch.engines.texts import TranslationRequest as TranslationRequest
from dubarr_watch.engines.texts import Usage as Usage

Progress = Callable[[float, float], None]
"""Called with (done, total): seconds of media, or lines for an engine that works on text."""


def no_progress(done: float, total: float) -> None:
    """Ignore progress; the default of every engine method."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an engine runs and how much memory it may use there: the engine's side of a lease.

    Attributes:
        kind: `cuda`, `mps` or `cpu`. A `cuda` engine always uses device 0: its process sees no
            other.
        uuid: NVML's UUID of the GPU (`GPU-...` or `MIG-...`); empty when there is none.
        mib: Memory that is leased, in MiB; 0 on the CPU, where none is counted.
        frugal: The engine ran out of memory before: take the smallest batch and precision.
    """

    kind: str = "cpu"
    uuid: str = ""
    mib: int = 0
    frugal: bool = False


@dataclass(frozen=True, slots=True)
class Need:
    """What an engine needs of a device before its process may start.

    Attributes:
        name: Engine and model, e.g. `whisper large-v3`; what it really took is kept under this.
        mib: Estimate of its peak GPU memory in MiB, until one was measured.
        cpu: Whether it can run on the CPU at all.
        gpu: Index (NVML's) of the GPU that it must run on, or None.
        keep_alive_s: How long it stays loaded when idle, unless somebody waits for its memory.
    """

    name: str
    mib: int
    cpu: bool = True
    gpu: int | None = None
    keep_alive_s: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """Which engine to build, in a form that can be sent to the process that builds it.

    Attributes:
        target: `module:class`; imported only where the engine runs.
        options: Keyword arguments of the class; everything in them can be pickled.
        owns_process: The class talks to a process of its own (the speech process) or to a service
            of others and lives in the daemon; it is a context manager and also takes `context`,
            an `EngineContext`.
        need: What it needs of a device. An engine with one also takes `place`, a `Place`, unless
            it owns its process, which then asks its context for a lease. None: it takes its turn
            on the CPU.
    """

    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    owns_process: bool = False
    need: Need | None = None


class Gender(StrEnum):
    """Register of a voice, as voice catalogues name it."""

    FEMALE = "female"
    MALE = "male"


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time, `start_s` included, `end_s` excluded."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


@dataclass(frozen=True, slots=True)
class Word:
    """One transcribed word with its punctuation, without surrounding spaces."""

    start_s: float
    end_s: float
    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What is said, and where there is voice at all.

    Attributes:
        language: ISO 639-1 code of the spoken language.
        language_probability: 0 to 1; 1 when the caller gave the language.
        duration_s: Length of the audio.
        words: In order of start.
        voice: Voice activity, disjoint and in order.
    """

    language: str
    language_probability: float
    duration_s: float
    words: tuple[Word, ...]
    voice: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """A stretch in which one speaker talks; `beside` another one who has the word, or not.

    Turns that are not beside others do not overlap.
    """

    start_s: float
    end_s: float
    speaker: int
    beside: bool = False


@dataclass(frozen=True, slots=True)
class Stems:
    """A mix taken apart: voices, and everything else."""

    voice: Path
    rest: Path


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice that a synthesizer offers for one language.

    Attributes:
        id: Name the synthesizer knows it by.
        language: ISO 639-1 code.
        gender: Register.
        engine: Engine that speaks it, e.g. `kokoro`, `espeak`.
        quality: 0 (robotic) to 1 (best); orders equally fitting voices.
        cloned: It takes its sound from reference recordings and needs some; its gender means
            nothing.
    """

    id: str
    language: str
    gender: Gender
    engine: str
    quality: float
    cloned: bool = False


@dataclass(frozen=True, slots=True)
class Speech:
    """One synthesized utterance: a mono 16-bit PCM WAV file without silent edges.

    Attributes:
        path: The file.
        duration_s: Its length.
        sample_rate: In Hz.
        suspect: The engine itself doubts that the text was spoken, and nothing but it.
    """

    path: Path
    duration_s: float
    sample_rate: int
    suspect: bool = False


class Transcriber(Protocol):
    """Speech to text with word times and voice activity."""

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        """Transcribe a 16 kHz WAV file; `language` skips recognising it."""
        ...

    def voice_activity(self, audio: Path) -> list[Span]:
        """Return where there is voice in a WAV file, by the same detector as `transcribe`."""
        ...


class Diarizer(Protocol):
    """Who speaks when."""

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        """Tell the voices apart within the given voice activity of a 16 kHz WAV file."""
        ...


class Separator(Protocol):
    """Voices apart from music and effects."""

    def separate(self, audio: Path, folder: Path, *, progress: Progress = no_progress) -> Stems:
        """Write the two stems of a WAV file into a folder, at its own sample rate."""
        ...


class Translator(Protocol):
    """Text from one language into another, in lengths that can be spoken.

    What the texts say is data: no engine does what they ask for. Calls may come from several
    threads; `slots` of them are served at a time.
    """

    @property
    def slots(self) -> int:
        """How many calls are worked on at a time, 1 or more."""
        ...

    def analyse(self, request: AnalysisRequest, *, progress: Progress = no_progress) -> FilmContext:
        """Return what can be known of a whole film; an empty context when that is nothing.

        Every speaker number of its characters is one of the request, and every term of its
        glossary occurs in the request's texts.
        """
        ...

    def correct(
        self, request: CorrectionRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """Return better wordings, by id, of texts that were misheard; the others are left out.

        Only a text with a reference gets another wording, and only of words that it or its
        reference has.
        """
        ...

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """Return the translations by id.

        An id may be missing when the model gave no usable answer for it; no id is invented and
        no source text comes back as its own translation. The caller asks again for what is
        missing.
        """
        ...

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        """Return shorter wordings by id, with ids missing as in `translate`.

        Each text gets one to three of different length, longest first, all of them shorter than
        it is; which of them fits best is for the caller to find out.
        """
        ...

    def usage(self) -> Usage:
        """Return what it has cost so far; never waits for anything."""
        ...


class Synthesizer(Protocol):
    """Text to speech.

    Calls may come from several threads; `slots` of them are served at a time.
    """

    @property
    def slots(self) -> int:
        """How many calls are worked on at a time, 1 or more."""
        ...

    def voices(self, language: str) -> list[Voice]:
        """Return the voices for a language, best first; empty when it cannot be spoken."""
        ...

    def synthesize(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        speed: float,
        target: Path,
        references: Sequence[Path] = (),
    ) -> Speech:
        """Speak a text into a WAV file at `target`; `speed` 1.0 is the voice's own rate.

        `references` are clean mono WAV files of the speaker, best first; a cloned voice needs
        one or more, others ignore them.

        Raises:
            SynthesisFailed: The engine refused the text or failed on it.
            EngineCrashed: Its process ended; a new call reaches a new process.
        """
        ...
