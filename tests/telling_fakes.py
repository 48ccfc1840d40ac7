"""Fakes that carry words: what this synthesizer says this transcriber hears, in real files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from dubarr_watch.engines.base import Progress, Span, Speech, Transcript, Word, no_progress
from dubarr_watch.engines.fake_printer import FakePrinter
from dubarr_watch.engines.fakes import FakeSynthesizer, FakeTranscriber
from dubarr_watch.engines.voice_prints import Singing
from dubarr_watch.errors import SynthesisFailed

RATE = 16_000
_MAGIC = (12345, -12321, 12345, -4321)
NOISE = "blub blab blob bleb blib"


class TellingSynthesizer(FakeSynthesizer):
    """Writes its text into the first samples of a tone, at the rate that is listened at.

    Args:
        stumble_on: Texts with this word come out as something else ...
        until: ... unless the file's name has this in it; empty: always.
        refuse: Take names that it refuses to make.
        **options: As of the fake.
    """

    def __init__(
        self, *, stumble_on: str = "", until: str = "", refuse: str = "", **options: Any
    ) -> None:
        super().__init__(**options)
        self._stumble_on, self._until, self._refuse = stumble_on, until, refuse

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
        if self._refuse and self._refuse in target.name:
            raise SynthesisFailed("No.")
        super().synthesize(text, language=language, voice=voice, speed=speed, target=target)
        wrong = self._stumble_on and self._stumble_on in text
        if wrong and not (self._until and self._until in target.name):
            text = NOISE
        tone, rate = soundfile.read(target, dtype="int16")
        tone = tone[:: rate // RATE][:]
        told = np.frombuffer(text.encode(), dtype=np.uint8).astype(np.int16)
        length = max(len(tone), len(told) + 16)
        samples = np.resize(tone, length).astype(np.int16)
        samples[: 5 + len(told)] = [*_MAGIC, len(told), *told]
        soundfile.write(target, samples, RATE, subtype="PCM_16", format="WAV")
        return Speech(target, length / RATE, RATE)


class HearingTranscriber(FakeTranscriber):
    """Hears what was written into samples, where there is any; else as the fake does.

    Args:
        deaf_for: As many transcriptions of takes in which it hears nothing.
        **options: As of the fake.
    """

    def __init__(self, *, deaf_for: int = 0, **options: Any) -> None:
        super().__init__(**options)
        self._deaf_for = deaf_for

    def transcribe(
        self, audio: Path, *, language: str | None = None, progress: Progress = no_progress
    ) -> Transcript:
        samples, rate = soundfile.read(audio, dtype="int16", always_2d=True)
        mono = samples[:, 0]
        words = _told(mono, rate)
        if not words:
            return super().transcribe(audio, language=language, progress=progress)
        self._enter_call()
        self._deaf_for -= 1
        heard = () if self._deaf_for >= 0 else tuple(words)
        return Transcript(language or "en", 1.0, len(mono) / rate, heard, ())


class SingingPrinter(FakePrinter):
    """Hears somebody sing up to some time, and speak from there on.

    Args:
        until_s: That time.
        share: How much of what is sung sounds sung.
    """

    def __init__(self, *, until_s: float, share: float = 1.0) -> None:
        self._until_s, self._share = until_s, share

    def singing(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Singing]:
        """See `VoicePrinter`."""
        return [(self._share,) if span.end_s <= self._until_s else (0.0,) for span in spans]


def _told(samples: np.ndarray[Any, np.dtype[np.int16]], rate: int) -> list[Word]:
    words = []
    for start in np.flatnonzero(samples[:-5] == _MAGIC[0]):
        if tuple(samples[start : start + 4]) != _MAGIC:
            continue
        count = int(samples[start + 4])
        text = bytes(samples[start + 5 : start + 5 + count].astype(np.uint8)).decode()
        for n, word in enumerate(text.split()):
            at_s = float(start) / rate + 0.01 * n
            words.append(Word(at_s, at_s + 0.01, word, 0.9))
    return words
