"""Fakes for what only the full profile does: voices that are cloned, films that are understood."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from dubarr_watch.engines.base import (
    EMPTY_FILM,
    AnalysisRequest,
    CorrectionRequest,
    FilmContext,
    Gender,
    Place,
    Progress,
    ShortenRequest,
    Span,
    Speech,
    Transcript,
    TranslationRequest,
    Turn,
    Usage,
    Voice,
    no_progress,
)
from dubarr_watch.engines.fakes import (
    FakeDiarizer,
    FakeSynthesizer,
    FakeTranscriber,
    FakeTranslator,
)
from dubarr_watch.engines.texts import Character, Term
from dubarr_watch.errors import ModelMissing, SynthesisFailed
from tests.gpu.fake_driver import hold_from_here


class CloningSynthesizer(FakeSynthesizer):
    """Has a voice that clones beside the built-in ones, and keeps what it was given to clone.

    Args:
        built_in: Whether it has other voices.
        said: File that gets a line for each synthesis: voice, take, names of the references.
    """

    def __init__(self, *, said: Path | None = None, built_in: bool = True) -> None:
        super().__init__()
        self._said = said
        self._built_in = built_in

    def voices(self, language: str) -> list[Voice]:
        cloned = Voice("clone", language, Gender.FEMALE, "fake", 1.0, cloned=True)
        return [*(super().voices(language) if self._built_in else []), cloned]

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
        if voice == "clone" and not references:
            raise SynthesisFailed("Nobody said whose voice to clone.")
        if self._said is not None:
            names = " ".join(path.name for path in references)
            with self._said.open("a") as file:
                file.write(f"{voice} {target.stem} {names}\n")
        humming = FakeSynthesizer()
        known = humming.voices(language)[0].id if voice == "clone" else voice
        return humming.synthesize(text, language=language, voice=known, speed=speed, target=target)


class UnderstandingTranslator(FakeTranslator):
    """Knows who is in a film, hears better where subtitles help, and keeps what it was asked."""

    film = FilmContext("A talk.", (Character("Ann", "female", 0),), (Term("Ann", "Ana"),))
    analysed: ClassVar[list[AnalysisRequest]] = []
    corrected: ClassVar[list[CorrectionRequest]] = []
    translated: ClassVar[list[TranslationRequest]] = []
    shortened: ClassVar[list[FilmContext]] = []

    @property
    def slots(self) -> int:
        return 2

    def analyse(self, request: AnalysisRequest, *, progress: Progress = no_progress) -> FilmContext:
        self.analysed.append(request)
        return self.film

    def correct(
        self, request: CorrectionRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        self.corrected.append(request)
        return {text.id: text.reference for text in request.texts if text.reference}

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        self.translated.append(request)
        return super().translate(request, progress=progress)

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        self.shortened.append(film)
        return super().shorten(target, texts, progress=progress)

    def usage(self) -> Usage:
        done = len(self.analysed) + len(self.translated)
        return Usage(requests=done, tokens_in=100 * done, tokens_out=50 * done, busy_s=float(done))


class DeafTranscriber(FakeTranscriber):
    """Hears where voice is, but words in the first three seconds only: then somebody laughs."""

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        heard = super().transcribe(audio, language=language, progress=progress)
        return replace(heard, words=tuple(word for word in heard.words if word.start_s < 3))


class LockedDiarizer(FakeDiarizer):
    """Needs a model that nobody may have."""

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        raise ModelMissing("The model is locked.", hint="Open its page.")


def _hold(driver: Path | None, place: Place) -> None:
    if driver is not None and place.uuid:
        hold_from_here(driver, place.uuid, place.mib)


class PlacedTranscriber(FakeTranscriber):
    """Holds memory of a card of the fake driver, all that it leased."""

    def __init__(self, *, place: Place, driver: Path | None = None) -> None:
        super().__init__()
        _hold(driver, place)


class PlacedDiarizer(FakeDiarizer):
    """Holds memory as well."""

    def __init__(self, *, place: Place, driver: Path | None = None) -> None:
        super().__init__()
        _hold(driver, place)


class PlacedTranslator(FakeTranslator):
    """Holds memory as well."""

    def __init__(self, *, place: Place, driver: Path | None = None) -> None:
        super().__init__()
        _hold(driver, place)


class PlacedSynthesizer(FakeSynthesizer):
    """Holds memory as well."""

    def __init__(self, *, place: Place, driver: Path | None = None) -> None:
        super().__init__()
        _hold(driver, place)
