"""Speech to text with faster-whisper, batched, from a local model folder."""

from __future__ import annotations

import bisect
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ctranslate2 import get_supported_compute_types
from faster_whisper import BatchedInferencePipeline, WhisperModel

from dubarr_watch.engines import vad
from dubarr_watch.engines.base import Place, Progress, Span, Transcript, Word, no_progress
from dubarr_watch.engines.samples import RATE, Samples, SpeechSamples
from dubarr_watch.engines.survey import Batch, Survey
from dubarr_watch.engines.whisper_sizes import choose_precision
from dubarr_watch.engines.whisper_windows import (
    LONGEST_SPAN_S,
    Window,
    pack,
    spread,
    unheard_s,
)
from dubarr_watch.errors import ModelMissing

_CPU = Place()
# Measured on two cores: a beam of 5 costs nothing over 1 (0.05 of real time) and loops far less.
_BEAM = 5
_LANGUAGE_WINDOWS = 5
_SURE = 0.9
# Whisper's own limits (Radford et al. 2022, section 4.5): beyond them a window has gone wrong.
_MAX_COMPRESSION = 2.4
_MIN_LOGPROB = -1.0
_MIN_NO_SPEECH = 0.6
# People pause and drawl, but no word for this long, in voice, means that some were left out. In
# windows that were heard whole the longest such stretch was 1.0 s, where Whisper had jumped 3.3 to
# 22 s; hearing those again gave 64 words more of 587.
_MAX_UNHEARD_S = 2.0
_PART_S = 12.0
_MAX_WORD_S = 2.0
_NEAR_VOICE_S = 0.15
_MAX_REPEATS = 3


class WhisperTranscriber:
    """A Transcriber: Silero VAD finds the voice, Whisper hears windows packed with it.

    Args:
        model: Folder of a CTranslate2 Whisper model, of any size.
        threads: Threads of the CPU.
        place: Where it runs. Precision and batch size follow from its memory (whisper_sizes.py);
            without a CUDA device it runs on the CPU, as CTranslate2 knows no other.

    Raises:
        ModelMissing: The folder has no model.
    """

    def __init__(self, *, model: Path, threads: int, place: Place = _CPU) -> None:
        if not (model / "model.bin").is_file():
            raise ModelMissing(
                "The speech recognition model has not been pulled.",
                hint="Run `dubarr-watch models pull`.",
                path=model,
            )
        supported = get_supported_compute_types("cuda") if place.kind == "cuda" else ()
        precision = choose_precision(model, place, supported)
        self._batch = precision.batch
        self._model = WhisperModel(
            str(model),
            device=precision.device,
            compute_type=precision.compute_type,
            cpu_threads=threads,
            local_files_only=True,
        )
        self._batched = BatchedInferencePipeline(self._model)

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        """See `Transcriber`."""
        survey = self.survey(audio, language=language)
        progress(0.0, survey.duration_s)
        words = self.hear(
            audio, batches=survey.batches, language=survey.language, progress=progress
        )
        progress(survey.duration_s, survey.duration_s)
        return self.join(survey=survey, words=words)

    def survey(self, audio: Path, *, language: str | None = None) -> Survey:
        """See `DividingTranscriber`."""
        with SpeechSamples(audio) as samples:
            probabilities = vad.voice_probabilities(samples)
            voice = vad.voice_spans(probabilities, samples.duration_s)
            windows = pack(vad.split_long(voice, probabilities, LONGEST_SPAN_S))
            certainty = 1.0
            if language is None:
                language, certainty = self._recognise(samples, windows)
            spans = [window.spans for window in windows]
            size = self._batch
            batches = [tuple(spans[n : n + size]) for n in range(0, len(spans), size)]
            return Survey(language, certainty, samples.duration_s, tuple(voice), tuple(batches))

    def hear(
        self,
        audio: Path,
        *,
        batches: Sequence[Batch],
        language: str,
        progress: Progress = no_progress,
    ) -> list[Word]:
        """See `DividingTranscriber`."""
        words: list[Word] = []
        with SpeechSamples(audio) as samples:
            for batch in batches:
                windows = [Window(spans) for spans in batch]
                words += self._hear(samples, windows, language)
                progress(windows[-1].end_s, samples.duration_s)
        return words

    def join(self, *, survey: Survey, words: Sequence[Word]) -> Transcript:
        """See `DividingTranscriber`."""
        return Transcript(
            language=survey.language,
            language_probability=survey.language_probability,
            duration_s=survey.duration_s,
            words=tuple(_plausible(words, survey.voice)),
            voice=survey.voice,
        )

    def voice_activity(self, audio: Path) -> list[Span]:
        """See `Transcriber`."""
        with SpeechSamples(audio) as samples:
            return vad.voice_spans(vad.voice_probabilities(samples), samples.duration_s)

    def _recognise(self, samples: SpeechSamples, windows: Sequence[Window]) -> tuple[str, float]:
        """Vote over windows spread over the recording; stop once two of them are sure."""
        votes: dict[str, float] = {}
        heard = 0
        for window in spread(windows, _LANGUAGE_WINDOWS):
            _, _, ranking = self._model.detect_language(window.samples(samples))
            for code, probability in ranking:
                votes[code] = votes.get(code, 0.0) + probability
            heard += 1
            best = max(votes, key=lambda code: votes[code])
            if heard >= 2 and votes[best] / heard > _SURE:
                break
        if not votes:
            return "en", 0.0
        best = max(votes, key=lambda code: votes[code])
        return best, round(votes[best] / heard, 3)

    def _hear(self, samples: SpeechSamples, windows: Sequence[Window], language: str) -> list[Word]:
        """Transcribe some windows at once, and alone and with more care those that went wrong."""
        pieces = [window.samples(samples) for window in windows]
        ends_s = np.cumsum([len(piece) / RATE for piece in pieces])
        starts_s = np.concatenate(([0.0], ends_s[:-1]))
        segments, _ = self._batched.transcribe(
            np.concatenate(pieces),
            language=language,
            batch_size=len(windows),
            beam_size=_BEAM,
            word_timestamps=True,
            clip_timestamps=[
                {"start": float(start), "end": float(end)}
                for start, end in zip(starts_s, ends_s, strict=True)
            ],
        )
        heard: list[list[Any]] = [[] for _ in windows]
        for segment in segments:
            middle_s = (segment.start + segment.end) / 2
            index = min(int(np.searchsorted(ends_s, middle_s)), len(windows) - 1)
            heard[index].append(segment)
        words: list[Word] = []
        for window, piece, offset_s, found in zip(windows, pieces, starts_s, heard, strict=True):
            if any(_went_wrong(segment) for segment in found):
                found, offset_s = self._hear_again(piece, language), 0.0
            placed = _placed(window, found, float(offset_s))
            if unheard_s(window, placed) > _MAX_UNHEARD_S:
                placed = self._hear_in_parts(samples, window, language, placed)
            words += placed
        return words

    def _hear_in_parts(
        self, samples: SpeechSamples, window: Window, language: str, before: list[Word]
    ) -> list[Word]:
        """Hear a window again in short parts: Whisper jumps ahead at times and leaves words out."""
        words: list[Word] = []
        for part in window.parts(_PART_S):
            found = self._hear_again(part.samples(samples), language)
            words += _placed(part, found, 0.0)
        return words if unheard_s(window, words) < unheard_s(window, before) else before

    def _hear_again(self, piece: Samples, language: str) -> list[Any]:
        segments, _ = self._model.transcribe(
            piece,
            language=language,
            beam_size=_BEAM,
            word_timestamps=True,
            condition_on_previous_text=False,
            hallucination_silence_threshold=1.0,
        )
        return [segment for segment in segments if not _went_wrong(segment)]


