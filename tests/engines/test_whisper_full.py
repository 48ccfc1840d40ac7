"""Whisper of any size on any device: a tiny one in the real library, and what a lease allows."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from dubarr_watch.engines.base import EngineSpec, Place, Span, Transcriber, Word
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.engines.whisper import WhisperTranscriber, _placed, _plausible
from dubarr_watch.engines.whisper_sizes import (
    SIZES,
    Precision,
    choose_precision,
    whisper_need,
)
from dubarr_watch.errors import ModelMissing
from dubarr_watch.settings import Profile, WhisperModel, load_settings
from tests.engines.contracts import TranscriberContract
from tests.engines.test_whisper_windows import FULL, WINDOW, hear
from tests.engines.test_whisper_windows import transcriber as stand_in
from tests.tiny import whisper as tiny
from tests.tiny.speech import RATE, speak

CUDA = ("float32", "float16", "bfloat16", "int8", "int8_float32", "int8_float16")
GIB = 1024


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.build(tmp_path_factory.mktemp("model") / "whisper-tiny")


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> EngineHost:
    return EngineHost(load_settings(config_dir=tmp_path_factory.mktemp("config"), mock_mode=False))


@pytest.fixture(scope="module")
def transcriber(host: EngineHost, model: Path) -> Iterator[Transcriber]:
    spec = EngineSpec(
        "dubarr_watch.engines.whisper:WhisperTranscriber",
        {"model": model, "threads": 1, "place": Place()},
    )
    with host.engine("transcriber", spec) as transcriber:
        yield transcriber


@pytest.fixture(scope="module")
def speech(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("speech") / "speech.wav"
    pause = np.zeros(RATE, dtype=np.float32)
    voices = [speak(4), pause, speak(3, pitch_hz=200, size=0.85), pause, speak(5), pause]
    soundfile.write(path, np.concatenate([pause, *voices]), RATE, subtype="PCM_16")
    return path


@pytest.fixture(scope="module")
def silence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("silence") / "silence.wav"
    soundfile.write(path, np.zeros(3 * RATE, dtype=np.int16), RATE, subtype="PCM_16")
    return path


class TestTinyWhisper(TranscriberContract):
    def test_it_says_its_sentence(self, transcriber: Transcriber, speech: Path) -> None:
        """What the model knows by heart comes through tokens, batches and word times unharmed."""
        found = transcriber.transcribe(speech)
        said = " ".join(word.text for word in found.words)
        assert said.replace(tiny.SENTENCE, "").strip() == ""
        assert found.language == "en"
        assert found.language_probability > 0.9

    def test_more_windows_than_a_batch_are_all_heard(
        self, transcriber: Transcriber, tmp_path: Path
    ) -> None:
        """Six windows of voice, of which four are heard at once, have six sentences."""
        path = tmp_path / "long.wav"
        part = np.concatenate([speak(26), np.zeros(2 * RATE, dtype=np.float32)])
        soundfile.write(path, np.tile(part, 6), RATE, subtype="PCM_16")
        words = transcriber.transcribe(path).words
        assert [w.text for w in words].count("ship") >= 6

    def test_it_runs_where_it_can(self, model: Path) -> None:
        """CTranslate2 knows no GPU of Apple's: the CPU, in int8."""
        made = WhisperTranscriber(model=model, threads=1, place=Place("mps", "", 4096))
        assert (made._model.model.device, made._model.model.compute_type) == ("cpu", "int8_float32")


def test_the_newest_size_is_heard_with_too(speech: Path, tmp_path: Path) -> None:
    """Large-v3 has 128 bands where others have 80, and a hundredth language."""
    folder = tiny.build(tmp_path / "v3", tiny.Shape(mels=128, languages=100))
    found = WhisperTranscriber(model=folder, threads=1).transcribe(speech)
    assert found.language == "en"
    assert found.words[0].text == tiny.SENTENCE.split()[0]


