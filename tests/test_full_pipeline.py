"""The stages that only the full profile has; on fakes in process."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.registry import specs_for
from dubarr_watch.errors import EngineCrashed
from dubarr_watch.runner import Ended
from dubarr_watch.settings import Profile
from dubarr_watch.store.records import JobState
from tests.composing import TONE_HZ, Call, Shop, ffmpeg, make_talk, open_shop, share_of, sound_of
from tests.dubbing.rooms import RATE as ROOM_RATE
from tests.dubbing.rooms import decay_after, in_room, spoken
from tests.full_fakes import UnderstandingTranslator
from tests.tiny.speech import speak

SRT = """1
00:00:00,000 --> 00:00:02,400
What was really said.
"""


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        opened.specs = specs_for(Profile.FULL, opened.settings)
        yield opened


@pytest.fixture
def film(shop: Shop) -> Path:
    return make_talk(shop.videos / "Film.mkv")


@pytest.fixture
def model(shop: Shop) -> type[UnderstandingTranslator]:
    """A translator that keeps what it was asked."""
    kept = UnderstandingTranslator
    for asked in (kept.analysed, kept.corrected, kept.translated, kept.shortened):
        asked.clear()
    spec = EngineSpec("tests.full_fakes:UnderstandingTranslator")
    shop.specs = replace(shop.specs, translator=spec)
    return kept


def cloning(shop: Shop, **options: Any) -> Path:
    """Let the synthesizer clone voices; returns the file that tells what it said."""
    said = shop.settings.config_dir / "said"
    spec = EngineSpec("tests.full_fakes:CloningSynthesizer", {"said": said, **options})
    shop.specs = replace(shop.specs, synthesizer=spec, clones=True)
    return said


def make_speech(path: Path, seconds: float = 12.0) -> Path:
    """Make a video in which somebody speaks, with pauses."""
    sound = np.zeros(round(seconds * 48_000), dtype=np.float32)
    for start_s in np.arange(0.5, seconds - 4, 5.0):
        times = np.arange(round(4.0 * 16_000)) / 16_000
        voice = np.repeat(speak(4.0) * (np.sin(9 * times) > -0.7), 3)  # with pauses
        begin = round(start_s * 48_000)
        sound[begin : begin + voice.size] = voice[: sound.size - begin]
    wav = path.with_suffix(".wav")
    soundfile.write(wav, sound, 48_000, subtype="PCM_16")
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=5:d={seconds}", "-i", wav,
           "-c:v", "mpeg4", "-c:a", "aac", f"file:{path}")  # fmt: skip
    wav.unlink()
    return path


def make_dialogue(path: Path, decay_s: float) -> Path:
    """Make a video of real speech in a room, or in none at 0."""
    sound, _ = spoken(pause_s=1.2)
    sound = in_room(sound, decay_s) if decay_s else sound
    wav = path.with_suffix(".wav")
    soundfile.write(wav, soxr.resample(sound, ROOM_RATE, 48_000), 48_000, subtype="PCM_16")
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=5:d={len(sound) / ROOM_RATE}", "-i", wav,
           "-c:v", "mpeg4", "-c:a", "flac", f"file:{path}")  # fmt: skip
    wav.unlink()
    return path


def stages(shop: Shop, ended: Ended) -> list[str]:
    found = shop.store.checkpoints.stages(ended.job.id)
    return [f"{stage.stage} {stage.language}".strip() for stage in found]


def report_of(shop: Shop, ended: Ended, code: str = "es") -> dict[str, Any]:
    path = shop.settings.reports_dir / f"{ended.job.id}.{code}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


class TestOrder:
    def test_every_stage_runs_in_its_place(
        self, shop: Shop, film: Path, model: type[UnderstandingTranslator]
    ) -> None:
        film.with_suffix(".en.srt").write_text(SRT)
        cloning(shop)
        shop.set(debug_mode=True)
        ended = shop.dub(film, "es")
        assert ended.job.state is JobState.DONE
        assert stages(shop, ended) == [
            "extract", "separate", "transcribe", "diarize", "lines", "voices", "correct",
            "references", "people",
            "analyse es", "translate es", "cast", "synthesize es", "mix es", "publish es",
            "report es",
        ]  # fmt: skip

    def test_progress_only_grows(
        self, shop: Shop, film: Path, model: type[UnderstandingTranslator]
    ) -> None:
        seen: list[float] = []
        job = shop.enqueue(film, "es", "fr")
        shop.run(job, on_progress=lambda stage, share, eta_s: seen.append(share))
        assert seen == sorted(seen)
        assert seen[0] >= 0
        assert seen[-1] <= 1

    def test_a_job_goes_on_after_separation(self, shop: Shop, film: Path) -> None:
        """What took a GPU minutes is not done twice."""

        def crash(call: Call) -> None:
            if call.method == "transcribe" and shop.spy.count("transcribe") == 1:
                raise EngineCrashed("It died.")

        shop.spy.before = crash
        job = shop.enqueue(film)
        assert shop.run(job).job.state is JobState.QUEUED
        assert shop.run(job).job.state is JobState.DONE
        assert shop.spy.count("separate") == 1


class TestSeparation:
    def test_what_listens_hears_voices_alone(self, shop: Shop, film: Path) -> None:
        shop.dub(film)
        work = [call for call in shop.spy.calls if call.method in ("transcribe", "diarize")]
        assert [call.values[0].name for call in work] == ["voices.wav", "voices.wav"]

    def test_the_dub_lies_over_what_is_no_voice(self, shop: Shop, film: Path) -> None:
        """The fake takes everything for voice: nothing of the original is left."""
        separated = share_of(sound_of(shop.track(shop.dub(film).job)), TONE_HZ)
        shop.specs = replace(shop.specs, separator=None)
        again = make_talk(shop.videos / "Again.mkv", 8.2)
        ducked = share_of(sound_of(shop.track(shop.dub(again).job)), TONE_HZ)
        assert separated < ducked / 10

    @pytest.mark.parametrize("separated", [True, False])
    def test_voice_that_nobody_transcribed_stays_audible(
        self, separated: bool, shop: Shop, film: Path
    ) -> None:
        """A laugh is heard at its place, the line before it is not, and the report says so."""
        spec = EngineSpec("tests.full_fakes:DeafTranscriber")
        shop.specs = replace(shop.specs, transcriber=spec)
        if not separated:
            shop.specs = replace(shop.specs, separator=None)
        ended = shop.dub(film, "es")
        assert ended.job.state is JobState.DONE
        sound = sound_of(shop.track(ended.job, "es"))

        def tone(start_s: float, end_s: float) -> float:
            part = sound[round(start_s * 16_000) : round(end_s * 16_000)]
            power = np.abs(np.fft.rfft(part)) ** 2
            pitches = np.fft.rfftfreq(len(part), 1 / 16_000)
            return float(np.sqrt(power[np.abs(pitches - TONE_HZ) < 5].sum())) / len(part)

        line, laugh, breath = tone(0.3, 2.2), tone(3.3, 5.5), tone(6.5, 7.9)
        assert line < laugh / 8
        assert breath == pytest.approx(laugh, rel=0.1)
        notes = report_of(shop, ended)["summary"]["notes"]
        assert any("2 times, 4.0 s" in note for note in notes), notes

    def test_in_a_voice_over_the_original_is_still_heard(self, shop: Shop, film: Path) -> None:
        """It is what a voice-over is."""
        track = shop.track(shop.dub(film, style="voiceover").job)
        assert share_of(sound_of(track), TONE_HZ) > 0.01

    def test_only_what_is_needed_stays_in_the_work_folder(self, shop: Shop, film: Path) -> None:
        """The engine's own stems are as large as the film is long."""
        shop.set(debug_mode=True)
        work = shop.work(shop.dub(film).job)
        assert not (work / "stems").exists()
        for name, rate, channels in (
            ("voices.wav", 16_000, 1), ("voices.flac", 24_000, 1), ("rest.flac", 48_000, 2),
        ):  # fmt: skip
            found = soundfile.info(work / name)
            assert (found.samplerate, found.channels) == (rate, channels)
            assert found.duration == pytest.approx(8.0, abs=0.1)