def _placed(window: Window, segments: Sequence[Any], offset_s: float) -> list[Word]:
    return [
        window.place(word, offset_s)
        for segment in segments
        if not _is_silence(segment)
        for word in segment.words or ()
    ]


def _went_wrong(segment: Any) -> bool:
    return bool(
        segment.compression_ratio > _MAX_COMPRESSION
        or segment.avg_logprob < _MIN_LOGPROB
        or _compression(segment.text) > _MAX_COMPRESSION
    )


def _compression(text: str) -> float:
    raw = text.encode()
    return len(raw) / max(1, len(zlib.compress(raw)))


def _is_silence(segment: Any) -> bool:
    return bool(segment.no_speech_prob > _MIN_NO_SPEECH and segment.avg_logprob < _MIN_LOGPROB)


def _plausible(words: Sequence[Word], voice: Sequence[Span]) -> list[Word]:
    """Drop words that lie in no voice and phrases that repeat themselves; bound the rest."""
    starts_s = [span.start_s - _NEAR_VOICE_S for span in voice]
    near = [w for w in words if w.text and _in_voice(w, voice, starts_s)]
    kept: list[Word] = []
    for word in _without_loops(sorted(near, key=lambda w: w.start_s)):
        start_s = max(word.start_s, kept[-1].end_s if kept else 0.0)
        end_s = max(start_s, min(word.end_s, start_s + _MAX_WORD_S))
        kept.append(Word(start_s, end_s, word.text, word.probability))
    return kept


def _in_voice(word: Word, voice: Sequence[Span], starts_s: Sequence[float]) -> bool:
    before = bisect.bisect_left(starts_s, word.end_s)  # spans that start before the word ends
    return before > 0 and voice[before - 1].end_s + _NEAR_VOICE_S > word.start_s


def _without_loops(words: Sequence[Word]) -> list[Word]:
    """Cut a phrase of up to eight words that is said more than three times in a row."""
    kept: list[Word] = []
    for word in words:
        kept.append(word)
        for size in range(1, 9):
            tail = [w.text.lower() for w in kept[-size * (_MAX_REPEATS + 1) :]]
            if len(tail) == size * (_MAX_REPEATS + 1) and tail == tail[:size] * (_MAX_REPEATS + 1):
                del kept[-size:]
                break
    return kept
