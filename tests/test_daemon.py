"""The daemon as a real process on a real folder: from a drop to a push message, and its deaths."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from dubarr_watch.daemon import SAME_REQUEST_S
from dubarr_watch.demo.listener import PushListener
from dubarr_watch.media import probe
from dubarr_watch.store.records import JobState
from tests.composing import make_talk, names, running_below
from tests.programs import MAX_STOP_S, Program, all_gone, drop
from tests.waiting import eventually

MAX_IDLE_RSS_MB = 150


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_talk(tmp_path_factory.mktemp("talk") / "Film.mkv")


@pytest.fixture(scope="module")
def long_talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_talk(tmp_path_factory.mktemp("talk") / "Film.mkv", 60.0)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with Program(tmp_path, DEBUG_MODE="true") as made:
        yield made


@pytest.fixture(scope="module")
def push() -> Iterator[PushListener]:
    with PushListener() as listener:
        yield listener


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, talk: Path, push: PushListener
) -> Iterator[Program]:
    """A daemon that was started on a library with a video in it."""
    folder = tmp_path_factory.mktemp("house")
    with Program(folder, NOTIFY_URLS=push.url, NOTIFY_DIGEST_SECONDS="0") as made:
        drop(talk, made.videos, "Old.mkv")
        made.start()
        yield made


class TestAtWork:
    """One daemon for all of these."""

    def test_a_dropped_video_gets_a_track_and_a_push_message(
        self, running: Program, talk: Path, push: PushListener
    ) -> None:
        drop(talk, running.videos, "Dropped.mkv")
        assert running.ended("Dropped.mkv").state is JobState.DONE
        (stream,) = probe(running.videos / "Dropped.Dubarr.es.mka").streams
        assert (stream.language, stream.title) == ("spa", "Spanish (AI dub)")
        message = push.wait(30)
        assert message is not None
        told = f"{message['title']} {message['message']}"
        assert "Dropped.mkv" in told
        assert "Spanish" in told

    def test_a_marker_asks_for_two_languages_and_is_answered(
        self, running: Program, talk: Path
    ) -> None:
        (running.videos / "Asked.mkv.dub").write_text("German, fr  # both please\n")
        drop(talk, running.videos, "Asked.mkv")
        done = running.videos / "Asked.mkv.dub.done"
        marker = running.videos / "Asked.mkv.dub"
        eventually(lambda: done.exists() and not marker.exists(), "answered marker")
        tracks = [n for n in names(running.videos) if n.startswith("Asked.Dubarr")]
        assert tracks == [
            "Asked.Dubarr.de.mka", "Asked.Dubarr.de.srt", "Asked.Dubarr.fr.mka",
            "Asked.Dubarr.fr.srt",
        ]  # fmt: skip

    def test_an_unknown_language_is_answered_with_the_nearest_ones(
        self, running: Program, talk: Path
    ) -> None:
        drop(talk, running.videos, "Typo.mkv.nodub")
        (running.videos / "Typo.mkv.dub").write_text("Germn\n")
        failed = running.videos / "Typo.mkv.dub.failed"
        eventually(lambda: failed.exists() and "#" in failed.read_text(), "answered marker")
        first = failed.read_text().splitlines()[0]
        assert "Germn" in first
        assert "German" in first

    def test_a_video_with_no_sound_is_told_plainly(
        self, running: Program, push: PushListener
    ) -> None:
        (running.videos / "Text.mkv.dub").write_text("es\n")
        (running.videos / "Text.mkv").write_text("This is no video.\n" * 100)
        waiting = eventually(lambda: running.job("Text.mkv", JobState.WAITING), "waiting")
        assert "no media file" in waiting.reason

    def test_what_was_there_before_is_left_alone(self, running: Program) -> None:
        eventually(lambda: not [j for j in running.jobs() if j.state is JobState.RUNNING])
        assert not [job for job in running.jobs() if job.video.path.name == "Old.mkv"]
        assert [n for n in names(running.videos) if n.startswith("Old")] == ["Old.mkv"]

    def test_a_second_daemon_is_refused(self, running: Program) -> None:
        refused = running.run("run")
        assert refused.returncode == 2
        assert "already works with this CONFIG_DIR" in refused.stderr
        assert refused.stdout == ""
        assert running.daemon is not None
        assert running.daemon.poll() is None

    def test_an_idle_daemon_is_small(self, running: Program) -> None:
        assert running.daemon is not None
        process = psutil.Process(running.daemon.pid)
        eventually(lambda: not process.children(recursive=True), "no engine left")
        cpu_before, before_s = process.cpu_times(), time.monotonic()
        eventually(lambda: time.monotonic() - before_s > 4, "four seconds")
        cpu, wall_s = process.cpu_times(), time.monotonic() - before_s
        used_s = cpu.user + cpu.system - cpu_before.user - cpu_before.system
        rss_mb = process.memory_info().rss / 1e6
        print(f"idle daemon: {rss_mb:.0f} MB, {used_s / wall_s:.2%} of one core")  # noqa: T201
        assert rss_mb < MAX_IDLE_RSS_MB

    def test_no_work_folder_is_left_but_what_redo_needs(self, running: Program) -> None:
        """Those of finished jobs stay for KEEP_WORK_DAYS."""
        done = (JobState.DONE, JobState.DONE_WITH_WARNINGS)
        kept = {str(job.id) for job in running.jobs() if job.state in done or not job.state.ended}
        assert set(names(running.config / "work")) <= kept


class TestDeath:
    def test_killed_in_the_middle_of_speech_it_goes_on_with_the_next_line(
        self, program: Program, long_talk: Path
    ) -> None:
        program.start(seconds_a_line=0.3)
        drop(long_talk, program.videos)
        job = eventually(lambda: program.job("Film.mkv", JobState.RUNNING), "running")
        eventually(lambda: len(program.takes(job)) >= 4, "four takes")
        below = program.end(signal.SIGKILL)
        assert below, "an engine was at work"
        eventually(lambda: all_gone(below), "orphans end by themselves")
        assert program.is_sound()
        spoken = program.takes(job)
        program.start(seconds_a_line=0.3)
        ended = program.ended("Film.mkv")
        assert (ended.id, ended.state) == (job.id, JobState.DONE)
        assert len(program.jobs()) == 1
        after = program.takes(job)
        assert_kept(spoken, after)
        assert len(after) > len(spoken)
        assert (program.videos / "Film.Dubarr.es.mka").exists()
        assert program.is_sound()
        locks = [n for n in names(program.config / "run") if n != "daemon.lock"]
        assert len(locks) == 1, "the dead daemon's lock file is swept"

    def test_asked_to_stop_it_stops_soon_and_goes_on_when_started_again(
        self, program: Program, long_talk: Path
    ) -> None:
        program.start(seconds_a_line=0.3)
        drop(long_talk, program.videos)
        job = eventually(lambda: program.job("Film.mkv", JobState.RUNNING), "running")
        eventually(lambda: len(program.takes(job)) >= 3, "three takes")
        below = program.end(signal.SIGTERM, MAX_STOP_S)
        assert program.daemon is not None
        assert program.daemon.returncode == 0
        assert all_gone(below)
        (queued,) = program.jobs()
        assert queued.state is JobState.QUEUED
        assert queued.reason == "Stopped with the program; it goes on where it was."
        spoken = program.takes(job)
        program.start(seconds_a_line=0.3)
        assert program.ended("Film.mkv").state is JobState.DONE
        assert_kept(spoken, program.takes(job))

    def test_two_signals_in_an_instant_are_one_request(
        self, program: Program, long_talk: Path
    ) -> None:
        """GNU timeout sends its signal twice: to the program, and to its group."""
        daemon = self.busy(program, long_talk)
        daemon.send_signal(signal.SIGTERM)
        program.end(signal.SIGTERM)
        assert daemon.returncode == 0
        assert [job.state for job in program.jobs()] == [JobState.QUEUED]

    def test_asked_again_it_ends_at_once(self, tmp_path: Path, talk: Path) -> None:
        """Even while a message is on its way to a service that does not answer."""
        with socket.create_server(("127.0.0.1", 0)) as service:
            url = f"json://127.0.0.1:{service.getsockname()[1]}"
            with Program(tmp_path, NOTIFY_URLS=url, NOTIFY_DIGEST_SECONDS="0") as program:
                daemon = program.start()
                drop(talk, program.videos)
                service.settimeout(60)
                with service.accept()[0]:
                    daemon.send_signal(signal.SIGTERM)
                    asked_s = time.monotonic()
                    eventually(lambda: time.monotonic() - asked_s > SAME_REQUEST_S)
                    assert daemon.poll() is None, "it waits for the answer"
                    program.end(signal.SIGTERM, 1.0)
                assert daemon.returncode == 1
                assert program.is_sound()

    def busy(self, program: Program, video: Path) -> subprocess.Popen[bytes]:
        daemon = program.start(seconds_a_line=0.3)
        drop(video, program.videos)
        job = eventually(lambda: program.job("Film.mkv", JobState.RUNNING), "running")
        eventually(lambda: program.takes(job), "a take")
        return daemon

    def test_a_track_is_never_half_published_by_a_death(self, program: Program, talk: Path) -> None:
        """However it dies while it works, what is beside the video is whole."""
        drop(talk, program.videos, "Film.mkv.nodub")
        program.start()
        (program.videos / "Film.mkv.nodub").unlink()
        drop(talk, program.videos)
        eventually(lambda: program.job("Film.mkv", JobState.RUNNING), "running")
        program.end(signal.SIGKILL)
        track = program.videos / "Film.Dubarr.es.mka"
        assert not track.exists() or probe(track).duration_s > 7
        program.start()
        assert program.ended("Film.mkv").state is JobState.DONE
        left = [n for n in names(program.videos) if n.endswith(".tmp")]
        assert left == []

    def test_what_came_while_it_was_down_is_new(self, program: Program, talk: Path) -> None:
        program.start()
        eventually(lambda: (program.config / "dubarr.db").exists())
        eventually(lambda: b'"event": "baseline"' in program.log.read_bytes())
        program.end(signal.SIGINT)
        assert program.daemon is not None
        assert program.daemon.returncode == 0
        drop(talk, program.videos, "Meanwhile.mkv")
        program.start()
        assert program.ended("Meanwhile.mkv").state is JobState.DONE


class TestSideBySide:
    def test_two_jobs_run_at_a_time_and_both_go_on_after_a_death(
        self, tmp_path: Path, long_talk: Path, talk: Path
    ) -> None:
        with Program(tmp_path, DEBUG_MODE="true", JOBS="2") as program:
            program.start(seconds_a_line=0.5)
            drop(long_talk, program.videos, "One.mkv")
            drop(make_talk(tmp_path / "other.mkv", 50.0), program.videos, "Two.mkv")
            jobs = [
                eventually(lambda: program.job(name, JobState.RUNNING), name)  # noqa: B023
                for name in ("One.mkv", "Two.mkv")
            ]
            # The voice speaks for the older job first: the other one's takes would come too late.
            eventually(lambda: len(program.takes(jobs[0])) >= 2, "takes of the first")
            status = program.run("status", "--json")
            assert len(json.loads(status.stdout)["running"]) == 2
            below = program.end(signal.SIGKILL)
            eventually(lambda: all_gone(below), "orphans end by themselves")
            spoken = program.takes(jobs[0])
            program.start(seconds_a_line=0.5)
            for name, job in zip(("One.mkv", "Two.mkv"), jobs, strict=True):
                ended = program.ended(name)
                assert (ended.id, ended.state) == (job.id, JobState.DONE)
            assert_kept(spoken, program.takes(jobs[0]))
            assert program.is_sound()


class TestFfmpegDiesWithIt:
    """A process that runs ffmpeg for a minute, as the daemon does."""

    @pytest.fixture
    def busy(self, program: Program, tmp_path: Path) -> Iterator[psutil.Process]:
        words = """