@pytest.mark.models
def test_real_weights_hear_with_a_place_what_was_said(host: EngineHost, tmp_path: Path) -> None:
    """Base, as it is pulled, hears nine words of ten of a sentence that Kokoro speaks."""
    models = Path(os.environ.get("MODELS_DIR") or Path.home() / ".cache/dubarr-watch/models")
    settings = load_settings(models_dir=models, config_dir=tmp_path, tts_port=0, mock_mode=False)
    said = "Good morning. Did you sleep well after the long journey yesterday?"
    take, audio = tmp_path / "take.wav", tmp_path / "speech.wav"
    with host.engine("synthesizer", specs_for(Profile.EMBEDDED, settings).synthesizer) as speaker:
        speaker.synthesize(said, language="en", voice="af_heart", speed=1.0, target=take)
    samples, rate = soundfile.read(take, dtype="float32")
    soundfile.write(audio, soxr.resample(samples, rate, RATE), RATE, subtype="PCM_16")
    options = {"model": models / "faster-whisper-base", "threads": 2, "place": Place()}
    spec = EngineSpec("dubarr_watch.engines.whisper:WhisperTranscriber", options)
    with host.engine("transcriber", spec) as transcriber:
        heard = {w.text.lower().strip(".,?!") for w in transcriber.transcribe(audio).words}
    words = said.lower().replace(".", "").replace("?", "").split()
    assert sum(word in heard for word in words) >= 0.9 * len(words)


def test_a_model_that_is_not_there_is_named(tmp_path: Path) -> None:
    """The error has the folder and the command that fills it."""
    with pytest.raises(ModelMissing) as caught:
        WhisperTranscriber(model=tmp_path, threads=1)
    assert caught.value.path == tmp_path
    assert "models pull" in caught.value.hint


class TestPrecision:
    """What is made of a lease."""

    @pytest.fixture(params=list(WhisperModel))
    def size(self, request: pytest.FixtureRequest) -> WhisperModel:
        assert isinstance(request.param, WhisperModel)
        return request.param

    @pytest.fixture
    def folder(self, size: WhisperModel, tmp_path: Path) -> Path:
        with (tmp_path / "model.bin").open("wb") as file:
            file.truncate(SIZES[size].weights_mib << 20)  # a hole: no disk space
        return tmp_path

    def test_what_is_needed_is_enough(self, size: WhisperModel, folder: Path) -> None:
        """A lease of the need itself gives float16 and the whole batch."""
        need = whisper_need(size)
        assert need.name == f"whisper {size}"
        assert need.cpu
        found = choose_precision(folder, Place("cuda", "GPU-1", need.mib), CUDA)
        assert found == Precision("cuda", "float16", 8)

    def test_a_need_learned_from_a_run_changes_nothing(
        self, size: WhisperModel, folder: Path
    ) -> None:
        """When a run took a tenth less than was estimated, the next one is like it."""
        mib = math.ceil(whisper_need(size).mib / 1.1)
        found = choose_precision(folder, Place("cuda", "GPU-1", mib), CUDA)
        assert found == Precision("cuda", "float16", 8)

    def test_the_cpu_takes_int8(self, folder: Path) -> None:
        """Whatever else a place says, without CUDA it is the CPU, and Apple's GPU is one such."""
        for place in (Place(), Place("mps", "", 9000), Place(frugal=True)):
            assert choose_precision(folder, place) == Precision("cpu", "int8", 4)

    def test_frugal_is_the_least_there_is(self, folder: Path) -> None:
        """After running out of memory: int8, one window at a time, whatever the lease."""
        place = Place("cuda", "GPU-1", 80 * GIB, frugal=True)
        assert choose_precision(folder, place, CUDA) == Precision("cuda", "int8_float16", 1)


def test_large_needs_what_was_measured() -> None:
    """The table meets the figures of faster-whisper's README within a few percent."""
    assert whisper_need(WhisperModel.LARGE_V3).mib == pytest.approx(6090, rel=0.04)


