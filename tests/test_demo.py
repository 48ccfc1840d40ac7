"""The demonstration runs to its end, on fakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.composing import make_talk, names
from tests.programs import Program


def test_it_shows_the_whole_way(tmp_path: Path) -> None:
    program = Program(tmp_path, COLUMNS="200")
    scratch = tmp_path / "demo"
    shown = program.run("demo", "--lang", "es", "--lang", "fr", "--folder", scratch)
    assert shown.returncode == 0, shown.stdout + shown.stderr + _log(scratch)
    for words in (
        "Dropped Talk.mkv", "asks for Spanish, French", "synthesize", "The job is done",
        "Talk.Dubarr.es.mka", "Talk.Dubarr.fr.mka", "Spanish (AI dub)", "aac", "LUFS",
        "Spanish: quality report", "within their slot", "Time of each stage", "transcribe",
        "Push message received",
    ):  # fmt: skip
        assert words in shown.stdout
    message = shown.stdout[shown.stdout.index("Push message received") :]
    assert "Talk.mkv" in message
    assert "Spanish" in message
    assert "Traceback" not in shown.stderr
    assert "Talk.mkv.dub.done" in names(scratch / "videos")


def test_it_takes_a_video_of_the_users_and_leaves_it_alone(tmp_path: Path) -> None:
    program = Program(tmp_path, COLUMNS="200")
    film = make_talk(tmp_path / "My film [1].mkv", 5.0)
    before = film.read_bytes()
    shown = program.run("demo", "--file", film, "--lang", "it", "--folder", tmp_path / "demo")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "My film [1].Dubarr.it.mka" in shown.stdout
    assert film.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["--file", "nowhere.mkv"], "does not exist"), (["--lang", "Klingn"], "Klingn")],
)
def test_wrong_usage_ends_with_2(tmp_path: Path, arguments: list[str], words: str) -> None:
    refused = Program(tmp_path).run("demo", "--folder", tmp_path / "demo", *arguments)
    assert refused.returncode == 2
    assert words in refused.stderr
    assert not (tmp_path / "demo").exists(), "nothing is removed or made for a wrong command"


def test_a_folder_that_is_not_an_earlier_demonstration_is_left_alone(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    refused = Program(tmp_path).run("demo", "--folder", precious)
    assert refused.returncode == 2
    assert "precious" in refused.stderr
    assert names(precious) == ["thesis.txt"]


def _log(scratch: Path) -> str:
    log = scratch / "daemon.log"
    return log.read_text() if log.exists() else ""