import sys
from pathlib import Path
from dubarr_watch.media import run_ffmpeg
target = Path(sys.argv[1])
run_ffmpeg(["-re", "-f", "lavfi", "-i", "sine=d=60", str(target)], path=target)
"""
        process = program.spawn("-c", words, str(tmp_path / "sound.wav"), new_group=True)
        yield psutil.Process(process.pid)
        process.kill()
        process.wait()

    def test_killed_it_leaves_no_ffmpeg_behind(self, busy: psutil.Process) -> None:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv of util-linux")
        below = eventually(lambda: running_below(busy, "ffmpeg"), "ffmpeg")
        busy.kill()
        eventually(lambda: all_gone(below), "ffmpeg ends by itself", 10)

    def test_ctrl_c_in_its_terminal_does_not_reach_ffmpeg(self, busy: psutil.Process) -> None:
        (below,) = eventually(lambda: running_below(busy, "ffmpeg"))
        assert os.getpgid(below.pid) != os.getpgid(busy.pid)


class TestTheVideoMoves:
    def test_renamed_during_its_job_it_gets_its_track_beside_its_new_name(
        self, program: Program, long_talk: Path
    ) -> None:
        program.start(seconds_a_line=0.2)
        film = drop(long_talk, program.videos)
        job = eventually(lambda: program.job("Film.mkv", JobState.RUNNING), "running")
        eventually(lambda: program.takes(job), "a take")
        folder = program.videos / "Film (2001)"
        folder.mkdir()
        film.rename(folder / "Film (2001).mkv")
        ended = program.ended("Film (2001).mkv")
        assert (ended.id, ended.state) == (job.id, JobState.DONE), ended.reason
        assert "Film (2001).Dubarr.es.mka" in names(folder)
        assert names(program.videos) == ["Film (2001)"]

    def test_deleted_during_its_job_nothing_is_published(
        self, program: Program, long_talk: Path
    ) -> None:
        program.start(seconds_a_line=0.2)
        film = drop(long_talk, program.videos)
        job = eventually(lambda: program.job("Film.mkv", JobState.RUNNING), "running")
        eventually(lambda: program.takes(job), "a take")
        film.unlink()
        ended = program.ended("Film.mkv")
        assert ended.state is JobState.FAILED
        assert ended.reason.startswith("The video is gone.")
        assert names(program.videos) == []


class TestRefusals:
    def test_missing_models_end_it_with_a_way_out(self, program: Program) -> None:
        refused = program.run("run", MOCK_MODE="false", PROFILE="embedded")
        assert refused.returncode == 4
        assert "dubarr-watch models pull" in refused.stderr

    def test_full_without_its_keys_names_them(self, program: Program) -> None:
        refused = program.run("run", PROFILE="full", HF_TOKEN="hf_something")
        assert refused.returncode == 4
        assert "OPENAI_API_KEY" in refused.stderr
        assert "COQUI_TOS_AGREED" in refused.stderr
        assert "HF_TOKEN" not in refused.stderr

    def test_a_missing_video_folder_is_named(self, program: Program, tmp_path: Path) -> None:
        refused = program.run("run", VIDEOS_DIR=str(tmp_path / "nowhere"))
        assert refused.returncode == 4
        assert str(tmp_path / "nowhere") in refused.stderr
        assert "VIDEOS_DIR" in refused.stderr

    def test_every_bad_setting_is_told_at_once_in_a_line_of_its_own(self, program: Program) -> None:
        refused = program.run("run", MAX_SPEEDUP="fast", TARGET_LANGS="Klingn", OUTPUT_MODE="tape")
        assert refused.returncode == 2
        lines = refused.stderr.splitlines()
        for name in ("MAX_SPEEDUP:", "TARGET_LANGS:", "OUTPUT_MODE:"):
            assert len([line for line in lines if name in line]) == 1

    def test_a_config_folder_that_is_a_file_is_told(self, program: Program, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_text("")
        refused = program.run("run", CONFIG_DIR=str(file))
        assert refused.returncode in (1, 4)
        assert "Traceback" not in refused.stderr
        assert str(file) in refused.stderr


def assert_kept(spoken: dict[str, int], after: dict[str, int]) -> None:
    """Check that no take was made again, but for the one that was being spoken.

    That one may have reached the disk and not yet the database.
    """
    kept = sorted(spoken)[:-1]
    assert {name: after[name] for name in kept} == {name: spoken[name] for name in kept}
