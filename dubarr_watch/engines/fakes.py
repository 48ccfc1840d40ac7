"""A fake for every seam: fast, deterministic, no model. MOCK_MODE runs on these.

They keep every promise of the seams (the same contract tests hold for them), so a daemon that runs
on them does everything but dub well. `Faults` makes them misbehave on purpose.
"""

from __future__ import annotations

import hashlib
import os
import re
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from dubarr_watch.engines.base import (
    EMPTY_FILM,
    AnalysisRequest,
    CorrectionRequest,
    FilmContext,
    Gender,
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
from dubarr_watch.engines.fake_words import WORD_EVERY_S, joined, loud_spans, said
from dubarr_watch.engines.stems import StemWriter, open_audio
from dubarr_watch.engines.survey import Batch, Survey
from dubarr_watch.errors import EngineError, SynthesisFailed

_SENTENCE_WORDS = 6
_PAUSE_S = 0.8

_WORD = re.compile(r"[^\W\d_]+")

_SAMPLE_RATE = 24_000
_SECONDS_PER_CHAR = 0.06
_SHORTEST_S = 0.3


@dataclass(frozen=True, slots=True)
class Faults:
    """Calls (counted from 1 in each process) on which a fake misbehaves.

    Attributes:
        fail_on: Raises EngineError.
        crash_on: Its process kills itself with SIGKILL.
        hang_on: Sleeps for an hour without progress.
        once: A file that is made by the first fault and keeps any further one from happening.
    """

    fail_on: tuple[int, ...] = ()
    crash_on: tuple[int, ...] = ()
    hang_on: tuple[int, ...] = ()
    once: Path | None = None


class _Faulty:
    def __init__(self, *, faults: Faults = Faults(), delay_s: float = 0.0) -> None:
        self._faults = faults
        self._delay_s = delay_s
        self._calls = 0

    def _enter_call(self) -> None:
        self._calls += 1
        time.sleep(self._delay_s)
        faults, number = self._faults, self._calls
        if number not in (*faults.fail_on, *faults.crash_on, *faults.hang_on):
            return
        if faults.once is not None:
            if faults.once.exists():
                return
            faults.once.touch()
        if number in faults.crash_on:
            os.kill(os.getpid(), signal.SIGKILL)
        if number in faults.hang_on:
            time.sleep(3600)
        raise EngineError("A fake engine failed as it was told to.")


class FakeTranscriber(_Faulty):
    """Hears a word every 0.4 s, in sentences of six, wherever the audio is not silent.

    Args:
        language: What it recognises when the caller names no language.
        faults: When to misbehave.
        delay_s: How long every call takes at least.
    """

    def __init__(
        self,
        *,
        language: str = "en",
        faults: Faults = Faults(),
        delay_s: float = 0.0,
    ) -> None:
        super().__init__(faults=faults, delay_s=delay_s)
        self._language = language

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        """See `Transcriber`."""
        self._enter_call()
        survey = self._survey(audio, language)
        words = said(survey.batches, survey.duration_s, progress)
        progress(survey.duration_s, survey.duration_s)
        return joined(survey, words)

    def survey(self, audio: Path, *, language: str | None = None) -> Survey:
        """See `DividingTranscriber`."""
        return self._survey(audio, language)

    def hear(
        self,
        audio: Path,
        *,
        batches: Sequence[Batch],
        language: str,
        progress: Progress = no_progress,
    ) -> list[Word]:
        """See `DividingTranscriber`."""
        self._enter_call()
        return said(batches, float(soundfile.info(audio).duration), progress)

    def join(self, *, survey: Survey, words: Sequence[Word]) -> Transcript:
        """See `DividingTranscriber`."""
        return joined(survey, words)

    def _survey(self, audio: Path, language: str | None) -> Survey:
        voice = tuple(self._voice(audio))
        return Survey(
            language=language or self._language,
            language_probability=1.0 if language else 0.9,
            duration_s=float(soundfile.info(audio).duration),
            voice=voice,
            batches=tuple(((span,),) for span in voice),
        )

    def voice_activity(self, audio: Path) -> list[Span]:
        """See `Transcriber`."""
        self._enter_call()
        return self._voice(audio)

    def _voice(self, audio: Path) -> list[Span]:
        sentence_s = WORD_EVERY_S * _SENTENCE_WORDS
        spans = []
        for loud in loud_spans(audio):
            start_s = loud.start_s
            while loud.end_s - start_s >= WORD_EVERY_S:
                end_s = min(start_s + sentence_s, loud.end_s)
                spans.append(Span(round(start_s, 3), round(end_s, 3)))
                start_s = end_s + _PAUSE_S
        return spans


class FakeDiarizer(_Faulty):
    """Hears two speakers, who take turns with every stretch of voice."""

    def diarize(
        self, audio: Path, voice: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Turn]:
        """See `Diarizer`."""
        self._enter_call()
        duration_s = float(soundfile.info(audio).duration)
        progress(duration_s, duration_s)
        return [Turn(span.start_s, span.end_s, n % 2) for n, span in enumerate(voice)]


class FakeSeparator(_Faulty):
    """Takes everything for voice and nothing for music, so that the stems add up to the mix."""

    def separate(self, audio: Path, folder: Path, *, progress: Progress = no_progress) -> Stems:
        """See `Separator`."""
        self._enter_call()
        with open_audio(audio) as mix, StemWriter(audio, folder) as stems:
            while len(block := mix.read(mix.samplerate, dtype="float64", always_2d=True)):
                stems.write(block)
                progress(stems.written / mix.samplerate, len(mix) / mix.samplerate)
            progress(len(mix) / mix.samplerate, len(mix) / mix.samplerate)
            return stems.finish()


class FakeTranslator(_Faulty):
    """Spells every word backwards after the language, and cuts words off to fit the budget.

    It understands nothing of a film and hears nothing better than it was heard.
    """

    @property
    def slots(self) -> int:
        """See `Translator`."""
        return 1

    def analyse(self, request: AnalysisRequest, *, progress: Progress = no_progress) -> FilmContext:
        """See `Translator`."""
        self._enter_call()
        progress(len(request.texts), len(request.texts))
        return EMPTY_FILM

    def correct(
        self, request: CorrectionRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """See `Translator`."""
        self._enter_call()
        progress(len(request.texts), len(request.texts))
        return {}

    def translate(
        self, request: TranslationRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        """See `Translator`."""
        self._enter_call()
        found: dict[int, str] = {}
        for number, text in enumerate(request.texts, 1):
            backwards = _WORD.sub(lambda word: word[0][::-1], text.text)
            found[text.id] = _cut(f"[{request.target}] {backwards}", text.max_chars)
            progress(number, len(request.texts))
        return found

    def shorten(
        self,
        target: str,
        texts: Sequence[ShortenRequest],
        *,
        film: FilmContext = EMPTY_FILM,
        progress: Progress = no_progress,
    ) -> Mapping[int, tuple[str, ...]]:
        """See `Translator`."""
        self._enter_call()
        progress(len(texts), len(texts))
        cut = {text.id: _cut(text.text, text.max_chars) for text in texts}
        return {text.id: (cut[text.id],) for text in texts if len(cut[text.id]) < len(text.text)}

    def usage(self) -> Usage:
        """See `Translator`."""
        return Usage()


class FakeSynthesizer(_Faulty):
    """Hums a tone for as long as the text would take to say; every voice has its own pitch."""

    @property
    def slots(self) -> int:
        """See `Synthesizer`."""
        return 1

    def voices(self, language: str) -> list[Voice]:
        """See `Synthesizer`."""
        names = ("anna", "bert", "cleo", "dave")
        return [
            Voice(
                id=f"fake_{language}_{name}",
                language=language,
                gender=Gender.MALE if n % 2 else Gender.FEMALE,
                engine="fake",
                quality=1 - n / 10,
            )
            for n, name in enumerate(names)
        ]

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
        self._enter_call()
        if not text.strip():
            raise SynthesisFailed("There is nothing to say in an empty text.")
        if voice not in {known.id for known in self.voices(language)}:
            raise SynthesisFailed(f"There is no voice {voice} for {language}.")
        duration_s = max(_SHORTEST_S, len(text) * _SECONDS_PER_CHAR / speed)
        times = np.arange(round(duration_s * _SAMPLE_RATE)) / _SAMPLE_RATE
        pitch_hz = 110 + hashlib.sha256(voice.encode()).digest()[0]
        tone = (0.2 * 32767 * np.sin(2 * np.pi * pitch_hz * times)).astype(np.int16)
        soundfile.write(target, tone, _SAMPLE_RATE, subtype="PCM_16", format="WAV")
        return Speech(target, len(tone) / _SAMPLE_RATE, _SAMPLE_RATE)


def _cut(text: str, max_chars: int) -> str:
    words = text.split()
    while len(words) > 2 and len(" ".join(words)) > max_chars:
        words.pop()
    return " ".join(words)
