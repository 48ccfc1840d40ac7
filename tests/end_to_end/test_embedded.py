"""The real daemon on real models: a clip that the tests speak, into two languages, and a death.

One job serves all tests: it is killed in the middle of synthesis and goes on after a restart.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile
from numpy.typing import NDArray

from dubarr_watch.demo.clip import speak_clip
from dubarr_watch.dubbing.casting import FEMALE_ABOVE_HZ, frame_pitches
from dubarr_watch.dubbing.levels import measure_loudness
from dubarr_watch.engines import catalog
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.errors import ModelError, ModelMissing
from dubarr_watch.media import probe
from dubarr_watch.settings import Profile, Settings, load_settings
from dubarr_watch.store.reading import open_for_reading
from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import ffmpeg, living_below, names, sha256, sound_of
from tests.programs import Program, all_gone, drop
from tests.waiting import eventually

pytestmark = [pytest.mark.models, pytest.mark.timeout(1500)]

LANGUAGES = {"es": ("spa", "Spanish (AI dub)"), "fr": ("fre", "French (AI dub)")}
JOB_S = 1200.0

MIN_WORD_RECALL = 0.6
EARLIEST_S, LATEST_S = -0.045, 0.125
"""How far a dubbed line may start from its original: what ITU-R BT.1359 calls undetectable."""

HER_WORDS, HIS_WORDS = ("kitchen", "river", "rain"), ("wonderful", "grandfather", "coffee")


@dataclass(frozen=True)
class Dubbed:
    """A finished job, and what was seen on the way to it."""

    program: Program
    video: Path
    hash_before: str
    job: JobRecord
    spoken_before: dict[str, int]
    spoken_after: dict[str, int]
    sound_after_death: bool

    @property
    def work(self) -> Path:
        """The job's work folder, kept by DEBUG_MODE."""
        return self.program.config / "work" / str(self.job.id)

    def track(self, language: str) -> Path:
        """Return a track."""
        return self.program.videos / f"Talk.Dubarr.{language}.mka"

    def report(self, language: str) -> Any:
        """Return a report."""
        path = self.program.config / "reports" / f"{self.job.id}.{language}.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def voices(self, language: str) -> dict[int, str]:
        """Return the voice that said each line."""
        store = open_for_reading(self.program.config / "dubarr.db")
        assert store is not None
        with store:
            lines = store.checkpoints.lines(self.job.id, language)
        return {index: json.loads(line.data)["take"]["voice"] for index, line in lines.items()}


@pytest.fixture(scope="session")
def models() -> Path:
    """MODELS_DIR, else where `make` keeps models."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = Path(os.environ.get("MODELS_DIR", cache / "dubarr-watch" / "models"))
    try:
        for name in catalog.embedded_models().names():
            catalog.path(name, folder)
    except (ModelMissing, ModelError):
        pytest.skip("needs the embedded models: make models")
    return folder


@pytest.fixture(scope="session")
def settings(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of engines that are used beside the daemon's."""
    config = tmp_path_factory.mktemp("config")
    return load_settings(models_dir=models, config_dir=config, profile=Profile.EMBEDDED, tts_port=0)