@pytest.mark.parametrize(
    ("mib", "expected"),
    [
        (5603, ("float16", 8)),
        (5602, ("float16", 7)),
        (4327, ("float16", 2)),
        (4326, ("int8_float16", 8)),
        (4260, ("int8_float16", 8)),
        (4259, ("int8_float16", 7)),
        (2771, ("int8_float16", 1)),
        (500, ("int8_float16", 1)),
    ],
)
def test_a_small_lease_makes_large_small(
    mib: int, expected: tuple[str, int], tmp_path: Path
) -> None:
    """On each side of a limit another precision or batch is taken, and never too little."""
    with (tmp_path / "model.bin").open("wb") as file:
        file.truncate(SIZES[WhisperModel.LARGE_V3].weights_mib << 20)
    found = choose_precision(tmp_path, Place("cuda", "GPU-1", mib), CUDA)
    assert (found.compute_type, found.batch) == expected


def test_an_old_gpu_without_half_precision_has_its_own(tmp_path: Path) -> None:
    """Only what the device can do is asked of it."""
    (tmp_path / "model.bin").write_bytes(b"")
    old = ("float32", "int8", "int8_float32")
    place = Place("cuda", "GPU-1", 8 * GIB)
    assert choose_precision(tmp_path, place, old) == Precision("cuda", "float32", 8)
    frugal = Place("cuda", "GPU-1", 8 * GIB, frugal=True)
    assert choose_precision(tmp_path, frugal, old) == Precision("cuda", "int8_float32", 1)


class TestGuards:
    """What Whisper makes up is not passed on."""

    VOICE = (Span(0.0, 60.0),)

    @staticmethod
    def words(*texts: str) -> list[Word]:
        return [Word(n * 0.5, n * 0.5 + 0.4, text, 0.9) for n, text in enumerate(texts)]

    def kept(self, *texts: str) -> list[str]:
        return [word.text for word in _plausible(self.words(*texts), self.VOICE)]

    @pytest.mark.parametrize("size", [1, 2, 8])
    def test_a_phrase_is_said_three_times_at_most(self, size: int) -> None:
        """What is repeated more often is a loop; three times is emphasis."""
        phrase = [f"word{n}" for n in range(size)]
        assert self.kept(*phrase * 3) == phrase * 3
        assert self.kept(*phrase * 7, "end") == [*phrase * 3, "end"]

    def test_words_without_voice_are_dropped(self) -> None:
        """Subtitles of nobody, heard in music, have no voice under them."""
        words = self.words("thanks", "for", "watching")
        assert _plausible(words, [Span(10.0, 12.0)]) == []
        assert len(_plausible(words, [Span(0.0, 1.3)])) == 3

    @pytest.mark.parametrize(
        ("name", "bad", "good"),
        [("avg_logprob", -1.01, -1.0), ("compression_ratio", 2.41, 2.4)],
    )
    def test_a_window_beyond_a_limit_is_heard_again(
        self, name: str, bad: float, good: float, silence: Path
    ) -> None:
        """Alone and with more care; what is no better then is left out."""
        heard = {name: bad}
        made, careful = stand_in([replace(FULL, **heard)], [replace(FULL, **heard)])  # type: ignore[arg-type]
        made._hear_in_parts = lambda *given: given[-1]  # type: ignore[method-assign]
        assert hear(made, silence) == []
        assert careful.asked == 1
        made, careful = stand_in([replace(FULL, **{name: good})])  # type: ignore[arg-type]
        assert len(hear(made, silence)) == 19
        assert careful.asked == 0

    def test_text_that_repeats_itself_is_heard_again(self, silence: Path) -> None:
        """The text itself is looked at, as a batch measures all of its tokens together."""
        looped = replace(FULL, text="and then " * 40)
        made, careful = stand_in([looped], [FULL])
        assert len(hear(made, silence)) == 19
        assert careful.asked == 1

    @pytest.mark.parametrize(("no_speech", "kept"), [(0.6, 19), (0.61, 0)])
    def test_unlikely_words_in_likely_silence_are_dropped(
        self, no_speech: float, kept: int
    ) -> None:
        """Above 0.6 of no speech, words below the limit of probability are not taken."""
        unsure = replace(FULL, no_speech_prob=no_speech, avg_logprob=-1.2)
        assert len(_placed(WINDOW, [unsure], 0.0)) == kept
        assert len(_placed(WINDOW, [replace(unsure, avg_logprob=-0.2)], 0.0)) == 19
