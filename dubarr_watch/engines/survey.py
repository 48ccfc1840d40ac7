"""What is known of a recording before anybody hears its words, so that several may hear it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dubarr_watch.engines.base import Progress, Span, Transcriber, Transcript, Word, no_progress

Batch = tuple[tuple[Span, ...], ...]
"""Windows that an engine hears at a time, each the stretches of sound that it is made of."""


@dataclass(frozen=True, slots=True)
class Survey:
    """A recording as an engine is going to hear it.

    Attributes:
        language: ISO 639-1 code of the spoken language.
        language_probability: 0 to 1; 1 when the caller gave the language.
        duration_s: Length of the recording.
        voice: Voice activity, disjoint and in order.
        batches: All that is to be heard, in order.
    """

    language: str
    language_probability: float
    duration_s: float
    voice: tuple[Span, ...]
    batches: tuple[Batch, ...]


class DividingTranscriber(Transcriber, Protocol):
    """A Transcriber of which several may hear one recording.

    `transcribe` is `join` of `survey` and of what `hear` heard in all batches, in order.
    """

    def survey(self, audio: Path, *, language: str | None = None) -> Survey:
        """Find the voice, and the language unless it is given, in a 16 kHz WAV file."""
        ...

    def hear(
        self,
        audio: Path,
        *,
        batches: Sequence[Batch],
        language: str,
        progress: Progress = no_progress,
    ) -> list[Word]:
        """Return the words of some batches of a survey, as they are heard."""
        ...

    def join(self, *, survey: Survey, words: Sequence[Word]) -> Transcript:
        """Return the transcript of a whole recording, given what was heard in all of it."""
        ...