class TestRooms:
    @pytest.mark.parametrize(
        ("decay_s", "style", "separated", "rings"),
        [
            (0.8, "", True, True),
            (0.0, "", True, False),
            (0.8, "voiceover", True, False),
            (0.8, "", False, False),
        ],
    )
    def test_a_dub_rings_where_the_original_does_and_its_voice_is_heard_alone(
        self, decay_s: float, style: str, separated: bool, rings: bool, shop: Shop
    ) -> None:
        """Measured in the track, behind each take, where nothing else is left."""
        if not separated:
            shop.specs = replace(shop.specs, separator=None)
        film = make_dialogue(shop.videos / "Film.mkv", decay_s)
        ended = shop.dub(film, "es", **({"style": style} if style else {}))
        notes = report_of(shop, ended)["summary"]["notes"]
        assert any("lightly reverberant" in note for note in notes) == rings
        if style or not separated:
            return
        sound = sound_of(shop.track(ended.job, "es"))
        lines = [one for one in report_of(shop, ended)["lines"] if one["take_s"]]
        ends_s = [one["placed_s"] + one["take_s"] for one in lines]
        tails = []
        for end_s in ends_s:
            tail = sound[round((end_s + 0.03) * 16_000) :][: 16_000 * 2 // 5]
            tails.append(np.abs(tail).max() / np.abs(sound).max())
        assert (min(tails) > 0.003) == rings, tails
        if rings:
            decays = [decay_after(sound, end_s + 0.03) for end_s in ends_s]
            assert np.median(decays) == pytest.approx(decay_s, rel=0.3)


class TestUnderstanding:
    def test_the_film_goes_along_with_every_question(
        self, shop: Shop, film: Path, model: type[UnderstandingTranslator]
    ) -> None:
        shop.dub(film, "es")
        (asked,) = model.analysed
        assert (asked.source, asked.target, asked.title) == ("en", "es", "Film")
        assert [text.id for text in asked.texts] == [0, 1, 2]
        assert {request.film for request in model.translated} == {model.film}
        assert set(model.shortened) <= {model.film}

    def test_subtitles_in_the_spoken_language_correct_the_transcript(
        self, shop: Shop, film: Path, model: type[UnderstandingTranslator]
    ) -> None:
        film.with_suffix(".en.srt").write_text(SRT)
        ended = shop.dub(film, "es")
        assert report_of(shop, ended)["lines"][0]["source_text"] == "What was really said."
        assert model.analysed[0].texts[0].text == "What was really said."

    def test_everything_asked_of_the_model_waits_in_one_queue(
        self, shop: Shop, film: Path, model: type[UnderstandingTranslator]
    ) -> None:
        """Correction, analysis and translation are each asked by a thread of the dispatcher."""
        film.with_suffix(".en.srt").write_text(SRT)
        asked: dict[str, str] = {}
        shop.spy.before = lambda call: asked.update(
            {call.method: threading.current_thread().name}
            if call.kind == "translator" and call.method != "usage"
            else {}
        )
        shop.dub(film, "es")
        assert {"correct", "analyse", "translate"} <= asked.keys()
        assert {name: t for name, t in asked.items() if not t.startswith("translator")} == {}

    def test_a_film_with_subtitles_in_the_language_is_not_analysed(
        self, shop: Shop, film: Path, model: type[UnderstandingTranslator]
    ) -> None:
        """There is nothing left to translate."""
        cue = "{0}\n00:00:{1:02d},000 --> 00:00:{2:02d},000\nUno {0}\n"
        blocks = [cue.format(1, 0, 2), cue.format(2, 3, 5), cue.format(3, 6, 8)]
        film.with_suffix(".es.srt").write_text("\n".join(blocks))
        shop.dub(film, "es")
        assert model.analysed == []
        assert model.translated == []

    def test_what_it_cost_is_in_the_report(
        self, shop: Shop, film: Path, model: type[UnderstandingTranslator]
    ) -> None:
        """Analysis and translation, not what an earlier film has cost."""
        shop.dub(film, "es")
        other = shop.dub(make_talk(shop.videos / "Other.mkv", 8.4), "es")
        summary = report_of(shop, other)["summary"]
        assert summary["llm"]["requests"] == 2
        assert summary["llm"]["tokens_per_s"] == 50
        assert summary["speech_chars"] >= sum(
            len(line["text"]) for line in report_of(shop, other)["lines"]
        )


class TestCloning:
    def test_a_line_is_cloned_from_itself_then_from_its_speaker(self, shop: Shop) -> None:
        said = cloning(shop)
        ended = shop.dub(make_speech(shop.videos / "Talk.mkv"), "es")
        assert ended.job.state in (JobState.DONE, JobState.DONE_WITH_WARNINGS)
        spoken = [line.split() for line in said.read_text().splitlines()]
        cloned = [references for voice, _, *references in spoken if voice == "clone"]
        assert cloned
        assert all(1 <= len(references) <= 2 for references in cloned)
        assert not any(references for voice, _, *references in spoken if voice != "clone")

    def test_who_cannot_be_cloned_gets_a_built_in_voice(self, shop: Shop, film: Path) -> None:
        """A tone without pauses is no clean speech."""
        said = cloning(shop)
        assert shop.dub(film).job.state is JobState.DONE
        assert {line.split()[0] for line in said.read_text().splitlines()} <= {
            f"fake_es_{name}" for name in ("anna", "bert", "cleo", "dave")
        }

    def test_without_built_in_voices_the_best_there_is_is_cloned(
        self, shop: Shop, film: Path
    ) -> None:
        said = cloning(shop, built_in=False)
        assert shop.dub(film).job.state is JobState.DONE
        assert {line.split()[0] for line in said.read_text().splitlines()} == {"clone"}

    def test_another_reference_is_another_take(self, shop: Shop) -> None:
        """Takes that were made from other recordings are not kept."""
        cloning(shop)
        film = make_speech(shop.videos / "Talk.mkv")
        job = shop.enqueue(film)

        def crash(call: Call) -> None:
            if call.method == "voice_activity" and shop.spy.count("voice_activity") == 1:
                raise EngineCrashed("It died.")

        shop.spy.before = crash
        shop.run(job)
        before = shop.spy.count("synthesize")
        shop.specs = replace(shop.specs, separator=None)  # now the mix is what is cloned from
        shutil.rmtree(shop.settings.config_dir / "voices")  # and nobody was ever cloned before
        assert shop.run(job).job.state.ended
        assert shop.spy.count("synthesize") > before


class TestDiarizationFallback:
    def test_it_is_labelled_where_the_user_allows_it(self, shop: Shop, film: Path) -> None:
        fallback = shop.specs.diarizer
        locked = EngineSpec("tests.full_fakes:LockedDiarizer")
        shop.specs = replace(shop.specs, diarizer=locked, diarizer_fallback=fallback)
        notes = report_of(shop, shop.dub(film))["summary"]["notes"]
        assert any("The model is locked." in note for note in notes)

    def test_else_the_job_says_what_is_missing(self, shop: Shop, film: Path) -> None:
        locked = EngineSpec("tests.full_fakes:LockedDiarizer")
        shop.specs = replace(shop.specs, diarizer=locked)
        ended = shop.dub(film)
        assert ended.job.state is JobState.FAILED
        assert "The model is locked. Open its page." in ended.job.reason


class TestLanguages:
    def test_what_the_voice_does_not_speak_is_refused_before_anything_is_heard(
        self, shop: Shop, film: Path
    ) -> None:
        shop.specs = replace(shop.specs, speaks=frozenset({"es", "fr"}), speech="The voice")
        ended = shop.dub(film, "pl")
        assert ended.job.state is JobState.FAILED
        assert ended.job.reason == (
            "The voice does not speak Polish. It speaks French and Spanish."
        )
        assert shop.spy.calls == []
