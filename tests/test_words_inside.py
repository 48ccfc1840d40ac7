"""Words that stand inside a file, in its subtitles and tags: shown as words, obeyed by nobody."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dubarr_watch.media import probe
from dubarr_watch.store.records import JobState
from tests.composing import ffmpeg, make_talk
from tests.programs import Program, free_port
from tests.test_names_everywhere import Told, a_phone, obeyed
from tests.waiting import eventually

PASSWORD = "made-up-for-words"
SAID = (
    "<script>alert(1)</script> uno",
    '" onmouseover=alert(1) x=" dos',
    "{{ 7 * 7 }} {% raw %} ${HOME} tres",
    "\x1b[2J\x1b]0;owned\x07 cuatro \N{RIGHT-TO-LEFT OVERRIDE}ocnic",
)
TAGS = {
    "title": "<img src=x onerror=alert(1)>\x1b[2J",
    "language": '"><script>alert(2)</script>',
    "handler_name": "{{ 7 * 7 }}\x07",
}


def film(path: Path, folder: Path) -> None:
    """Make a video whose tags mean ill, with subtitles that do beside it."""
    talk = make_talk(folder / "talk.mkv", 3.2 * len(SAID))
    tags = [word for name, text in TAGS.items() for where in ("", ":s:a:0")
            for word in (f"-metadata{where}", f"{name}={text}")]  # fmt: skip
    chapter = folder / "chapters.txt"
    chapter.write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=4\ntitle=<script>alert(3)</script>\n"
    )
    blocks = [
        f"{number + 1}\n{_clock(3.2 * number)} --> {_clock(3.2 * number + 2.4)}\n{text}\n"
        for number, text in enumerate(SAID)
    ]
    path.with_suffix(".es.srt").write_text("\n".join(blocks))
    whole = folder / "whole.mkv"
    ffmpeg("-i", f"file:{talk}", "-i", f"file:{chapter}", "-map", "0", "-map_chapters", "1",
           "-c", "copy", *tags, f"file:{whole}")  # fmt: skip
    whole.rename(path)


def _clock(at_s: float) -> str:
    return f"00:00:{at_s:06.3f}".replace(".", ",")


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("words")
    port = free_port()
    with a_phone() as (phone, pushed):
        program = Program(
            folder, API_HOST="127.0.0.1", API_PORT=str(port), API_PASS=PASSWORD,
            NOTIFY_URLS=f"json://127.0.0.1:{phone}", NOTIFY_DIGEST_SECONDS="0", LOG_LEVEL="debug",
            OUTPUT_MODE="both",
        )  # fmt: skip
        with program:
            program.start()
            film(program.videos / "Film.mkv", folder)
            program.ended("Film.mkv")
            eventually(lambda: pushed, "it was told")
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30,
                              auth=("admin", PASSWORD)) as client:  # fmt: skip
                yield Told(program, client, pushed)


def test_what_the_subtitles_say_is_shown_as_words(told: Told) -> None:
    (job,) = told.program.jobs()
    assert job.state in (JobState.DONE, JobState.DONE_WITH_WARNINGS), job.reason
    lines = html.unescape(told.client.get(f"/jobs/{job.id}").text)
    for text in ("alert uno", "onmouseover=alert", "cuatro"):
        assert text in lines, "what came of the subtitles is what is dubbed"
    for address in (f"/jobs/{job.id}", f"/library/{job.video.id}", "/", "/library", "/history",
                    "/logs", f"/api/v1/jobs/{job.id}", "/api/v1/videos"):  # fmt: skip
        found = told.client.get(address).text
        assert "<script>alert" not in found, address
        assert "<img src=x" not in found, address
        assert '" onmouseover' not in found.replace('\\"', "'"), address
        assert obeyed(found) == set(), address


def test_the_report_holds_no_word_that_is_run(told: Told, tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    (job,) = told.program.jobs()
    told.program.run("report", str(job.id), "--html", str(report))
    text = report.read_text("utf-8")
    assert "alert uno" in text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert '" onmouseover' not in text
    assert obeyed(text) == set()


def test_nobody_else_is_told_what_to_do(told: Told) -> None:
    """The phone, the log and the terminal."""
    assert obeyed("".join(told.pushed)) == set()
    log = told.program.log.read_text("utf-8").splitlines()
    assert all(isinstance(json.loads(line), dict) for line in log)
    assert obeyed("\n".join(log)) == set()
    (job,) = told.program.jobs()
    for words in (("status",), ("report", str(job.id))):
        shown = told.program.run(*words)
        assert "\x1b" not in shown.stdout + shown.stderr
        assert "\x07" not in shown.stdout + shown.stderr


def test_what_is_published_says_the_words_without_their_powers(told: Told) -> None:
    beside = told.program.videos
    subtitles = (beside / "Film.Dubarr.es.srt").read_text("utf-8")
    assert "<script>" not in subtitles
    assert obeyed(subtitles) == set()
    track = probe(beside / "Film.Dubarr.es.mka").of_kind("audio")[0]
    assert obeyed(json.dumps([track.title, track.language], ensure_ascii=False)) == set()
