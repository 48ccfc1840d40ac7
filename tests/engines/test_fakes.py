from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.engines.base import (
    EngineSpec,
    ShortenRequest,
    SourceText,
    Span,
    TranslationRequest,
)
from dubarr_watch.engines.fakes import (
    FakeDiarizer,
    FakeSeparator,
    FakeSynthesizer,
    FakeTranscriber,
    FakeTranslator,
    Faults,
)
from dubarr_watch.errors import EngineError
from tests.engines.contracts import (
    DiarizerContract,
    SeparatorContract,
    SynthesizerContract,
    TranscriberContract,
    TranslatorContract,
    measured,
)


def write_tone(path: Path, *loud: tuple[float, float], total_s: float) -> Path:
    times = np.arange(round(total_s * 16_000)) / 16_000
    envelope = sum((times >= start) & (times < end) for start, end in loud)
    tone = 0.3 * np.sin(2 * np.pi * 220 * times) * envelope
    soundfile.write(path, tone.astype(np.float32), 16_000, subtype="PCM_16")
    return path


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    return write_tone(tmp_path / "speech.wav", (1.0, 6.0), (8.0, 11.0), total_s=12)


@pytest.fixture
def silence(tmp_path: Path) -> Path:
    return write_tone(tmp_path / "silence.wav", (0, 0), total_s=3)


@pytest.fixture
def speech_voice(speech: Path) -> list[Span]:
    return FakeTranscriber().voice_activity(speech)


class TestFakeTranscriber(TranscriberContract):
    @pytest.fixture
    def transcriber(self) -> FakeTranscriber:
        return FakeTranscriber()

    def test_a_word_is_heard_every_400_ms(self, speech: Path) -> None:
        """Six words fill 2.4 s of voice."""
        words = FakeTranscriber().transcribe(speech).words
        assert [word.start_s for word in words[:6]] == pytest.approx(
            [1.0, 1.4, 1.8, 2.2, 2.6, 3.0], abs=0.021
        )
        assert words[5].text.endswith(".")

    def test_nothing_is_heard_where_the_audio_is_silent(self, speech: Path) -> None:
        """Voice lies only where there is sound."""
        for span in FakeTranscriber().voice_activity(speech):
            assert (span.start_s >= 0.97 and span.end_s <= 6.03) or (
                span.start_s >= 7.97 and span.end_s <= 11.03
            )


class TestFakeDiarizer(DiarizerContract):
    @pytest.fixture
    def diarizer(self) -> FakeDiarizer:
        return FakeDiarizer()

    def test_two_speakers_take_turns(self, speech: Path, speech_voice: list[Span]) -> None:
        """Each stretch of voice is the other speaker's."""
        turns = FakeDiarizer().diarize(speech, speech_voice)
        assert [turn.speaker for turn in turns] == [n % 2 for n in range(len(speech_voice))]


class TestFakeTranslator(TranslatorContract):
    @pytest.fixture
    def translator(self) -> FakeTranslator:
        return FakeTranslator()

    def test_translations_fit_their_budget(self) -> None:
        """Words are cut off until the text fits; the first one always stays."""
        text = SourceText(1, "one two three four five six", 0, 18)
        found = FakeTranslator().translate(TranslationRequest("en", "fr", (text,)))
        assert found == {1: "[fr] eno owt eerht"}

    def test_what_is_short_enough_is_not_shortened(self) -> None:
        """No shorter wording comes back where none is needed."""
        assert FakeTranslator().shorten("fr", (ShortenRequest(1, "x", "a b c", 5),)) == {}


class TestFakeSynthesizer(SynthesizerContract):
    @pytest.fixture
    def synthesizer(self) -> FakeSynthesizer:
        return FakeSynthesizer()


class TestFakeSeparator(SeparatorContract):
    @pytest.fixture
    def separator(self) -> FakeSeparator:
        return FakeSeparator()

    @pytest.fixture
    def peak_mib(self, tmp_path: Path) -> Callable[[Path], float]:
        return measured(EngineSpec("dubarr_watch.engines.fakes:FakeSeparator"), tmp_path)


def test_a_fake_fails_on_the_call_it_is_told_to(speech: Path) -> None:
    """Only the second call fails."""
    fake = FakeTranscriber(faults=Faults(fail_on=(2,)))
    fake.voice_activity(speech)
    with pytest.raises(EngineError):
        fake.voice_activity(speech)
    fake.voice_activity(speech)


def test_a_fault_that_happens_once_does_not_come_back(speech: Path, tmp_path: Path) -> None:
    """A new process with the same orders works, because the first one left its mark."""
    faults = Faults(fail_on=(1,), once=tmp_path / "happened")
    with pytest.raises(EngineError):
        FakeTranscriber(faults=faults).voice_activity(speech)
    assert FakeTranscriber(faults=faults).voice_activity(speech)
