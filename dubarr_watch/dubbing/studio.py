"""What it takes to speak a line, and what speaking needs from around it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dubarr_watch.dubbing.durations import DurationBook
from dubarr_watch.dubbing.fitting import Take
from dubarr_watch.dubbing.hearing_back import Listener
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import (
    EMPTY_FILM,
    FilmContext,
    Progress,
    Span,
    Synthesizer,
    Translator,
    Voice,
    no_progress,
)
from dubarr_watch.engines.dispatch import Dispatchers, Priority, Step
from dubarr_watch.engines.voice_prints import VoicePrinter
from dubarr_watch.errors import JobCancelled


class TakeKeeper(Protocol):
    """Where takes are remembered between runs."""

    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        """Return a line's take and whether it is settled, if made from the same key."""
        ...

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        """Remember a take; `settled` when no other wording is to be tried."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """What one line needs to be spoken.

    Attributes:
        line: The original line.
        text: Its wording; empty when there is none.
        slot: The time it may fill.
        voice: Who says it.
        references: Recordings that a cloned voice takes its sound from, best first; each is named
            by its content.
        fallback: Who says it when `voice` cannot; None: the best other voice of its register.
        joined: It has no wording because the lines before it say all of it.
        song: It is sung and stays as it is in the original.
        others: Shorter wordings that came with the text, longest first.
    """

    line: Line
    text: str
    slot: Span
    voice: Voice
    references: tuple[Path, ...] = ()
    fallback: Voice | None = None
    joined: bool = False
    song: bool = False
    others: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Content key of the take."""
        made_from = f"{self.text}\0{self.voice.engine}\0{self.voice.id}\0{self.slot.duration_s:.3f}"
        found = hashlib.sha256(made_from.encode("utf-8", "surrogatepass"))
        for other in self.others:
            found.update(f"\0{other}".encode("utf-8", "surrogatepass"))
        for recording in self.references:
            found.update(f"\0{recording.name}".encode("utf-8", "surrogateescape"))
        return found.hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Studio:
    """What speaking needs from around it.

    Attributes:
        language: ISO 639-1 code.
        folder: Where WAV files go; its name carries job and language.
        voices: Every voice of the language, to fall back on.
        synthesizer: The engine that speaks; as many lines at a time as it has slots.
        translator: Gives the engine that finds shorter wordings; called only when needed.
        keeper: See `TakeKeeper`.
        max_speedup: MAX_SPEEDUP.
        cancelled: Whether to stop; asked from several threads.
        progress: Called with (seconds of lines done, seconds of all lines).
        film: What the translator should know of the film.
        side_by_side: Ask for shorter wordings while later lines are still spoken for the first
            time. False when translator and synthesizer take turns on a device: then all lines
            are spoken before the first wording is asked for.
        dispatchers: Where the requests of all jobs are queued; queues of its own when None.
        job: Number of the job, which orders its requests among those of others.
        turn: Place of the language in the job, which orders them within it.
        listener: Who listens to takes; without one they are taken as they come.
        durations: What takes teach about how long texts take to say is noted here.
        printer: Opens who says how like the original cloned voices are; nobody when None.
    """

    language: str
    folder: Path
    voices: Sequence[Voice]
    synthesizer: Synthesizer
    translator: Callable[[], Translator]
    keeper: TakeKeeper
    max_speedup: float
    cancelled: Callable[[], bool] = lambda: False
    progress: Progress = no_progress
    film: FilmContext = EMPTY_FILM
    side_by_side: bool = False
    dispatchers: Dispatchers | None = None
    job: int = 0
    turn: int = 0
    listener: Listener | None = None
    durations: DurationBook | None = None
    printer: Callable[[], AbstractContextManager[VoicePrinter]] | None = None

    def priority(self, step: Step, line: int) -> Priority:
        """Return where a request for a line stands in the queues."""
        return Priority(step, self.job, self.turn, line)

    def stop_if_cancelled(self) -> None:
        """Raise JobCancelled when somebody asked to stop."""
        if self.cancelled():
            raise JobCancelled("Cancelled.")
