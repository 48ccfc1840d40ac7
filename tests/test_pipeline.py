"""The order of stages, checkpoints, and what a job leaves beside its video; on fakes in process."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.dubbing import mixing
from dubarr_watch.dubbing.levels import Loudness
from dubarr_watch.dubbing.passes import run_pass
from dubarr_watch.engines.base import EngineSpec
from dubarr_watch.errors import DiskFull, EngineCrashed, NotWritable, SynthesisFailed, VideoChanged
from dubarr_watch.media import probe
from dubarr_watch.settings import MixStyle
from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import (
    TONE_HZ,
    Call,
    Shop,
    make_silence,
    make_talk,
    names,
    open_shop,
    sha256,
    share_of,
    sound_of,
    states,
)

SHARED = ["extract", "transcribe", "diarize", "lines", "voices"]


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


@pytest.fixture
def film(shop: Shop) -> Path:
    return make_talk(shop.videos / "Film.mkv")


def stages(shop: Shop, job: JobRecord) -> list[tuple[str, str]]:
    return [(s.stage, s.language) for s in shop.store.checkpoints.stages(job.id)]


class TestOrder:
    def test_stages_run_in_order_and_languages_share_the_first_five(
        self, shop: Shop, film: Path
    ) -> None:
        shop.set(debug_mode=True)
        ended = shop.dub(film, "es", "fr")
        assert ended.job.state is JobState.DONE
        assert stages(shop, ended.job) == [
            *[(stage, "") for stage in SHARED], ("people", ""),
            ("translate", "es"), ("cast", ""), ("synthesize", "es"), ("mix", "es"),
            ("publish", "es"),
            ("translate", "fr"), ("synthesize", "fr"), ("mix", "fr"), ("publish", "fr"),
            ("report", "es"), ("report", "fr"),
        ]  # fmt: skip
        assert [shop.spy.count(name) for name in ("transcribe", "diarize", "translate")] == [
            1, 1, 2,
        ]  # fmt: skip

    def test_two_languages_in_one_job_sound_as_each_does_alone(
        self, shop: Shop, tmp_path: Path, film: Path
    ) -> None:
        together = shop.dub(film, "es", "fr")
        for code in ("es", "fr"):
            alone = tmp_path / code
            alone.mkdir()
            with open_shop(alone) as other:
                single = other.dub(make_talk(other.videos / "Film.mkv"), code)
                expected = sound_of(other.track(single.job, code))
            assert (sound_of(shop.track(together.job, code)) == expected).all(), code

    def test_progress_only_grows_and_names_every_stage(self, shop: Shop, film: Path) -> None:
        seen: list[tuple[str, float]] = []
        job = shop.enqueue(film, "es", "fr")
        shop.run(job, on_progress=lambda stage, share, eta_s: seen.append((stage, share)))
        shares = [share for _, share in seen]
        assert shares == sorted(shares)
        assert shares[0] >= 0
        assert shares[-1] <= 1
        told = list(dict.fromkeys(stage for stage, _ in seen))
        each = ["translate", "cast", "synthesize", "mix", "publish"]
        assert told == [*SHARED, *each, "report"]

    def test_a_language_is_skipped_when_it_is_spoken(self, shop: Shop, film: Path) -> None:
        ended = shop.dub(film, "en", "es")
        assert states(ended) == {"en": JobState.SKIPPED, "es": JobState.DONE}
        assert ended.job.state is JobState.DONE
        assert "English: It is spoken in English already." in ended.job.reason

    def test_a_job_of_nothing_but_the_spoken_language_is_skipped(
        self, shop: Shop, film: Path
    ) -> None:
        ended = shop.dub(film, "en")
        assert (ended.job.state, ended.job.reason) == (
            JobState.SKIPPED, "It is spoken in English already.",
        )  # fmt: skip
        assert names(shop.videos) == ["Film.mkv"]

    def test_a_silent_video_is_done_without_a_track(self, shop: Shop) -> None:
        ended = shop.dub(make_silence(shop.videos / "Quiet.mkv"), "es", "fr")
        assert (ended.job.state, ended.job.reason) == (JobState.DONE, "No speech found.")
        assert names(shop.videos) == ["Quiet.mkv"]
        assert not shop.spy.count("translate")

    def test_subtitles_in_the_language_are_spoken_instead_of_asking_a_model(
        self, shop: Shop, film: Path
    ) -> None:
        blocks = [
            f"{i + 1}\n00:00:{start:06.3f} --> 00:00:{start + 2.4:06.3f}\n{words}\n"
            for i, (start, words) in enumerate([(0.0, "Uno dos"), (3.2, "Tres"), (6.4, "Fin")])
        ]
        film.with_suffix(".es.srt").write_text("\n".join(blocks).replace(".", ","))
        ended = shop.dub(film, "es")
        assert ended.result is not None
        report = ended.result.languages[0].report
        assert report is not None
        assert [line.text for line in report.lines] == ["Uno dos", "Tres", "Fin"]
        assert not shop.spy.count("translate")


class TestCheckpoints:
    @pytest.mark.parametrize(
        ("method", "again"),
        [
            ("transcribe", {"transcribe": 2, "diarize": 1, "translate": 2}),
            ("diarize", {"transcribe": 1, "diarize": 2, "translate": 2}),
            ("translate", {"transcribe": 1, "diarize": 1, "translate": 3}),
            ("voice_activity", {"transcribe": 1, "diarize": 1, "translate": 2}),
        ],
    )
    def test_a_job_goes_on_with_the_stage_in_which_it_was_interrupted(
        self, shop: Shop, film: Path, method: str, again: dict[str, int]
    ) -> None:
        job = shop.enqueue(film, "es", "fr")
        crash_at(shop, method, 1)
        first = shop.run(job)
        assert first.job.state is JobState.QUEUED
        second = shop.run(job)
        assert second.job.state is JobState.DONE
        assert {name: shop.spy.count(name) for name in again} == again

    def test_a_line_that_was_spoken_is_not_spoken_again(self, shop: Shop, film: Path) -> None:
        job = shop.enqueue(film, "es")
        crash_at(shop, "synthesize", 3)
        assert shop.run(job).job.state is JobState.QUEUED
        before = len(shop.spy.calls)
        assert shop.run(job).job.state is JobState.DONE
        assert not {("es", 0), ("es", 1)} & set(shop.spy.spoken(before))
        assert ("es", 2) in shop.spy.spoken(before)

    def test_a_finished_mix_is_not_made_again(self, shop: Shop, film: Path) -> None:
        job = shop.enqueue(film, "es")
        crash_at(shop, "voice_activity", 1)
        shop.run(job)
        mixed = shop.work(job) / "dub.es.mka"
        before = mixed.stat().st_mtime_ns
        shop.set(debug_mode=True)
        assert shop.run(job).job.state is JobState.DONE
        assert mixed.stat().st_mtime_ns == before

    def test_a_mix_that_was_lost_is_made_again(self, shop: Shop, film: Path) -> None:
        job = shop.enqueue(film, "es")
        crash_at(shop, "voice_activity", 1)
        shop.run(job)
        (shop.work(job) / "dub.es.mka").unlink()
        assert shop.run(job).job.state is JobState.DONE

    def test_another_highest_speed_fits_the_takes_anew_and_speaks_none(
        self, shop: Shop, film: Path
    ) -> None:
        job = shop.enqueue(film, "es")
        crash_at(shop, "voice_activity", 1)
        shop.run(job)
        fitted = {s.stage: s.key for s in shop.store.checkpoints.stages(job.id)}
        spoken = shop.spy.count("synthesize")
        shop.set(max_speedup=1.5, debug_mode=True)
        assert shop.run(job).job.state.ended
        now = {s.stage: s.key for s in shop.store.checkpoints.stages(job.id)}
        assert {stage for stage in fitted if fitted[stage] != now[stage]} <= {"synthesize", "mix"}
        assert fitted["synthesize"] != now["synthesize"]
        assert shop.spy.count("synthesize") == spoken

    def test_another_spoken_language_makes_everything_anew(self, shop: Shop, film: Path) -> None:
        job = shop.enqueue(film, "es")
        crash_at(shop, "voice_activity", 1)
        shop.run(job)
        shop.set(source_lang=shop.settings.target_langs[0])
        shop.run(job)
        assert (shop.spy.count("transcribe"), shop.spy.count("translate")) == (2, 2)

    def test_another_engine_speaks_its_lines_anew(self, shop: Shop, film: Path) -> None:
        job = shop.enqueue(film, "es")
        crash_at(shop, "voice_activity", 1)
        shop.run(job)
        shop.use(transcriber={"delay_s": 0.001})
        shop.run(job)
        assert (shop.spy.count("transcribe"), shop.spy.count("translate")) == (2, 2)

    @pytest.mark.parametrize(
        ("changed", "anew"),
        [
            ("synthesizer", {"synthesize", "transcribe", "voice_activity"}),
            ("prover", {"transcribe"}),
            ("listener", {"voice_activity"}),
        ],
    )
    def test_another_engine_does_its_own_work_anew(
        self,
        shop: Shop,
        film: Path,
        changed: str,
        anew: set[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """Also one by the same name whose voices are called the same; nobody else works again."""
        hears = EngineSpec("tests.telling_fakes:HearingTranscriber")
        speaks = EngineSpec("tests.telling_fakes:TellingSynthesizer")
        shop.specs = replace(shop.specs, prover=hears, listener=hears, synthesizer=speaks)
        job = shop.enqueue(film, "es")
        with monkeypatch.context() as broken:
            broken.setattr("dubarr_watch.dubbing.delivery.Report.write", crash)
            assert shop.run(job).job.state is JobState.QUEUED
        shop.use(**{changed: {"delay_s": 0.001}})
        before = len(shop.spy.calls)
        assert shop.run(job).job.state is JobState.DONE
        works = {"transcribe", "diarize", "translate", "synthesize", "voice_activity"}
        assert {call.method for call in shop.spy.calls[before:]} & works == anew

    def test_a_track_that_was_published_is_not_written_again(self, shop: Shop, film: Path) -> None:
        job = shop.enqueue(film, "es")
        crash_at(shop, "voice_activity", 1)
        shop.run(job)
        track = shop.track(job)
        before = track.stat().st_ino
        assert shop.run(job).job.state is JobState.DONE
        assert track.stat().st_ino == before

    def test_a_track_whose_mix_is_another_now_is_published_again(
        self, shop: Shop, film: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also one that is exactly as loud as the one before."""
        alike = Loudness(-23.0, -1.6)
        told = mixing.told
        monkeypatch.setattr(mixing, "told", lambda *got: replace(told(*got), loudness=alike))
        job = shop.enqueue(film, "es")
        crash_at(shop, "voice_activity", 1)
        shop.run(job)
        mixed = shop.work(job) / "dub.es.mka"
        before = shop.track(job).stat().st_ino
        shop.set(mix_style=MixStyle.VOICEOVER)
        assert shop.run(job).job.state is JobState.DONE
        assert shop.track(job).stat().st_ino != before
        assert (sound_of(shop.track(job)) == sound_of(mixed)).all()

    def test_a_video_renamed_between_two_runs_gets_its_track_beside_its_new_name(
        self, shop: Shop, film: Path
    ) -> None:
        job = shop.enqueue(film, "es")
        crash_at(shop, "voice_activity", 1)
        shop.run(job)
        shop.record(film.rename(film.with_name("Better.mkv")))
        assert shop.run(job).job.state is JobState.DONE
        assert (film.parent / "Better.Dubarr.es.mka").exists()

    def test_a_finished_job_leaves_no_work_folder_when_none_is_to_be_kept(
        self, shop: Shop, film: Path
    ) -> None:
        shop.set(keep_work_days=0)
        ended = shop.dub(film, "es")
        assert not shop.work(ended.job).exists()
        assert stages(shop, ended.job) == []


