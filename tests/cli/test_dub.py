"""`dubarr-watch dub`: one job in the foreground, its exit codes and its one JSON document."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.store.records import JobState
from tests.composing import make_mute, make_silence, make_talk, names, sha256
from tests.programs import Program
from tests.waiting import eventually


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    with Program(tmp_path) as made:
        yield made


@pytest.fixture
def film(program: Program) -> Path:
    return make_talk(program.videos / "Film.mkv", 5.0)


class TestForPeople:
    def test_it_tells_the_tracks_and_the_quality(self, program: Program, film: Path) -> None:
        done = program.run("dub", film, "--lang", "fr", "--lang", "German")
        assert done.returncode == 0, done.stderr
        for words in ("Film.Dubarr.fr.mka", "Film.Dubarr.de.mka", "within their slot"):
            assert words in done.stdout
        assert "synthesize" in done.stderr

    def test_a_job_that_fails_ends_with_1(self, program: Program, film: Path) -> None:
        taken = program.videos / "Film.Dubarr.es.mka"
        for name in (taken, program.videos / "Film.mkv.Dubarr.es.mka"):
            name.mkdir()
        failed = program.run("dub", film)
        assert failed.returncode == 1
        assert "failed" in failed.stdout
        assert "Traceback" not in failed.stderr

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["nowhere.mkv"], "does not exist"),
            ([".", "--lang", "es"], "is a folder"),
            (["Film.mkv", "--lang", "Klingn"], "Klingn"),
            (["Film.mkv", "--mode", "tape"], "tape"),
            ([], "PATH"),
        ],
    )
    def test_wrong_usage_ends_with_2(
        self, program: Program, film: Path, arguments: list[str], words: str
    ) -> None:
        paths = [str(film) if word == "Film.mkv" else word for word in arguments]
        refused = program.run("dub", *paths)
        assert refused.returncode == 2
        assert words in refused.stderr
        assert "Traceback" not in refused.stderr

    def test_what_cannot_be_dubbed_ends_with_3(self, program: Program) -> None:
        mute = make_mute(program.videos / "Mute.mkv")
        refused = program.run("dub", mute)
        assert refused.returncode == 3
        assert "no sound" in refused.stdout

    def test_a_file_that_cannot_be_read_ends_with_3(self, program: Program) -> None:
        broken = program.videos / "Film.mkv"
        broken.symlink_to("/proc/self/mem")  # no user at all reads its first byte
        refused = program.run("dub", broken)
        assert refused.returncode == 3
        assert "cannot be read" in refused.stderr
        assert "the right to read it" in refused.stderr

    def test_missing_models_end_with_4(self, program: Program, film: Path) -> None:
        refused = program.run("dub", film, MOCK_MODE="false", PROFILE="embedded")
        assert refused.returncode == 4
        assert "models pull" in refused.stderr


class TestJson:
    def test_one_document_with_the_public_names(self, program: Program, film: Path) -> None:
        done = program.run("dub", film, "--lang", "es", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {
            "job": 1,
            "state": "done",
            "reason": "",
            "tracks": [
                {"language": "es", "path": str(film.with_name(name)), "kind": kind}
                for name, kind in (
                    ("Film.Dubarr.es.mka", "sidecar"), ("Film.Dubarr.es.srt", "subtitles"),
                )
            ],
            "reports": [str(program.config / "reports" / "1.es.json")],
        }  # fmt: skip

    def test_no_speech_is_done_without_tracks(self, program: Program) -> None:
        quiet = make_silence(program.videos / "Quiet.mkv")
        done = program.run("dub", quiet, "--json")
        assert done.returncode == 0
        document = json.loads(done.stdout)
        assert (document["state"], document["reason"], document["tracks"]) == (
            "done", "No speech found.", [],
        )  # fmt: skip

    def test_several_paths_are_jobs_of_one_document(self, program: Program, film: Path) -> None:
        mute = make_mute(program.videos / "Mute.mkv")
        nowhere = program.videos / "Nowhere.mkv"
        quiet = make_silence(program.videos / "Quiet.mkv")
        done = program.run("dub", mute, nowhere, quiet, film, "--json")
        jobs = json.loads(done.stdout)["jobs"]
        assert [job.get("state") for job in jobs] == ["failed", None, "done", "done"]
        assert jobs[1] == {
            "error": "This does not exist.", "hint": "Name a video file.", "path": str(nowhere),
        }  # fmt: skip
        assert done.returncode == 3, "the first one that went wrong decides"

    def test_an_error_is_the_document_too(self, program: Program, film: Path) -> None:
        for arguments, code in (
            (("--lang", "Klingn"), 2),
            (("--lang", "es", "--json"), 4),
        ):
            refused = program.run(
                "dub", film, "--json", *arguments, MOCK_MODE="false", PROFILE="embedded"
            )
            assert refused.returncode == code
            assert set(json.loads(refused.stdout)) == {"error", "hint", "path"}

    def test_names_of_any_bytes_are_printable(self, program: Program) -> None:
        name = os.fsdecode(b"line\nbreak \xff \xf0\x9f\x8e\xac.mkv")
        done = program.run("dub", make_talk(program.videos / name, 5.0), "--json")
        assert done.returncode == 0, done.stderr
        path = json.loads(done.stdout)["tracks"][0]["path"]
        assert path.endswith("line\\nbreak \\xff 🎬.Dubarr.es.mka")


class TestInterrupted:
    def test_ctrl_c_parks_the_job_and_the_same_command_resumes_it(self, program: Program) -> None:
        film = make_talk(program.videos / "Film.mkv", 40.0)
        before = sha256(film)
        command = ("dub", str(film), "--lang", "es", "--json")
        process = program.spawn("-m", "tests.slow_fakes", "0.3", *command, new_group=True)
        program.environment["DEBUG_MODE"] = "true"
        job = eventually(lambda: program.job("Film.mkv", JobState.RUNNING), "running")
        eventually(lambda: len(program.takes(job)) >= 3, "three takes")
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 1
        document: dict[str, Any] = json.loads(_last_document(program.log.read_text()))
        assert (document["job"], document["state"]) == (job.id, "waiting")
        spoken = program.takes(job)
        assert names(program.videos) == ["Film.mkv"]

        again = program.spawn("-m", "tests.slow_fakes", "0.3", *command)
        assert again.wait(60) == 0, program.log.read_text()
        assert json.loads(_last_document(program.log.read_text()))["job"] == job.id
        after = program.takes(job)
        kept = sorted(spoken)[:-1]
        assert {name: after[name] for name in kept} == {name: spoken[name] for name in kept}
        assert sha256(film) == before

    def test_a_job_that_another_process_works_on_is_refused(self, program: Program) -> None:
        film = make_talk(program.videos / "Film.mkv", 40.0)
        process = program.spawn("-m", "tests.slow_fakes", "0.3", "dub", str(film))
        eventually(lambda: program.job("Film.mkv", JobState.RUNNING), "running")
        refused = program.run("dub", film, "--json")
        assert refused.returncode == 2
        assert "already works on this video" in json.loads(refused.stdout)["error"]
        process.terminate()
        process.wait(30)


def _last_document(text: str) -> str:
    return text[text.rindex("\n{\n") :]
