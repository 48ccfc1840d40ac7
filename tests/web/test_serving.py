"""The page as a part of the daemon: a real process on a real port."""

from __future__ import annotations

import signal
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psutil
import pytest
from websockets.sync.client import connect

from dubarr_watch.store.records import JobState
from tests.composing import make_talk, names, sha256
from tests.programs import MAX_STOP_S, Program, all_gone, drop, free_port
from tests.waiting import eventually

MAX_IDLE_RSS_MB = 150


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    port = str(free_port())
    with Program(tmp_path, API_PORT=port, API_HOST="127.0.0.1", API_PASS="made-up") as made:
        yield made


@pytest.fixture
def client(program: Program) -> Iterator[httpx.Client]:
    url = f"http://127.0.0.1:{program.environment['API_PORT']}"
    with httpx.Client(base_url=url, auth=("admin", "made-up"), trust_env=False) as opened:
        yield opened


def test_a_job_that_is_asked_for_is_done(program: Program, client: httpx.Client) -> None:
    """The workers are woken, and the page says how it ended."""
    drop(make_talk(program.videos / "made.tmp.mkv"), program.videos, "Film.mkv.part")
    (program.videos / "made.tmp.mkv").unlink()
    (program.videos / "Film.mkv.part").rename(program.videos / "Film.mkv")
    program.start()
    eventually(lambda: client.get("/api/v1/videos").json()["total"] == 1, "recorded video")
    answer = client.post("/api/v1/jobs", json={"path": "Film.mkv", "languages": ["fr"]})
    job = answer.json()["id"]
    eventually(lambda: client.get(f"/api/v1/jobs/{job}").json()["state"] == "done", "done")
    found = client.get(f"/api/v1/jobs/{job}").json()
    assert [(one["language"], one["kind"]) for one in found["tracks"]] == [
        ("fr", "sidecar"), ("fr", "subtitles"),
    ]  # fmt: skip
    assert client.get("/api/v1/videos").json()["items"][0]["dubbed"] == ["fr"]
    assert program.ended("Film.mkv").state is JobState.DONE


def test_a_port_that_is_taken_is_told_with_the_way_out(program: Program) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", int(program.environment["API_PORT"])))
        other.listen()
        refused = program.run("run")
    assert refused.returncode == 2
    assert f"Port {program.environment['API_PORT']} for the page is taken" in refused.stderr
    assert "API_PORT" in refused.stderr.partition("What to do")[2]


def test_it_stops_in_time_though_somebody_is_connected(
    program: Program, client: httpx.Client
) -> None:
    program.start()
    assert client.get("/api/v1/status").status_code == 200
    with socket.create_connection(("127.0.0.1", int(program.environment["API_PORT"]))) as half:
        half.sendall(b"GET /api/v1/status HTTP/1.1\r\n")
        program.end(signal.SIGTERM, MAX_STOP_S)
    assert program.daemon is not None
    assert program.daemon.returncode == 0
    assert "page stopped hard" not in program.log.read_text()


