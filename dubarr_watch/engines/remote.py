"""The daemon's stand-ins for engines: each forwards the calls of one seam to the process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dubarr_watch.engines.base import (
    EMPTY_FILM,
    AnalysisRequest,
    CorrectionRequest,
    FilmContext,
    Progress,
    ShortenRequest,
    Span,
    Speech,
    Stems,
    Transcript,
    TranslationRequest,
    Turn,
    Usage,
    Voice,
    Word,
    no_progress,
)
from dubarr_watch.engines.survey import Batch, Survey

Call = Callable[[str, dict[str, Any], Progress | None], Any]
"""Called with the method, its keyword arguments, and its progress callback where it has one."""


class _Remote:
    def __init__(self, call: Call) -> None:
        self._call = call


class RemoteTranscriber(_Remote):
    """A Transcriber in another process; it can be divided where that one can."""

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        """See `Transcriber`."""
        arguments = {"audio": audio, "language": language}
        found: Transcript = self._call("transcribe", arguments, progress)
        return found

    def voice_activity(self, audio: Path) -> list[Span]:
        """See `Transcriber`."""
        spans: list[Span] = self._call("voice_activity", {"audio": audio}, None)
        return spans

    def survey(self, audio: Path, *, language: str | None = None) -> Survey:
        """See `DividingTranscriber`."""
        found: Survey = self._call("survey", {"audio": audio, "language": language}, None)
        return found

    def hear(
        self,
        audio: Path,
        *,
        batches: Sequence[Batch],
        language: str,
        progress: Progress = no_progress,
    ) -> list[Word]:
        """See `DividingTranscriber`."""
        arguments = {"audio": audio, "batches": tuple(batches), "language": language}
        words: list[Word] = self._call("hear", arguments, progress)
        return words

    def join(self, *, survey: Survey, words: Sequence[Word]) -> Transcript:
        """See `DividingTranscriber`."""
        arguments = {"survey": survey, "words": tuple(words)}
        found: Transcript = self._call("join", arguments, None)
        return found


class RemoteDiarizer(_Remote):
    """A Diarizer in another process."""

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        """See `Diarizer`."""
        arguments = {"audio": audio, "voice": tuple(voice)}
        turns: list[Turn] = self._call("diarize", arguments, progress)
        return turns


class RemoteSeparator(_Remote):
    """A Separator in another process."""

    def separate(self, audio: Path, folder: Path, *, progress: Progress = no_progress) -> Stems:
        """See `Separator`."""
        stems: Stems = self._call("separate", {"audio": audio, "folder": folder}, progress)
        return stems


class RemoteTranslator(_Remote):
    """A Translator in another process."""

    @property
    def slots(self) -> int:
        """See `Translator`."""
        return 1

    def analyse(self, request: AnalysisRequest, *, progress: Progress = no_progress) -> FilmContext:
        """See `Translator`."""
        film: FilmContext = self._call("analyse", {"request": request}, progress)
        return film

    def correct(
        self, request: CorrectionRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """See `Translator`."""
        texts: Mapping[int, str] = self._call("correct", {"request": request}, progress)
        return texts

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """See `Translator`."""
        texts: Mapping[int, str] = self._call("translate", {"request": request}, progress)
        return texts

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        """See `Translator`."""
        arguments = {"target": target, "texts": tuple(texts), "film": film}
        found: Mapping[int, tuple[str, ...]] = self._call("shorten", arguments, progress)
        return found

    def usage(self) -> Usage:
        """Return nothing: a model in a process of ours costs only time."""
        return Usage()


class RemoteSynthesizer(_Remote):
    """A Synthesizer in another process."""

    @property
    def slots(self) -> int:
        """See `Synthesizer`."""
        return 1

    def voices(self, language: str) -> list[Voice]:
        """See `Synthesizer`."""
        voices: list[Voice] = self._call("voices", {"language": language}, None)
        return voices

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
        """See `Synthesizer`."""
        speech: Speech = self._call(
            "synthesize",
            {
                "text": text,
                "language": language,
                "voice": voice,
                "speed": speed,
                "target": target,
                "references": tuple(references),
            },
            None,
        )
        return speech


PROXIES: Mapping[str, Callable[[Call], object]] = {
    "transcriber": RemoteTranscriber,
    "diarizer": RemoteDiarizer,
    "separator": RemoteSeparator,
    "translator": RemoteTranslator,
    "synthesizer": RemoteSynthesizer,
}