class TestOneLanguageFails:
    def test_the_others_are_published_and_the_reason_names_it(self, shop: Shop, film: Path) -> None:
        refuse(shop, lambda arguments: arguments["language"] == "fr")
        ended = shop.dub(film, "es", "fr")
        assert states(ended) == {"es": JobState.DONE, "fr": JobState.FAILED}
        assert ended.job.state is JobState.FAILED
        assert ended.job.reason.startswith("French: ")
        assert names(shop.videos) == ["Film.Dubarr.es.mka", "Film.Dubarr.es.srt", "Film.mkv"]

    def test_one_that_met_bad_luck_is_tried_again_after_the_others(
        self, shop: Shop, film: Path
    ) -> None:
        job = shop.enqueue(film, "es", "fr")
        crash_at(shop, "synthesize", 1)
        first = shop.run(job)
        assert first.job.state is JobState.QUEUED
        assert (film.parent / "Film.Dubarr.fr.mka").exists()
        before = len(shop.spy.calls)
        second = shop.run(job)
        assert states(second) == {"es": JobState.DONE, "fr": JobState.DONE}
        assert shop.spy.count("transcribe") == 1
        assert {language for language, _ in shop.spy.spoken(before)} == {"es"}

    def test_on_the_last_attempt_it_fails_and_the_others_are_published(
        self, shop: Shop, film: Path
    ) -> None:
        shop.set(max_attempts=1)
        crash_at(shop, "translate", 1)
        ended = shop.dub(film, "es", "fr", mode="both")
        assert states(ended) == {"es": JobState.FAILED, "fr": JobState.DONE}
        assert [s.title for s in probe(film).of_kind("audio")][1:] == ["French (AI dub)"]

    def test_a_line_that_no_voice_can_say_is_silent_and_told(self, shop: Shop) -> None:
        film = make_talk(shop.videos / "Long.mkv", 24.0)
        refuse(shop, lambda arguments: arguments["target"].name.startswith("00002"))
        ended = shop.dub(film, "es")
        assert ended.job.state is JobState.DONE_WITH_WARNINGS
        assert ended.job.reason == "To check: 1 line left silent."

    def test_a_full_disk_stops_the_whole_job_until_there_is_space(
        self, shop: Shop, film: Path
    ) -> None:
        def full(call: Call) -> None:
            if call.method == "translate":
                raise DiskFull("The disk is full.", hint="Free some space.")

        shop.spy.before = full
        ended = shop.dub(film, "es", "fr")
        reason = "Waits for space: The disk is full. Free some; it goes on by itself."
        assert (ended.job.state, ended.job.reason) == (JobState.QUEUED, reason)
        assert ended.job.attempts == 0
        assert shop.spy.count("translate") == 1

    @pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
    def test_a_disk_that_is_full_for_any_small_file_stops_it_too(
        self, shop: Shop, film: Path, number: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(path: Path, *arguments: Any, **options: Any) -> int:
            raise OSError(number, os.strerror(number), str(path))

        with monkeypatch.context() as patched:
            patched.setattr(Path, "write_text", full)
            job = shop.enqueue(film, "es")
            ended = shop.run(job)
        assert isinstance(ended.error, DiskFull)
        assert ended.error.path == shop.work(job) / "lines.es.json"
        assert (ended.job.state, ended.job.attempts) == (JobState.QUEUED, 0)
        assert shop.run(job).job.state is JobState.DONE


class TestPublishing:
    def test_a_sidecar_and_subtitles_lie_beside_the_video(self, shop: Shop, film: Path) -> None:
        before = sha256(film)
        ended = shop.dub(film, "es")
        assert names(shop.videos) == ["Film.Dubarr.es.mka", "Film.Dubarr.es.srt", "Film.mkv"]
        found = probe(shop.track(ended.job))
        (stream,) = found.streams
        assert (stream.language, stream.title) == ("spa", "Spanish (AI dub)")
        assert found.duration_s == pytest.approx(probe(film).duration_s, abs=0.1)
        assert sha256(film) == before

    def test_subtitles_hold_every_line_at_its_take(self, shop: Shop, film: Path) -> None:
        ended = shop.dub(film, "es")
        text = shop.track(ended.job, kind="subtitles").read_text(encoding="utf-8")
        assert ended.result is not None
        report = ended.result.languages[0].report
        assert report is not None
        assert text.count("-->") == len(report.lines)
        assert all(line.text in text.replace("\n", " ") for line in report.lines)

    def test_subtitles_can_be_left_out(self, shop: Shop, film: Path) -> None:
        shop.set(subtitles=False)
        shop.dub(film, "es")
        assert names(shop.videos) == ["Film.Dubarr.es.mka", "Film.mkv"]

    def test_a_crash_after_the_video_was_changed_makes_nothing_anew(
        self, shop: Shop, film: Path
    ) -> None:
        """The video with the track in it is another file; what was heard in it is the same."""

        def die(call: Call) -> None:
            if call.method == "voice_activity" and (shop.store.jobs.tracks(job.id)):
                raise EngineCrashed("It died.")

        shop.spy.before = die
        job = shop.enqueue(film, "es", mode="mux")
        assert shop.run(job).job.state is JobState.QUEUED
        assert len(probe(film).of_kind("audio")) == 2
        shop.spy.before = lambda call: None
        before = len(shop.spy.calls)
        assert shop.run(job).job.state is JobState.DONE
        assert {call.method for call in shop.spy.calls[before:]} <= {"voice_activity", "voices"}
        assert len(probe(film).of_kind("audio")) == 2

    @pytest.mark.parametrize("mode", ["mux", "both"])
    def test_dubs_go_into_the_video_in_the_order_asked_for(
        self, shop: Shop, film: Path, mode: str
    ) -> None:
        ended = shop.dub(film, "fr", "es", mode=mode)
        assert ended.job.state is JobState.DONE
        audio = probe(film).of_kind("audio")
        assert [s.title for s in audio][1:] == ["French (AI dub)", "Spanish (AI dub)"]
        assert ["default" in s.dispositions for s in audio] == [True, False, False]
        kinds = {(t.language, t.kind) for t in shop.store.jobs.tracks(ended.job.id)}
        beside = {(code, "sidecar") for code in ("es", "fr")} if mode == "both" else set()
        subtitles = {(code, "subtitles") for code in ("es", "fr")}
        assert kinds == {("es", "mux"), ("fr", "mux")} | beside | subtitles
        assert (shop.videos / "Film.Dubarr.es.mka").exists() == (mode == "both")

    def test_a_video_with_a_dub_in_it_stays_the_same_video(self, shop: Shop, film: Path) -> None:
        before = shop.record(film).id
        shop.dub(film, "es", mode="mux")
        assert shop.record(film).id == before

    def test_a_dub_made_again_replaces_the_one_before(self, shop: Shop, film: Path) -> None:
        for _ in range(2):
            assert shop.dub(film, "es", "fr", mode="both", again=True).job.state is JobState.DONE
        assert len(probe(film).of_kind("audio")) == 3
        assert len(names(shop.videos)) == 5

    def test_the_original_is_heard_more_in_a_voice_over(self, shop: Shop, tmp_path: Path) -> None:
        heard = {}
        for style in ("dub", "voiceover"):
            film = make_talk(shop.videos / f"{style}.mkv")
            heard[style] = share_of(sound_of(shop.track(shop.dub(film, style=style).job)), TONE_HZ)
        assert heard["voiceover"] > heard["dub"] + 0.03

    def test_two_videos_of_one_stem_get_tracks_of_their_own(self, shop: Shop, film: Path) -> None:
        other = make_talk(shop.videos / "Film.mp4", 5.0)
        first, second = shop.dub(film), shop.dub(other)
        assert [e.job.state for e in (first, second)] == [JobState.DONE] * 2
        assert shop.track(first.job) != shop.track(second.job)
        for video, ended in ((film, first), (other, second)):
            length_s = probe(shop.track(ended.job)).duration_s
            assert length_s == pytest.approx(probe(video).duration_s, abs=0.1)

    def test_a_file_of_the_users_under_our_name_is_left_alone(self, shop: Shop, film: Path) -> None:
        theirs = shop.videos / "Film.mkv.Dubarr.es.mka"
        usual = shop.videos / "Film.Dubarr.es.mka"
        usual.write_bytes(b"precious")
        ended = shop.dub(film)
        assert usual.read_bytes() == b"precious"
        assert ended.job.state is JobState.DONE
        assert shop.track(ended.job) == theirs

    def test_both_of_our_names_taken_by_the_users_files_are_refused(
        self, shop: Shop, film: Path
    ) -> None:
        theirs = [shop.videos / f"{name}.Dubarr.es.mka" for name in ("Film", "Film.mkv")]
        for file in theirs:
            file.write_bytes(b"precious")
        ended = shop.dub(film)
        assert [file.read_bytes() for file in theirs] == [b"precious"] * 2
        assert ended.job.state is JobState.FAILED
        assert "not one of mine" in ended.job.reason

    def test_a_file_that_comes_while_the_track_is_written_is_left_alone(
        self, shop: Shop, film: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        theirs = shop.videos / "Film.Dubarr.es.mka"

        def slow(arguments: Any, *more: Any) -> None:
            run_pass(arguments, *more)
            theirs.write_bytes(b"precious")

        monkeypatch.setattr("dubarr_watch.dubbing.track_file.run_pass", slow)
        ended = shop.dub(film)
        assert theirs.read_bytes() == b"precious"
        assert ended.job.state is JobState.FAILED
        monkeypatch.undo()
        again = shop.dub(film)
        assert again.job.state is JobState.DONE
        assert theirs.read_bytes() == b"precious"

    def test_a_file_that_the_user_put_in_the_place_of_our_track_is_left_alone(
        self, shop: Shop, film: Path
    ) -> None:
        ours = shop.track(shop.dub(film).job)
        ours.write_bytes(b"precious")
        again = shop.dub(film)
        assert ours.read_bytes() == b"precious"
        assert again.job.state is JobState.DONE

    def test_a_dub_from_before_a_new_database_is_replaced(self, shop: Shop, film: Path) -> None:
        shop.dub(film)
        shop.store.outputs.forget(shop.videos / "Film.Dubarr.es.mka")
        shop.store.outputs.forget(shop.videos / "Film.Dubarr.es.srt")
        assert shop.dub(film).job.state is JobState.DONE
        assert names(shop.videos) == ["Film.Dubarr.es.mka", "Film.Dubarr.es.srt", "Film.mkv"]

    def test_a_folder_that_refuses_is_told_with_a_way_out(
        self, shop: Shop, film: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*arguments: Any, **options: Any) -> None:
            raise NotWritable("The folder is read-only.", hint="Allow it.", path=film.parent)

        monkeypatch.setattr("dubarr_watch.dubbing.delivery.publish_sidecar", refused)
        ended = shop.dub(film)
        assert ended.job.state is JobState.FAILED
        assert "read-only" in ended.job.reason
        assert "Allow it." in ended.job.reason


class TestTheVideoChanges:
    def test_replaced(self, shop: Shop, film: Path) -> None:
        def replace_it() -> None:
            make_talk(shop.videos / "new.mkv", 6.0).replace(film)

        ended = self.meanwhile(shop, film, replace_it)
        assert isinstance(ended.error, VideoChanged)
        assert "replaced" in ended.job.reason
        assert names(shop.videos) == ["Film.mkv"]

    def test_deleted(self, shop: Shop, film: Path) -> None:
        ended = self.meanwhile(shop, film, film.unlink)
        assert isinstance(ended.error, VideoChanged)
        assert "gone" in ended.job.reason
        assert names(shop.videos) == []
        assert not shop.work(ended.job).exists()

    def test_deleted_before_its_sound_was_read(self, shop: Shop, film: Path) -> None:
        job = shop.enqueue(film)
        ended = shop.run(job, on_progress=lambda *_: film.unlink(missing_ok=True))
        assert isinstance(ended.error, VideoChanged)

    def test_renamed_it_gets_its_track_beside_its_new_name(self, shop: Shop, film: Path) -> None:
        def rename() -> None:
            folder = shop.videos / "Sorted"
            folder.mkdir()
            shop.record(film.rename(folder / "The Film (2001).mkv"))

        ended = self.meanwhile(shop, film, rename, mode="both")
        assert ended.job.state is JobState.DONE
        stem = "The Film (2001)"
        expected = [f"{stem}.Dubarr.es.mka", f"{stem}.Dubarr.es.srt", f"{stem}.mkv"]
        assert names(shop.videos / "Sorted") == expected
        assert names(shop.videos) == ["Sorted"]
        report = json.loads((shop.settings.reports_dir / f"{ended.job.id}.es.json").read_text())
        assert report["video"].endswith(f"{stem}.mkv")

    def test_touched_it_is_the_same(self, shop: Shop, film: Path) -> None:
        ended = self.meanwhile(shop, film, lambda: os.utime(film, (1, 1)))
        assert ended.job.state is JobState.DONE

    def meanwhile(self, shop: Shop, film: Path, act: Any, **options: Any) -> Any:
        """Do something to the video while its first line is spoken."""

        def at_first(call: Call) -> None:
            if call.method == "synthesize" and shop.spy.count("synthesize") == 1:
                act()

        shop.spy.before = at_first
        return shop.dub(film, **options)


class TestDebugMode:
    def test_what_was_made_on_the_way_is_kept(self, shop: Shop, film: Path) -> None:
        shop.set(debug_mode=True)
        ended = shop.dub(film, "es", "fr")
        work = shop.work(ended.job)
        found = names(work)
        for name in ("source.wav", "lines.es.json", "lines.fr.json", "speech.es.wav",
                     "speech.fr.wav", "takes"):  # fmt: skip
            assert name in found
        assert names(work / "takes") == ["es", "fr"]
        assert len(names(work / "takes" / "es")) >= 3

    def test_the_lines_say_what_was_done_to_each(self, shop: Shop, film: Path) -> None:
        shop.set(debug_mode=True)
        ended = shop.dub(film, "es")
        kept = json.loads((shop.work(ended.job) / "lines.es.json").read_text())
        report = json.loads((shop.settings.reports_dir / f"{ended.job.id}.es.json").read_text())
        assert kept == report["lines"]

    def test_the_dub_alone_is_as_long_as_the_video(self, shop: Shop, film: Path) -> None:
        shop.set(debug_mode=True)
        speech = shop.work(shop.dub(film, "es").job) / "speech.es.wav"
        assert probe(speech).duration_s == pytest.approx(probe(film).duration_s, abs=0.01)


def crash(*_: object) -> None:
    """Be a process that was killed."""
    raise EngineCrashed("It was killed.")


def crash_at(shop: Shop, method: str, number: int) -> None:
    """Let the process of an engine die in one call of a method."""

    def crash(call: Call) -> None:
        if call.method == method and shop.spy.count(method) == number:
            raise EngineCrashed(f"The {call.kind} process was killed.")

    shop.spy.before = crash


def refuse(shop: Shop, when: Callable[[dict[str, Any]], bool]) -> None:
    """Let the synthesizer refuse some lines."""

    def check(call: Call) -> None:
        if call.method == "synthesize" and when(call.arguments):
            raise SynthesisFailed("It cannot be said.")

    shop.spy.before = check
