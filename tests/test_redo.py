"""One line of a finished dub made anew, and what is kept for it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.dubbing.keeping import Keeping, is_kept
from dubarr_watch.dubbing.redo import Redo
from dubarr_watch.dubbing.results import LanguageResult
from dubarr_watch.dubbing.workspace import JobControl
from dubarr_watch.engines.base import EngineSpec, Span
from dubarr_watch.engines.fakes import FakeTranscriber
from dubarr_watch.errors import (
    EngineError,
    IllegalTransition,
    JobCancelled,
    SynthesisFailed,
    WrongUsage,
)
from dubarr_watch.languages import parse_language
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.media import probe
from dubarr_watch.runner import keeping_of
from dubarr_watch.settings import Qa
from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import Call, Shop, make_talk, names, open_shop, sha256, states
from tests.dubbing.sound_files import packets
from tests.programs import Program

ES = parse_language("es")


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as shop:
        yield telling(shop)


@pytest.fixture
def film(shop: Shop) -> Path:
    return make_talk(shop.videos / "Film.mkv")


def telling(shop: Shop, **synthesizer: Any) -> Shop:
    """Let the engines carry words, so that takes can be heard back."""
    fakes = "tests.telling_fakes"
    shop.specs = replace(
        shop.specs,
        transcriber=EngineSpec(f"{fakes}:HearingTranscriber"),
        prover=EngineSpec(f"{fakes}:HearingTranscriber"),
        synthesizer=EngineSpec(f"{fakes}:TellingSynthesizer", synthesizer),
    )
    return shop


def redo(shop: Shop, job: JobRecord, line: int, text: str | None = None) -> LanguageResult:
    now = shop.store.jobs.get(job.id)
    desk = Redo(shop.settings, shop.store, shop.host, shop.specs, now, JobControl())
    return desk.line(ES, line, text)


def report(shop: Shop, job: JobRecord) -> dict[str, Any]:
    path = shop.settings.reports_dir / f"{job.id}.es.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def published(home: Shop | Program, film: Path) -> dict[str, str]:
    """Return the hash of every file beside a video that people see, and of its report."""
    reports = home.settings.reports_dir if isinstance(home, Shop) else home.config / "reports"
    files = [path for path in film.parent.iterdir() if not path.name.startswith(".")]
    return {path.name: sha256(path) for path in [*files, *reports.iterdir()]}


class TestProofInAJob:
    def test_every_line_says_what_was_heard(self, shop: Shop, film: Path) -> None:
        ended = shop.dub(film, "es")
        assert states(ended) == {"es": JobState.DONE}
        found = report(shop, ended.job)
        assert {line["wer"] for line in found["lines"]} == {0.0}
        assert (found["summary"]["wer_median"], found["summary"]["lines_to_check"]) == (0.0, 0)

    def test_lines_that_stay_wrong_are_counted_in_the_reason(self, shop: Shop, film: Path) -> None:
        telling(shop, stumble_on="tahW")
        shop.set(qa_fail_share=1.0)
        ended = shop.dub(film, "es")
        wrong = [line["index"] for line in report(shop, ended.job)["lines"] if line["check"]]
        assert wrong
        assert ended.job.state is JobState.DONE_WITH_WARNINGS
        noun = "line" if len(wrong) == 1 else "lines"
        assert ended.job.reason == f"To check: {len(wrong)} {noun} not heard as written."

    def test_too_many_wrong_lines_fail_the_track(self, shop: Shop, film: Path) -> None:
        """And nothing is published."""
        telling(shop, stumble_on="es")
        shop.set(qa_fail_share=0.99, max_attempts=1)
        ended = shop.dub(film, "es")
        assert ended.job.state is JobState.FAILED
        assert "not heard as written in Spanish" in ended.job.reason
        assert not list(shop.videos.glob("*.mka"))

    @pytest.mark.parametrize("why", ["QA=off", "mock engines", "a language nobody hears"])
    def test_nobody_listens_where_that_would_tell_nothing(
        self, shop: Shop, film: Path, why: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if why == "QA=off":
            shop.set(qa=Qa.OFF)
        elif why == "mock engines":
            shop.specs = replace(shop.specs, prover=None)
        else:
            monkeypatch.setattr("dubarr_watch.dubbing.track.WHISPER_LANGUAGES", frozenset())
        ended = shop.dub(film, "es")
        assert {line["wer"] for line in report(shop, ended.job)["lines"]} == {None}
        assert report(shop, ended.job)["summary"]["wer_median"] is None


class TestRedo:
    def test_another_wording_is_spoken_and_published(self, shop: Shop, film: Path) -> None:
        """The track, its subtitles and the report; no other line is spoken, nothing translated."""
        ended = shop.dub(film, "es")
        before = report(shop, ended.job)
        track = shop.track(ended.job)
        old, calls = sha256(track), len(shop.spy.calls)
        result = redo(shop, ended.job, 1, "Otra cosa muy distinta.")
        assert result.state is JobState.DONE
        assert shop.spy.spoken(calls) == [("es", 1)]
        assert {call.kind for call in shop.spy.calls[calls:]} == {"synthesizer", "transcriber"}
        after = report(shop, ended.job)
        assert after["lines"][1]["text"] == after["lines"][1]["text"] == "Otra cosa muy distinta."
        assert after["lines"][1]["wer"] == 0.0
        assert [line for line in after["lines"] if line["index"] != 1] == [
            line for line in before["lines"] if line["index"] != 1
        ]
        assert after["summary"]["stage_seconds"].keys() == before["summary"]["stage_seconds"].keys()
        assert sha256(track) != old
        assert after["summary"]["overlaps"] == 0
        assert after["summary"]["loudness_lufs"] == pytest.approx(-23, abs=0.5)
        assert "Otra cosa muy distinta." in track.with_suffix(".srt").read_text(encoding="utf-8")
        known = shop.store.outputs.by_path(track)
        assert known is not None
        assert known.fingerprint == fingerprint(track), "the library knows the file as ours"

    def test_only_what_the_line_touches_is_encoded_and_listened_to_again(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a film, all packets but those around the line are those of before; twice over."""
        film = make_talk(shop.videos / "Film.mkv", 96.0)
        job = shop.dub(film, "es").job
        heard_s: list[float] = []
        real = FakeTranscriber.voice_activity

        def counted(self: FakeTranscriber, audio: Path) -> list[Span]:
            heard_s.append(probe(audio).duration_s)
            return real(self, audio)

        monkeypatch.setattr(FakeTranscriber, "voice_activity", counted)
        for line, place in ((15, 0.5), (3, 0.1)):
            before = packets(shop.track(job))
            redo(shop, job, line, "Otra cosa muy distinta.")
            after = packets(shop.track(job))
            assert [at for at, _ in after] == [at for at, _ in before]
            other = [n for n in range(len(after)) if after[n] != before[n]]
            assert 0 < len(other) < 0.35 * len(after)
            assert other[0] < place * len(after) < other[-1]
        assert report(shop, job)["lines"][15]["text"] == "Otra cosa muy distinta."
        assert len(heard_s) == 2
        assert max(heard_s) < 20

    def test_a_track_that_is_not_the_one_that_was_mixed_is_mixed_anew(self, shop: Shop) -> None:
        """Whatever somebody did to what is kept: nothing of it is taken over."""
        film = make_talk(shop.videos / "Film.mkv", 96.0)
        job = shop.dub(film, "es").job
        before = packets(shop.track(job))
        kept = shop.work(job) / "dub.es.mka"
        kept.write_bytes(kept.read_bytes()[:-1000] + bytes(1000))
        redo(shop, job, 15, "Otra cosa muy distinta.")
        after = packets(shop.track(job))
        assert len(after) == len(before)
        assert after[-1][1] != bytes(len(after[-1][1]))
        assert probe(shop.track(job)).duration_s == pytest.approx(96, abs=0.1)

    def test_without_a_text_another_take_is_made(self, shop: Shop, film: Path) -> None:
        """Of the same words, again and again, each in another file than the ones before."""
        ended = shop.dub(film, "es")
        first = report(shop, ended.job)["lines"][0]
        for number in (1, 2):
            calls = len(shop.spy.calls)
            redo(shop, ended.job, 0)
            line = report(shop, ended.job)["lines"][0]
            assert (line["text"], line["attempts"]) == (first["text"], first["attempts"] + number)
            targets = {
                call.arguments["target"].parent.name
                for call in shop.spy.calls[calls:]
                if call.method == "synthesize"
            }
            assert targets == {f"redo-{number}"}

    def test_a_line_that_was_wrong_is_right_again(self, shop: Shop, film: Path) -> None:
        telling(shop, stumble_on="tahW")
        shop.set(qa_fail_share=1.0)
        ended = shop.dub(film, "es")
        wrong = [line["index"] for line in report(shop, ended.job)["lines"] if line["check"]]
        for index in wrong:
            result = redo(shop, ended.job, index, "Ahora sí se entiende.")
        assert (result.state, result.reason) == (JobState.DONE, "")

    def test_inside_a_video_the_track_is_replaced(self, shop: Shop, film: Path) -> None:
        """The video keeps one dub, and stays the video that it was."""
        ended = shop.dub(film, "es", mode="mux")
        old = sha256(film)
        redo(shop, ended.job, 0, "Otra cosa muy distinta.")
        titles = [stream.title for stream in probe(film).of_kind("audio")]
        assert titles.count("Spanish (AI dub)") == 1
        assert sha256(film) != old
        assert shop.store.videos.get(ended.job.video.id).fingerprint == fingerprint(film)
        redo(shop, ended.job, 0)
        assert len(probe(film).of_kind("audio")) == 2

    def test_what_cannot_be_made_anew_says_why(self, shop: Shop, film: Path) -> None:
        ended = shop.dub(film, "es")
        with pytest.raises(WrongUsage, match="no line 99"):
            redo(shop, ended.job, 99)
        with (shop.work(ended.job) / "redo.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with pytest.raises(IllegalTransition, match="just now"):
                redo(shop, ended.job, 0)
        old = sha256(shop.track(ended.job))
        telling(shop, refuse=".wav")
        with pytest.raises(SynthesisFailed):
            redo(shop, ended.job, 0, "Otra cosa.")
        assert sha256(shop.track(ended.job)) == old
        (shop.work(ended.job) / "dub.es.kept.json").unlink()
        with pytest.raises(IllegalTransition, match="Nothing is kept"):
            redo(shop, ended.job, 0)

    def test_a_job_that_is_queued_again_is_left_alone(self, shop: Shop, film: Path) -> None:
        """However it looked when somebody asked for the line."""
        ended = shop.dub(film, "es")
        shop.store.jobs.amend(ended.job.id, JobState.DONE_WITH_WARNINGS, "")
        desk = Redo(shop.settings, shop.store, shop.host, shop.specs, ended.job, JobControl())
        shop.store.jobs.retry(ended.job.id)
        with pytest.raises(IllegalTransition, match="has not ended"):
            desk.line(ES, 0)

    @pytest.mark.parametrize("mode", ["sidecar", "both"])
    @pytest.mark.parametrize("stage", ["mix", "publish"])
    def test_one_that_is_stopped_publishes_nothing(
        self, shop: Shop, film: Path, stage: str, mode: str
    ) -> None:
        """Neither track, subtitles nor report are of another wording than the others."""
        job = shop.dub(film, "es", mode=mode).job
        before = published(shop, film)
        seen: list[str] = []
        control = JobControl(lambda now, share: seen.append(now), lambda: stage in seen)
        desk = Redo(shop.settings, shop.store, shop.host, shop.specs, job, control)
        with pytest.raises(JobCancelled):
            desk.line(ES, 0, "Otra cosa muy distinta.")
        assert published(shop, film) == before
        redo(shop, job, 0, "Otra cosa muy distinta.")
        assert all(now != before[name] for name, now in published(shop, film).items()
                   if mode != "sidecar" or name != film.name)  # fmt: skip

    def test_what_one_left_whose_process_died_is_removed_at_the_next_start(
        self, tmp_path: Path
    ) -> None:
        """Killed between writing a file beside the video and giving it its name."""
        with Program(tmp_path, OUTPUT_MODE="mux") as program:
            make_talk(program.videos / "Film.mkv")
            assert program.run("dub", "--lang", "es", program.videos / "Film.mkv").returncode == 0
            before = published(program, program.videos / "Film.mkv")
            killed = program.run("1", module="tests.killed_publishing")
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            left = [name for name in names(program.videos) if name.endswith(".tmp")]
            assert left
            assert published(program, program.videos / "Film.mkv") == before
            program.start()
            assert not [name for name in names(program.videos) if name.endswith(".tmp")]
            program.end(signal.SIGTERM)

    def test_a_job_that_runs_again_begins_anew(self, shop: Shop, film: Path) -> None:
        """What is kept for redo is no checkpoint: `retry` of such a job makes all of it."""
        telling(shop, stumble_on="tahW")
        shop.set(qa_fail_share=1.0)
        ended = shop.dub(film, "es")
        assert ended.job.state is JobState.DONE_WITH_WARNINGS
        telling(shop)
        shop.store.jobs.retry(ended.job.id)
        assert shop.run(ended.job).job.state is JobState.DONE


class TestKeeping:
    def keeping(self, tmp_path: Path, shop: Shop, **changes: Any) -> Keeping:
        plain = Keeping(tmp_path / "work", shop.store.checkpoints, 7, 1000, lambda: 1e6)
        return replace(plain, **changes)

    def folder(self, tmp_path: Path, job: int, *, age_s: float, size: int = 400) -> Path:
        folder = tmp_path / "work" / str(job)
        (folder / "takes").mkdir(parents=True)
        (folder / "takes" / "bed.wav").write_bytes(b"x" * size)
        (folder / "finished").touch()
        os.utime(folder / "finished", (1e6 - age_s, 1e6 - age_s))
        return folder

    def test_it_goes_after_its_days(self, tmp_path: Path, shop: Shop) -> None:
        """And not before; what no finished job left is not touched."""
        week_s = 7 * 86400
        old = self.folder(tmp_path, 1, age_s=week_s + 1)
        young = self.folder(tmp_path, 2, age_s=week_s - 1)
        running = self.folder(tmp_path, 3, age_s=week_s + 1)
        (running / "finished").unlink()
        assert self.keeping(tmp_path, shop).prune() == [1]
        assert (old.exists(), young.exists(), running.exists()) == (False, True, True)

    def test_what_somebody_makes_a_line_of_just_now_stays(self, tmp_path: Path, shop: Shop) -> None:
        busy = self.folder(tmp_path, 1, age_s=1e6)
        with (busy / "redo.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            assert self.keeping(tmp_path, shop).prune() == []
        assert self.keeping(tmp_path, shop).prune() == [1]

    @pytest.mark.parametrize(("most_bytes", "gone"), [(1200, []), (1199, [1]), (799, [2, 1])])
    def test_the_oldest_go_when_there_is_no_room(
        self, tmp_path: Path, shop: Shop, most_bytes: int, gone: list[int]
    ) -> None:
        for job in (1, 2, 3):
            self.folder(tmp_path, job, age_s=1000 - job)
        assert self.keeping(tmp_path, shop, most_bytes=most_bytes).prune() == gone

    @pytest.mark.parametrize(
        ("days", "most_bytes", "gone"), [(6, 1e9, 1), (8, 1e9, 0), (8, 300, 1)]
    )
    def test_a_failed_job_s_is_within_the_same_limits(
        self, shop: Shop, film: Path, days: float, most_bytes: float, gone: int
    ) -> None:
        """Until then a retry goes on where it was; one that is queued again is not touched."""

        def broken(call: Call) -> None:
            if call.method == "synthesize":
                raise EngineError("It broke.")

        shop.spy.before = broken
        shop.set(max_attempts=1)
        ended = shop.dub(film, "es")
        assert ended.job.state is JobState.FAILED
        folder = shop.work(ended.job)
        assert folder.is_dir()
        finished = ended.job.finished_at or pytest.fail("not ended")
        later = replace(
            keeping_of(shop.settings, shop.store), days=days, most_bytes=most_bytes,
            now=lambda: finished.timestamp() + 7 * 86400,
        )  # fmt: skip
        shop.store.jobs.retry(ended.job.id)
        assert later.prune() == []
        shop.store.jobs.finish(ended.job.id, JobState.FAILED, "Once more.")
        later = replace(later, now=lambda: time.time() + 7 * 86400)
        assert len(later.prune()) == gone
        assert (folder.exists(), bool(shop.store.checkpoints.stages(ended.job.id))) == (
            not gone, not gone,
        )  # fmt: skip
        assert [name for name in names(shop.settings.work_dir) if name.startswith(".")] == []

    def test_a_folder_that_another_job_clears_meanwhile_is_no_trouble(
        self, tmp_path: Path, shop: Shop
    ) -> None:
        gone = self.folder(tmp_path, 1, age_s=1e6)

        def now() -> float:
            shutil.rmtree(gone)
            return 1e6

        assert self.keeping(tmp_path, shop, now=now).prune() == []

    @pytest.mark.parametrize(("days", "kept"), [(0.0, False), (7.0, True)])
    def test_a_finished_job_is_kept_as_long_as_the_settings_say(
        self, shop: Shop, film: Path, days: float, kept: bool
    ) -> None:
        shop.set(keep_work_days=days)
        ended = shop.dub(film, "es")
        assert is_kept(shop.work(ended.job)) is kept
        assert bool(shop.store.checkpoints.stages(ended.job.id)) is kept
