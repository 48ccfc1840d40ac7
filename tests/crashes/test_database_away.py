"""A database server that is stopped in the middle of a job, and started again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from dubarr_watch.store import Store
from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import make_talk, names
from tests.programs import Program, all_gone, drop, free_port
from tests.store.server import Server, running_server
from tests.waiting import eventually
from tests.webhooks.test_daemon import client

LINES_S = 40.0


class House:
    """A program whose database is on a server of its own."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.server, self.url = server, server.new()
        self._port = free_port()
        self.program = Program(
            folder, API_PORT=str(self._port), API_HOST="127.0.0.1",
            DEBUG_MODE="true", DATABASE_URL=self.url.get_secret_value(),
        )  # fmt: skip

    def job(self) -> JobRecord | None:
        with Store.open(self.url) as store:
            return next(iter(store.jobs.for_video(1)), None)

    def health(self) -> tuple[int, str]:
        """Return the status and what is said of the database."""
        with client(self.program, self._port) as page:
            try:
                answer = page.get("/health")
            except httpx.HTTPError:
                return 0, ""
            return answer.status_code, answer.json()["database"]["detail"]

    def logged(self, event: str) -> int:
        return self.program.log.read_text().count(f'"event": "{event}"')

    def speaks(self) -> None:
        """Let it come to the middle of its lines."""
        eventually(lambda: len(self.takes()) > 2, "some takes")

    def takes(self) -> dict[str, int]:
        job = self.job()
        return self.program.takes(job) if job else {}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with running_server() as server:
        made = House(tmp_path, server)
        with made.program:
            made.program.start(seconds_a_line=0.4)
            eventually(lambda: made.logged("baseline"), "the library is watched")
            film = make_talk(tmp_path / "made.mkv", LINES_S)
            drop(film, made.program.videos, "Film.mkv")
            made.speaks()
            yield made


def test_a_job_goes_on_once_the_server_is_back_and_no_attempt_is_counted(house: House) -> None:
    before = house.takes()
    house.server.stop()
    eventually(lambda: house.logged("database_away") == 1, "it is noticed")
    eventually(lambda: house.health() == (503, "The database server does not answer."), "told")
    assert house.program.daemon is not None
    assert house.program.daemon.poll() is None
    house.server.start()
    eventually(lambda: house.logged("database_back") == 1, "it is back")
    eventually(lambda: (job := house.job()) is not None and job.state.ended, "the job ended")
    job = house.job()
    assert job is not None
    assert (job.state, job.attempts) == (JobState.DONE, 1)
    after = house.takes()
    assert {name: after.get(name) for name in before} == before, "no line is spoken again"
    eventually(lambda: house.health() == (200, ""), "all is well again")
    assert "Film.Dubarr.es.mka" in names(house.program.videos)


def test_it_stops_when_asked_though_the_server_is_away(house: House) -> None:
    house.server.stop()
    eventually(lambda: house.logged("database_away") == 1, "it is noticed")
    below = house.program.end(signal.SIGTERM)
    assert house.program.daemon is not None
    assert house.program.daemon.returncode == 0
    assert all_gone(below)
    house.server.start()
    job = house.job()
    assert job is not None
    assert job.state is JobState.RUNNING, "it is taken back once its lease is over"
    assert names(house.program.videos) == ["Film.mkv"]
