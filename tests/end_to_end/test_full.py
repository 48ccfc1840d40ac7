"""A job of the full profile on the CPU: every engine of it for real, on models without training.

Whisper, pyannote, Demucs and XTTS load tiny checkpoints of random weights through their own
libraries; the language model is a service on 127.0.0.1. What is said makes no sense, but everything
that turns a video into a track runs as it does with trained models.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import soundfile

from tests.waiting import eventually

pytest.importorskip("demucs", reason="needs the packages of the full profile: make full")
pytest.importorskip("pyannote.audio", reason="needs the packages of the full profile: make full")

from dubarr_watch import workshop
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.engines.full_packages import full_packages_missing
from dubarr_watch.engines.registry import EngineSpecs, specs_for
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.media import probe
from dubarr_watch.runner import Ended
from dubarr_watch.settings import Profile, Settings, load_settings
from dubarr_watch.store.records import JobOptions, JobState, VideoState
from tests.composing import ffmpeg, living_below
from tests.services.openai_server import KEY, MODEL, OpenAIServer
from tests.tiny import demucs, pyannote, whisper
from tests.tiny.speech import speak
from tests.tiny.xtts import PYTHON, build_xtts

pytestmark = pytest.mark.timeout(900)

SECONDS = 16.0
SPOKEN = ((0.5, 4.0, 120.0, 1.0), (5.5, 3.5, 230.0, 0.8), (10.5, 4.0, 120.0, 1.0))
"""When somebody speaks in the video: start, seconds, pitch, size of the mouth."""


HEARD = "One boat came in. Nobody saw it. Then it was gone. We all went home."
"""What this Whisper hears in every window of voice."""


@dataclass(frozen=True)
class Dubbed:
    """What the job left."""

    ended: Ended
    settings: Settings
    video: Path
    service: OpenAIServer
    stages: list[str]
    plan: str

    @property
    def work(self) -> Path:
        return self.settings.work_dir / str(self.ended.job.id)

    @property
    def report(self) -> dict[str, Any]:
        path = self.settings.reports_dir / f"{self.ended.job.id}.es.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder in which every model is a tiny one."""
    if full_packages_missing() or not PYTHON.exists():
        pytest.skip("needs the packages of the full profile: make full")
    folder = tmp_path_factory.mktemp("models")
    whisper.build(folder / "faster-whisper-tiny", text=HEARD)
    pyannote.build(folder / "speaker-diarization-community-1")
    demucs.build(folder / "htdemucs")
    build_xtts(folder / "xtts-v2")
    return folder


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices in turns, a hum under them."""
    rate = 48_000
    times = np.arange(round(SECONDS * rate)) / rate
    sound = (0.01 * np.sin(2 * np.pi * 100 * times)).astype(np.float32)
    for start_s, seconds, pitch_hz, size in SPOKEN:
        spoken = speak(seconds, pitch_hz=pitch_hz, size=size)
        pauses = np.sin(9 * np.arange(spoken.size) / 16_000) > -0.8  # as between words
        voice = np.repeat(spoken * pauses, 3)
        begin = round(start_s * rate)
        sound[begin : begin + voice.size] += voice
    folder = tmp_path_factory.mktemp("videos")
    wav = folder / "sound.wav"
    soundfile.write(wav, sound, rate, subtype="PCM_16")
    path = folder / "Talk.mkv"
    ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=64x48:r=5:d={SECONDS}", "-i", wav,
           "-c:v", "mpeg4", "-c:a", "aac", "-metadata:s:a:0", "language=eng", path)  # fmt: skip
    wav.unlink()
    return path


@pytest.fixture(scope="module")
def dubbed(models: Path, video: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dubbed]:
    config = tmp_path_factory.mktemp("config")

    def kind_specs(profile: Profile, settings: Settings) -> EngineSpecs:
        specs = specs_for(profile, settings)
        assert specs.separator is not None
        kind = replace(specs.separator, target="tests.full_separator:KindSeparator")
        # The model of voice prints is the embedded profile's own, tested there.
        printer = EngineSpec("dubarr_watch.engines.fake_printer:FakePrinter")
        diarizer = replace(specs.diarizer, target="tests.full_diarizer:KindDiarizer")
        return replace(specs, separator=kind, printer=printer, diarizer=diarizer)

    with OpenAIServer().running() as service, pytest.MonkeyPatch.context() as patch:
        patch.setattr(workshop, "specs_for", kind_specs)
        patch.setattr(workshop, "models_needed", lambda profile, specs, settings: [])
        settings = load_settings(
            profile=Profile.FULL,
            openai_api_key=KEY,
            openai_base_url=service.base_url,
            llm_model=MODEL,
            llm_usd_in=1.0,
            llm_usd_out=2.0,
            hf_token="hf_of_nobody",
            coqui_tos_agreed=True,
            whisper_model="tiny",
            separation="always",
            device="cpu",
            videos_dir=video.parent,
            models_dir=models,
            config_dir=config,
            tts_port=0,
            debug_mode=True,
            max_attempts=1,
            qa="off",  # weights without training babble
        )
        with workshop.open_workshop(settings, foreground=True) as opened:
            stat = video.stat()
            record = opened.store.videos.record(
                video, stat.st_size, stat.st_mtime_ns, fingerprint(video), VideoState.ARRIVED
            )
            job = opened.store.jobs.enqueue(record.id, ("es",), JobOptions())
            claimed = opened.store.jobs.claim_job(job.id, opened.owner.id)
            ended = opened.runner.run(claimed)
            found = opened.store.checkpoints.stages(job.id)
            stages = [stage.stage for stage in found]
            leases = opened.store.leases.current()
            assert leases == []
            plan = opened.plan.text()
        yield Dubbed(ended, settings, video, service, stages, plan)


def test_the_job_is_done(dubbed: Dubbed) -> None:
    good = (JobState.DONE, JobState.DONE_WITH_WARNINGS)
    assert dubbed.ended.job.state in good, dubbed.ended.job.reason


def test_every_stage_of_the_full_profile_ran(dubbed: Dubbed) -> None:
    assert dubbed.stages == [
        "extract", "separate", "transcribe", "diarize", "lines", "voices", "references", "people",
        "analyse", "translate", "cast", "synthesize", "mix", "publish", "report",
    ]  # fmt: skip


def test_the_track_has_its_tags_and_the_length_of_the_video(dubbed: Dubbed) -> None:
    found = probe(dubbed.video.with_name("Talk.Dubarr.es.mka"))
    (stream,) = found.streams
    assert (stream.language, stream.title) == ("spa", "Spanish (AI dub)")
    assert found.duration_s == pytest.approx(probe(dubbed.video).duration_s, abs=0.1)


def test_no_line_overlaps_the_next(dubbed: Dubbed) -> None:
    lines, summary = dubbed.report["lines"], dubbed.report["summary"]
    assert len(lines) >= 3
    for line, after in itertools.pairwise(lines):
        assert line["placed_s"] + line["take_s"] <= after["placed_s"] + 1e-3
    assert summary["overlaps"] == 0
    assert summary["speed_max"] <= dubbed.settings.max_speedup
    assert summary["loudness_lufs"] == pytest.approx(-23, abs=0.5)


def test_lines_are_spoken_in_voices_cloned_from_the_video(dubbed: Dubbed) -> None:
    """References were cut, and the cloned voice said most of the lines."""
    references = list((dubbed.work / "references").glob("*.wav"))
    assert references
    for path in references:
        found = soundfile.info(path)
        assert (found.samplerate, found.channels) == (24_000, 1)
        assert found.duration <= 10.01
    takes = json.loads((dubbed.work / "synthesize.es.json").read_text())
    voices = [take["take"]["voice"] for take in takes if take["take"]]
    assert voices.count("clone") >= len(voices) / 2, voices


def test_the_service_was_asked_in_the_right_order_and_never_without_the_film(
    dubbed: Dubbed,
) -> None:
    kinds = [asked.kind for asked in dubbed.service.asked]
    assert len(set(kinds)) >= 2, kinds
    assert all(asked.key == KEY for asked in dubbed.service.asked)
    summary = dubbed.report["summary"]
    assert summary["llm"]["requests"] >= 2
    assert summary["llm"]["tokens_out"] > 0
    assert summary["llm"]["usd"] >= 0
    assert summary["speech_chars"] > 0


def test_on_a_processor_everything_runs_there_and_nothing_is_left_behind(dubbed: Dubbed) -> None:
    assert "GPU" not in dubbed.plan.splitlines()[0]
    assert dubbed.plan.splitlines()[-1] == "No GPU is used; one job at a time."
    eventually(lambda: living_below(psutil.Process()) == [], "every engine has ended")