def test_it_stops_in_time_though_nothing_around_it_answers(
    program: Program, client: httpx.Client
) -> None:
    """Streams that are heard, an upload that is half here, and services that never answer."""
    port = program.environment["API_PORT"]
    with ExitStack() as around:
        deaf, jellyfin = (around.enter_context(socket.create_server(("127.0.0.1", 0), backlog=16))
                          for _ in range(2))  # fmt: skip
        program.environment |= {
            "NOTIFY_URLS": f"json://127.0.0.1:{deaf.getsockname()[1]}",
            "NOTIFY_DIGEST_SECONDS": "0",
            "JELLYFIN_URL": f"http://127.0.0.1:{jellyfin.getsockname()[1]}",
            "JELLYFIN_TOKEN": "made-up",
        }
        program.start()
        drop(make_talk(program.config / "made.mkv"), program.videos, "Film.mkv")
        program.ended("Film.mkv")
        for asked in (deaf, jellyfin):  # their connections are kept, and nothing is said
            asked.settimeout(30)
            around.enter_context(asked.accept()[0])
        around.enter_context(client.stream("GET", "/api/v1/events"))
        around.enter_context(client.stream("GET", "/api/v1/logs/stream"))
        right = {"Authorization": "Basic " + b64encode(b"admin:made-up").decode()}
        around.enter_context(
            connect(f"ws://127.0.0.1:{port}/ws/logs", additional_headers=right, proxy=None)
        )
        for what in ("/upload?name=Half.mkv", "/api/v1/notifications/test"):
            begun = around.enter_context(socket.create_connection(("127.0.0.1", int(port))))
            head = f"POST {what} HTTP/1.1\r\nHost: a\r\nAuthorization: {right['Authorization']}"
            length = 1000 if "upload" in what else 0
            begun.sendall(
                f"{head}\r\nContent-Length: {length}\r\n\r\n".encode() + b"x" * (length // 2)
            )
        eventually(lambda: any(".tmp" in name for name in names(program.videos)), "half here")
        around.enter_context(deaf.accept()[0])  # the test message
        program.end(signal.SIGTERM, MAX_STOP_S)
    assert program.daemon is not None
    assert program.daemon.returncode == 0
    assert not [name for name in names(program.videos) if ".tmp" in name]


def test_it_stops_in_time_though_a_line_is_made_anew(
    program: Program, client: httpx.Client
) -> None:
    """And publishes nothing; after the next start it is made without being asked for again.

    So is one that waited, and one that was being made when the program was killed.
    """
    program.start()
    drop(make_talk(program.config / "made.mkv"), program.videos, "Film.mkv")
    job = program.ended("Film.mkv").id
    assert program.end(signal.SIGTERM) is not None
    published = {path.name: sha256(path) for path in program.videos.iterdir()}
    program.start(seconds_a_line=60.0)
    line = {"language": "es", "text": "Otras palabras."}
    asked = [client.post(f"/api/v1/jobs/{job}/lines/{number}/redo", json=line).json()["id"]
             for number in (0, 1)]  # fmt: skip
    eventually(lambda: client.get(f"/api/v1/tasks/{asked[0]}").json()["step"] == "synthesize")
    assert client.get(f"/api/v1/tasks/{asked[1]}").json()["state"] == "waiting"
    left = program.end(signal.SIGTERM, MAX_STOP_S)
    assert program.daemon is not None
    assert program.daemon.returncode == 0
    assert all_gone(left)
    ended = [line for line in program.log.read_text().splitlines() if '"task failed"' in line]
    assert len(ended) == 1, "it heeds the signal, and is not torn off with the process"
    assert "ancelled" in ended[0]
    assert {path.name: sha256(path) for path in program.videos.iterdir()} == published
    program.start(seconds_a_line=60.0)
    eventually(lambda: client.get("/api/v1/tasks").json()[-1]["step"] == "synthesize", "begun")
    program.end(signal.SIGKILL)
    assert {path.name: sha256(path) for path in program.videos.iterdir()} == published
    program.start()
    eventually(lambda: {one["state"] for one in client.get("/api/v1/tasks").json()} == {"done"})
    assert (program.videos / "Film.Dubarr.es.srt").read_text().count("Otras palabras.") == 2


def test_an_idle_daemon_with_its_page_is_small(program: Program, client: httpx.Client) -> None:
    """After a job, with pages shown and a stream open."""
    program.start()
    drop(make_talk(program.config / "made.mkv"), program.videos, "Film.mkv")
    program.ended("Film.mkv")
    assert program.daemon is not None
    process = psutil.Process(program.daemon.pid)
    with client.stream("GET", "/api/v1/events"):
        for path in ("/", "/docs", "/openapi.json", "/metrics", "/api/v1/videos", "/api/v1/jobs/1"):
            assert client.get(path).status_code == 200, path
        eventually(lambda: not process.children(recursive=True), "no engine left")
        rss_mb = process.memory_info().rss / 1e6
    print(f"idle daemon with its page: {rss_mb:.0f} MB")  # noqa: T201
    assert rss_mb < MAX_IDLE_RSS_MB
