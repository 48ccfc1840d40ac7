"""The contracts and the quality of the real embedded engines, on speech that Kokoro speaks."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
import soxr

from dubarr_watch.engines.base import (
    Diarizer,
    SourceText,
    Span,
    Synthesizer,
    Transcriber,
    TranslationRequest,
    Translator,
)
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import EngineSpecs, specs_for
from dubarr_watch.engines.sidecar import SidecarSynthesizer
from dubarr_watch.settings import Profile, Settings, load_settings
from tests.engines.contracts import (
    SENTENCES,
    DiarizerContract,
    SynthesizerContract,
    TranscriberContract,
    TranslatorContract,
)
from tests.waiting import eventually

pytestmark = pytest.mark.models
MODELS = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache" / "dubarr-watch" / "models")

DIALOGUE = (
    ("af_heart", "Good morning. Did you sleep well after the long journey yesterday?"),
    ("am_michael", "Not really. The train was late and somebody was singing all night."),
    ("af_heart", "That sounds terrible. Come in and have a cup of coffee with us."),
    ("am_michael", "Thank you. I would like to sit by the window and watch the rain."),
)
PAUSE_S = 0.5


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return load_settings(
        models_dir=MODELS, config_dir=tmp_path_factory.mktemp("config"), tts_port=0, mock_mode=False
    )


@pytest.fixture(scope="module")
def specs(settings: Settings) -> EngineSpecs:
    return specs_for(Profile.EMBEDDED, settings)


@pytest.fixture(scope="module")
def host(settings: Settings) -> EngineHost:
    return EngineHost(settings)


@pytest.fixture(scope="module")
def synthesizer(host: EngineHost, specs: EngineSpecs) -> Iterator[Synthesizer]:
    with host.engine("synthesizer", specs.synthesizer) as synthesizer:
        yield synthesizer


@pytest.fixture(scope="module")
def transcriber(host: EngineHost, specs: EngineSpecs) -> Iterator[Transcriber]:
    with host.engine("transcriber", specs.transcriber) as transcriber:
        yield transcriber


@pytest.fixture(scope="module")
def diarizer(host: EngineHost, specs: EngineSpecs) -> Iterator[Diarizer]:
    with host.engine("diarizer", specs.diarizer) as diarizer:
        yield diarizer


@pytest.fixture(scope="module")
def translator(host: EngineHost, specs: EngineSpecs) -> Iterator[Translator]:
    with host.engine("translator", specs.translator) as translator:
        yield translator


@pytest.fixture(scope="module")
def dialogue(
    synthesizer: Synthesizer, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[Span]]:
    """A talk of two voices at 16 kHz, and where each take lies in it."""
    folder = tmp_path_factory.mktemp("dialogue")
    pause = np.zeros(round(PAUSE_S * 16_000), dtype=np.float32)
    parts, spans, at_s = [pause], [], PAUSE_S
    for n, (voice, text) in enumerate(DIALOGUE):
        take = folder / f"{n}.wav"
        synthesizer.synthesize(text, language="en", voice=voice, speed=1.0, target=take)
        samples, rate = soundfile.read(take, dtype="float32")
        resampled = soxr.resample(samples, rate, 16_000)
        spans.append(Span(at_s, at_s + len(resampled) / 16_000))
        parts += [resampled, pause]
        at_s = spans[-1].end_s + PAUSE_S
    path = folder / "dialogue.wav"
    soundfile.write(path, np.concatenate(parts), 16_000, subtype="PCM_16")
    return path, spans


@pytest.fixture(scope="module")
def speech(dialogue: tuple[Path, list[Span]]) -> Path:
    return dialogue[0]


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("silence") / "silence.wav"
    soundfile.write(path, np.zeros(48_000, dtype=np.int16), 16_000, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def speech_voice(transcriber: Transcriber, speech: Path) -> list[Span]:
    return transcriber.voice_activity(speech)


class TestWhisper(TranscriberContract):
    def test_it_hears_what_is_said(self, transcriber: Transcriber, speech: Path) -> None:
        """Nine words of ten are right, and the language is recognised."""
        found = transcriber.transcribe(speech)
        said = " ".join(text for _, text in DIALOGUE).lower().replace(".", "").replace("?", "")
        heard = {word.text.lower().strip(".,?!") for word in found.words}
        assert found.language == "en"
        assert found.language_probability > 0.9
        assert sum(word in heard for word in said.split()) >= 0.9 * len(said.split())

    def test_voice_lies_where_the_takes_are(
        self, dialogue: tuple[Path, list[Span]], speech_voice: list[Span]
    ) -> None:
        """Spans start and end within 0.15 s of the takes, and no pause is voice."""
        for take in dialogue[1]:
            inside = [s for s in speech_voice if s.end_s > take.start_s and s.start_s < take.end_s]
            assert inside[0].start_s == pytest.approx(take.start_s, abs=0.15)
            assert inside[-1].end_s == pytest.approx(take.end_s, abs=0.15)

    def test_music_is_no_speech(self, transcriber: Transcriber, tmp_path: Path) -> None:
        """Chords without a voice have no words."""
        times = np.arange(20 * 16_000) / 16_000
        chord = sum(np.sin(2 * np.pi * hz * times) for hz in (220, 277, 330, 440))
        beat = np.exp(-4 * (times % 0.5))
        path = tmp_path / "music.wav"
        soundfile.write(path, (0.1 * chord * beat).astype(np.float32), 16_000, subtype="PCM_16")
        assert transcriber.transcribe(path).words == ()

    def test_another_sample_rate_is_heard_too(
        self, transcriber: Transcriber, speech: Path, speech_voice: list[Span], tmp_path: Path
    ) -> None:
        """A dub of 24 kHz has voice where its copy of 16 kHz has it."""
        samples, _ = soundfile.read(speech, dtype="float32")
        path = tmp_path / "24k.wav"
        soundfile.write(path, soxr.resample(samples, 16_000, 24_000), 24_000, subtype="PCM_16")
        found = transcriber.voice_activity(path)
        assert found[0].start_s == pytest.approx(speech_voice[0].start_s, abs=0.1)
        assert found[-1].end_s == pytest.approx(speech_voice[-1].end_s, abs=0.1)


class TestDVectors(DiarizerContract):
    def test_two_voices_are_told_apart(
        self, diarizer: Diarizer, dialogue: tuple[Path, list[Span]], speech_voice: list[Span]
    ) -> None:
        """Each take belongs to its voice, for nine tenths of the time."""
        path, takes = dialogue
        turns = diarizer.diarize(path, speech_voice)
        assert {turn.speaker for turn in turns} == {0, 1}
        right_s = whole_s = 0.0
        for n, take in enumerate(takes):
            for turn in turns:
                shared_s = min(turn.end_s, take.end_s) - max(turn.start_s, take.start_s)
                if shared_s > 0:
                    whole_s += shared_s
                    right_s += shared_s if turn.speaker == n % 2 else 0
        assert right_s > 0.9 * whole_s

    def test_one_voice_is_one_speaker(
        self, diarizer: Diarizer, transcriber: Transcriber, dialogue: tuple[Path, list[Span]],
        tmp_path: Path,
    ) -> None:  # fmt: skip
        """Nobody talks to themselves."""
        samples, _ = soundfile.read(dialogue[0], dtype="float32")
        hers = [samples[round(s.start_s * 16_000) : round(s.end_s * 16_000)] for s in dialogue[1]]
        path = tmp_path / "one.wav"
        soundfile.write(path, np.concatenate(hers[::2]), 16_000, subtype="PCM_16")
        turns = diarizer.diarize(path, transcriber.voice_activity(path))
        assert {turn.speaker for turn in turns} == {0}


class TestLlama(TranslatorContract):
    @pytest.mark.parametrize(("target", "words"), [("es", {"jefe", "nadie"}), ("fr", {"personne"})])
    def test_it_knows_the_language(
        self, translator: Translator, target: str, words: set[str]
    ) -> None:
        """Words that any translation of these sentences has are there."""
        texts = tuple(SourceText(n, text, 0, 80) for n, text in enumerate(SENTENCES))
        found = translator.translate(TranslationRequest("en", target, texts))
        assert len(found) == len(SENTENCES)
        said = " ".join(found.values()).lower()
        assert all(word in said for word in words), said


class TestKokoro(SynthesizerContract):
    def test_a_language_that_nobody_speaks_has_no_voices(self, synthesizer: Synthesizer) -> None:
        """The list is empty rather than an error."""
        assert synthesizer.voices("xx") == []

    def test_a_process_that_dies_is_replaced_within_the_line(
        self, synthesizer: Synthesizer, host: EngineHost, tmp_path: Path
    ) -> None:
        """The caller gets its take, from a new process."""
        assert isinstance(synthesizer, SidecarSynthesizer)
        before = synthesizer.pid
        assert before is not None
        text = "Esta es una frase larga, y luego otra, y al final una más. " * 5
        ended = len(host.usage)
        killer = threading.Timer(0.5, os.kill, (before, signal.SIGKILL))
        killer.start()
        speech = synthesizer.synthesize(
            text,
            language="es",
            voice=synthesizer.voices("es")[0].id,
            speed=1.0,
            target=tmp_path / "take.wav",
        )
        killer.join()
        assert speech.duration_s > 5
        assert synthesizer.pid != before
        assert len(host.usage) == ended + 1

    def test_a_taken_port_makes_way(
        self, settings: Settings, specs: EngineSpecs, host: EngineHost
    ) -> None:
        """When another program holds the port, any free one is taken."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            options = {**specs.synthesizer.options, "engine": "fake"}
            options["port"] = taken.getsockname()[1]
            spec = type(specs.synthesizer)(specs.synthesizer.target, options, owns_process=True)
            with host.engine("synthesizer", spec) as synthesizer:
                assert isinstance(synthesizer, SidecarSynthesizer)
                assert synthesizer.health()["engine"] == "fake"

    def test_nobody_else_may_ask_it(self, synthesizer: Synthesizer) -> None:
        """Without the daemon's token every call is refused."""
        assert isinstance(synthesizer, SidecarSynthesizer)
        synthesizer.health()
        assert synthesizer.address is not None
        answer = httpx.get(f"http://{synthesizer.address}/health", trust_env=False)
        assert answer.status_code == 401


def test_no_process_is_left(host: EngineHost, specs: EngineSpecs) -> None:
    """A speech process ends with its block, within moments."""
    with host.engine("synthesizer", specs.synthesizer) as synthesizer:
        assert isinstance(synthesizer, SidecarSynthesizer)
        synthesizer.health()
        pid = synthesizer.pid
        assert pid is not None
    eventually(lambda: not Path(f"/proc/{pid}").exists(), "its end", 5.0)