@pytest.fixture(scope="session")
def clip(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A woman and a man in conversation, music under them; about 23 s."""
    spec = specs_for(Profile.EMBEDDED, settings).synthesizer
    with EngineHost(settings).engine("synthesizer", spec) as synthesizer:
        return speak_clip(synthesizer, tmp_path_factory.mktemp("clip"), "Talk.mkv")


@pytest.fixture(scope="session")
def dubbed(clip: Path, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dubbed]:
    environment = {"MOCK_MODE": "false", "PROFILE": "embedded", "MODELS_DIR": str(models),
                   "DEBUG_MODE": "true", "TTS_PORT": "0", "THREADS": "0"}  # fmt: skip
    with Program(tmp_path_factory.mktemp("house"), **environment) as program:
        program.start()
        (program.videos / "Talk.mkv.dub").write_text("Spanish, fr\n")
        video = drop(clip, program.videos)
        hash_before = sha256(video)
        job = eventually(lambda: program.job("Talk.mkv", JobState.RUNNING), "running", JOB_S)
        eventually(lambda: len(program.takes(job)) >= 3, "three takes", JOB_S)
        below = program.end(signal.SIGKILL)
        eventually(lambda: all_gone(below), f"orphans end by themselves: {below}")
        spoken, sound = program.takes(job), program.is_sound()
        process = program.start()
        job = eventually(lambda: program.job("Talk.mkv"), "the end", JOB_S)
        marker = program.videos / "Talk.mkv.dub.done"
        eventually(marker.exists, "the answered marker")
        eventually(lambda: not living_below(psutil.Process(process.pid)), "engines end")
        yield Dubbed(program, video, hash_before, job, spoken, program.takes(job), sound)


def test_the_job_is_done_in_two_languages(dubbed: Dubbed) -> None:
    assert dubbed.job.state in (JobState.DONE, JobState.DONE_WITH_WARNINGS), dubbed.job.reason
    assert dubbed.job.languages == ("es", "fr")
    ours = [f"Talk.Dubarr.{code}.{kind}" for code in LANGUAGES for kind in ("mka", "srt")]
    assert names(dubbed.program.videos) == sorted([*ours, "Talk.mkv", "Talk.mkv.dub.done"])
    assert sha256(dubbed.video) == dubbed.hash_before


def test_killed_in_the_middle_of_speech_it_went_on_with_the_next_line(dubbed: Dubbed) -> None:
    assert dubbed.sound_after_death
    assert dubbed.job.attempts == 2
    kept = sorted(dubbed.spoken_before)[:-1]
    assert len(kept) >= 2
    assert {name: dubbed.spoken_after[name] for name in kept} == {
        name: dubbed.spoken_before[name] for name in kept
    }
    assert len(dubbed.spoken_after) > len(dubbed.spoken_before)


@pytest.mark.parametrize("code", LANGUAGES)
class TestTracks:
    def test_tags_and_length(self, dubbed: Dubbed, code: str) -> None:
        found = probe(dubbed.track(code))
        (stream,) = found.streams
        assert (stream.language, stream.title) == LANGUAGES[code]
        assert found.duration_s == pytest.approx(probe(dubbed.video).duration_s, abs=0.1)

    def test_loudness(self, dubbed: Dubbed, code: str) -> None:
        loudness = measure_loudness(dubbed.track(code))
        assert loudness.integrated_lufs == pytest.approx(-23.0, abs=0.5)
        assert loudness.true_peak_dbtp <= -1.5
        summary = dubbed.report(code)["summary"]
        assert summary["loudness_lufs"] == pytest.approx(loudness.integrated_lufs, abs=0.15)

    def test_lines_start_where_the_original_starts(self, dubbed: Dubbed, code: str) -> None:
        samples, rate = soundfile.read(dubbed.work / f"speech.{code}.wav", dtype="float32")
        lines = [line for line in dubbed.report(code)["lines"] if line["outcome"] != "silent"]
        assert len(lines) >= 6
        for line in lines:
            heard_s = _onset_s(samples, rate, line["placed_s"])
            for start_s in (line["placed_s"], heard_s):
                assert EARLIEST_S - 1e-3 <= start_s - line["start_s"] <= LATEST_S + 1e-3, line

    def test_no_line_overlaps_the_next(self, dubbed: Dubbed, code: str) -> None:
        report = dubbed.report(code)
        lines = report["lines"]
        for line, after in itertools.pairwise(lines):
            assert line["placed_s"] + line["take_s"] <= after["placed_s"] + 1e-3
        assert report["summary"]["overlaps"] == 0
        assert report["summary"]["speed_max"] <= 1.25

    def test_two_people_are_told_apart_and_cast_with_a_woman_and_a_man(
        self, dubbed: Dubbed, code: str
    ) -> None:
        report = dubbed.report(code)
        assert report["summary"]["speakers"] == 2
        her, his = (_speaker_of(report, words) for words in (HER_WORDS, HIS_WORDS))
        assert her != his
        voices = dubbed.voices(code)
        cast = {
            speaker: {voices[x["index"]] for x in report["lines"] if x["speaker"] == speaker}
            for speaker in (her, his)
        }
        assert [len(cast[speaker]) for speaker in (her, his)] == [1, 1]
        assert cast[her] != cast[his]
        pitch_hz = {speaker: self.pitch_hz(dubbed, code, speaker) for speaker in (her, his)}
        assert pitch_hz[his] < FEMALE_ABOVE_HZ < pitch_hz[her], pitch_hz

    def pitch_hz(self, dubbed: Dubbed, code: str, speaker: int) -> float:
        """Return the median pitch of what one speaker says in the dub."""
        samples, rate = soundfile.read(dubbed.work / f"speech.{code}.wav", dtype="float32")
        said = [
            samples[int(x["placed_s"] * rate) : int((x["placed_s"] + x["take_s"]) * rate)]
            for x in dubbed.report(code)["lines"]
            if x["speaker"] == speaker
        ]
        return float(np.median(frame_pitches(np.concatenate(said), rate)))

    def test_the_dub_says_its_words(
        self, dubbed: Dubbed, code: str, settings: Settings, tmp_path: Path
    ) -> None:
        """Whisper hears in the finished track what the report says was spoken."""
        heard_from = tmp_path / "track.wav"
        ffmpeg("-i", dubbed.track(code), "-ac", "1", "-ar", "16000", heard_from)
        spec = specs_for(Profile.EMBEDDED, settings).transcriber
        with EngineHost(settings).engine("transcriber", spec) as transcriber:
            heard = transcriber.transcribe(heard_from, language=code)
        wanted = _words(" ".join(line["text"] for line in dubbed.report(code)["lines"]))
        found = _words(" ".join(word.text for word in heard.words))
        recall = sum(min(n, found.count(word)) for word, n in _counted(wanted)) / len(wanted)
        print(f"{code}: word recall {recall:.2f}")  # noqa: T201
        assert recall >= MIN_WORD_RECALL, (wanted, found)

    def test_it_is_another_language_than_the_original(self, dubbed: Dubbed, code: str) -> None:
        for line in dubbed.report(code)["lines"]:
            assert line["text"]
            assert _words(line["text"]) != _words(line["source_text"])

    def test_music_is_heard_where_nobody_speaks(self, dubbed: Dubbed, code: str) -> None:
        original, dub = sound_of(dubbed.video), sound_of(dubbed.track(code))
        before_first = slice(int(0.05 * 16000), int(0.6 * 16000))
        match = np.corrcoef(original[before_first], dub[before_first])[0, 1]
        assert match > 0.9
        assert np.sqrt(np.mean(dub[before_first] ** 2)) > 1e-3

    def test_what_it_cost_is_in_the_report(self, dubbed: Dubbed, code: str) -> None:
        summary = dubbed.report(code)["summary"]
        print(f"{code}: {summary}")  # noqa: T201
        assert 0 < summary["peak_rss_mib"] <= 4096
        assert summary["within_slot"] >= 0.8
        assert summary["speech_iou"] >= 0.5
        assert summary["stage_seconds"]["transcribe"] > 0


def test_music_alone_holds_no_speech(models: Path, tmp_path: Path) -> None:
    program = Program(tmp_path, MOCK_MODE="false", PROFILE="embedded", MODELS_DIR=str(models))
    chord = "+".join(f"0.1*sin(2*PI*{hz}*t)" for hz in (220, 261.63, 329.63, 440))
    swell = f"({chord})*(0.6+0.4*sin(2*PI*t/3))"
    video = program.videos / "Concert.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=15", "-f", "lavfi", "-i",
           f"aevalsrc={swell}:s=48000:d=15", "-c:v", "mpeg4", "-c:a", "aac", video)  # fmt: skip
    done = program.run("dub", video, "--lang", "es", "--json", timeout_s=600)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["state"], document["reason"], document["tracks"]) == (
        "done", "No speech found.", [],
    )  # fmt: skip
    assert names(program.videos) == ["Concert.mkv"]


def _onset_s(samples: NDArray[np.float32], rate: int, near_s: float) -> float:
    """Return when sound begins that was not there just before, within 0.3 s of a time."""
    step = rate // 200
    first = max(0, int((near_s - 0.05) * rate))
    piece = samples[first : first + int(0.45 * rate)]
    frames = piece[: len(piece) // step * step].reshape(-1, step)
    loud = np.sqrt((frames**2).mean(axis=1)) > 10 ** (-45 / 20)
    return (first + int(np.argmax(loud)) * step) / rate if loud.any() else float("inf")


def _speaker_of(report: Any, words: tuple[str, ...]) -> int:
    speakers = {
        line["speaker"]
        for line in report["lines"]
        if any(word in line["source_text"].lower() for word in words)
    }
    assert len(speakers) == 1, (words, report["lines"])
    return int(speakers.pop())


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def _counted(words: list[str]) -> list[tuple[str, int]]:
    return [(word, words.count(word)) for word in dict.fromkeys(words)]
