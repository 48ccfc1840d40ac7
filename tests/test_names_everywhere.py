"""Names in any bytes, as long as they may be, from the folder to the phone: dubbed and told.

Nothing of them is obeyed on the way: not by a page, a terminal, a log or a push message.
"""

from __future__ import annotations

import html
import json
import os
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from dubarr_watch.errors import printable
from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import make_talk
from tests.programs import Program, free_port
from tests.waiting import eventually

LONGEST = 255 - len(".Dubarr.es.mka")
STEMS = [
    b"<script>alert(1)<",
    b"\x1b[2J\x1b]0;owned\x07 escape",
    b"line\r\nbreak\tand tab",
    b"not utf-8 \xff\xfe\x80",
    "turned \N{RIGHT-TO-LEFT OVERRIDE}vkm".encode(),
    b'" onmouseover=alert(1) x="',
    b"{{ 7 * 7 }} {% raw %} ${HOME} %s %n",
    b"@everyone [link](evil.example) *bold*",
    b"\xe9" * LONGEST,
    "映".encode() * (LONGEST // 3),
]
TOO_LONG = b"n" * 251
PASSWORD = "made-up-for-names"


class Told:
    """A day with one daemon for all of them, and what everybody heard of it."""

    def __init__(self, program: Program, client: httpx.Client, pushed: list[str]) -> None:
        self.program, self.client, self.pushed = program, client, pushed
        self.jobs = {os.fsencode(job.video.path.stem): job for job in program.jobs()}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    folder = tmp_path_factory.mktemp("names")
    port = free_port()
    with a_phone() as (phone, pushed):
        program = Program(
            folder, API_HOST="127.0.0.1", API_PORT=str(port), API_PASS=PASSWORD,
            NOTIFY_URLS=f"json://127.0.0.1:{phone}", NOTIFY_DIGEST_SECONDS="0",
        )  # fmt: skip
        with program:
            program.start()
            talk = make_talk(folder / "talk.mkv", 4.0)
            (program.videos / ".dub").write_text("es\n")
            for stem in [*STEMS, TOO_LONG]:
                film = program.videos / os.fsdecode(stem + b".mkv")
                film.write_bytes(talk.read_bytes())
                os.utime(film, ns=(0, len(stem)))
            wanted = len(STEMS) + 1
            eventually(lambda: _ended(program.jobs()) == wanted, "all ended", 120)
            eventually(lambda: all(_heard(pushed, stem) for stem in STEMS), "all were told", 30)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30,
                              auth=("admin", PASSWORD)) as client:  # fmt: skip
                yield Told(program, client, pushed)


def _ended(jobs: list[JobRecord]) -> int:
    return sum(job.state.ended for job in jobs)


def _heard(pushed: list[str], stem: bytes) -> list[str]:
    # Chat services wake people by an @, so an invisible joiner follows it.
    shown = printable(os.fsdecode(stem))[:40].replace("@", "@\u2060")
    return [text for text in pushed if shown in text]


@contextmanager
def a_phone() -> Iterator[tuple[int, list[str]]]:
    pushed: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            pushed.append(f"{body['title']}\n{body['message']}")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1], pushed
        server.shutdown()
        thread.join()


def _words(answer: object) -> str:
    if isinstance(answer, dict):
        return "\n".join(map(_words, answer.values()))
    return "\n".join(map(_words, answer)) if isinstance(answer, list) else str(answer)


def obeyed(text: str) -> set[str]:
    """Return what a terminal or a reader would obey in a text."""
    return {one for one in text if unicodedata.category(one) in ("Cc", "Cf", "Cs")} - {*"\n\u2060"}


@pytest.mark.parametrize("stem", STEMS, ids=lambda stem: repr(stem[:20]))
class TestEach:
    def test_is_dubbed_under_its_own_name(self, told: Told, stem: bytes) -> None:
        job = told.jobs[stem]
        assert job.state is JobState.DONE, job.reason
        beside = os.listdir(os.fsencode(told.program.videos))
        assert {stem + b".Dubarr.es.mka", stem + b".Dubarr.es.srt", stem + b".mkv"} <= {*beside}

    def test_is_shown_by_the_api_and_on_the_pages_as_words(self, told: Told, stem: bytes) -> None:
        job, shown = told.jobs[stem], printable(os.fsdecode(stem))
        answer = told.client.get(f"/api/v1/jobs/{job.id}").text
        assert shown in json.dumps(json.loads(answer), ensure_ascii=False).replace(
            '\\"', '"'
        ).replace("\\\\", "\\")
        assert obeyed(answer) == set()
        for page in (f"/jobs/{job.id}", f"/library/{job.video.id}", "/", "/library", "/logs"):
            found = told.client.get(page).text
            assert "<script>alert" not in found
            assert '" onmouseover' not in found
            assert obeyed(found) == set(), page
        assert shown in html.unescape(told.client.get(f"/jobs/{job.id}").text)

    def test_is_told_on_the_phone_in_one_line(self, told: Told, stem: bytes) -> None:
        assert obeyed("".join(_heard(told.pushed, stem))) == set()


def test_a_name_that_leaves_no_room_for_a_track_is_told_so(told: Told) -> None:
    job = told.jobs[TOO_LONG]
    assert job.state is JobState.FAILED
    assert "Shorten it by" in job.reason


def test_no_terminal_is_told_what_to_do(told: Told) -> None:
    """By the log, whose lines stay whole, and by what commands print."""
    lines = told.program.log.read_text("utf-8").splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert obeyed("\n".join(lines)) == set()
    for words in (("status",), ("report", str(told.jobs[STEMS[1]].id))):
        shown = told.program.run(*words)
        assert "\x1b" not in shown.stdout + shown.stderr
        assert "\x07" not in shown.stdout + shown.stderr
