"""SIGTERM while something else than a job's stages is under way: soon, whole, exit code 0."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from dubarr_watch.media import ffmpeg_path, probe
from dubarr_watch.store.records import JobState
from tests.composing import make_talk, names, running_below, sha256
from tests.engines.hubserver import HubServer
from tests.engines.test_catalog import hub_list
from tests.programs import MAX_STOP_S, Program, all_gone, drop, free_port
from tests.waiting import eventually
from tests.webhooks.test_daemon import client

VIDEO_S = 12.0
SLOW_MUX = """#!/bin/sh
# ffmpeg, which takes as long as the video lasts to write it, while there is a file `slow`.
case "$*" in *Film.mkv.dubarr-*) ;; *) exec {real} "$@" ;; esac
[ -e {slow} ] || exec {real} "$@"
left=$#
while [ "$left" -gt 0 ]; do
    word=$1; shift
    [ "$word" != -i ] || set -- "$@" -re
    set -- "$@" "$word"
    left=$((left - 1))
done
exec {real} "$@"
"""


class House:
    """A program with a page, whose ffmpeg can be slow at the mux."""

    def __init__(self, folder: Path) -> None:
        self.slow = folder / "slow"
        tools = folder / "bin"
        tools.mkdir()
        (tools / "ffmpeg").write_text(SLOW_MUX.format(real=ffmpeg_path(), slow=self.slow))
        (tools / "ffmpeg").chmod(0o755)
        self._port = free_port()
        self.program = Program(
            folder, PATH=f"{tools}:/usr/bin:/bin", API_PORT=str(self._port),
            API_HOST="127.0.0.1", OUTPUT_MODE="both",
        )  # fmt: skip

    def ask(self) -> httpx.Client:
        return client(self.program, self._port)

    def begin_redo(self) -> None:
        """Begin to make a line anew."""
        with self.ask() as page:
            (job,) = self.program.jobs()
            asked = page.post(f"/api/v1/jobs/{job.id}/lines/0/redo", json={"language": "es"})
            asked.raise_for_status()

    def is_muxing(self) -> bool:
        """Tell whether ffmpeg writes the video."""
        assert self.program.daemon is not None
        daemon = psutil.Process(self.program.daemon.pid)
        return bool(self.half_files() and running_below(daemon, "ffmpeg"))

    def half_files(self) -> list[str]:
        return [name for name in names(self.program.videos) if name.endswith(".tmp")]

    def stop(self) -> None:
        """Ask it to stop, and look at how it does."""
        program = self.program
        assert program.daemon is not None
        below = program.end(signal.SIGTERM, MAX_STOP_S)
        assert program.daemon.returncode == 0
        assert all_gone(below)
        assert program.is_sound()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    with made.program:
        yield made


def test_stopped_and_killed_in_the_mux_of_a_job_and_of_a_redo(house: House, tmp_path: Path) -> None:
    program = house.program
    film = program.videos / "Film.mkv"
    house.slow.touch()
    program.start()
    drop(make_talk(tmp_path / "talk.mkv", VIDEO_S), program.videos, film.name)
    original = sha256(film)
    eventually(house.is_muxing, "the job's mux")
    house.stop()
    assert house.half_files() == []
    assert sha256(film) == original
    assert [job.state for job in program.jobs()] == [JobState.QUEUED]

    house.slow.unlink()
    program.start()
    assert program.ended(film.name).state is JobState.DONE
    muxed = sha256(film)
    assert muxed != original
    house.slow.touch()
    house.begin_redo()
    eventually(house.is_muxing, "the redo's mux")
    house.stop()
    assert house.half_files() == []
    assert sha256(film) == muxed
    assert [job.state for job in program.jobs()] == [JobState.DONE]

    program.start()
    eventually(house.is_muxing, "the redo's mux")
    program.end(signal.SIGKILL)
    assert len(house.half_files()) == 1
    assert sha256(film) == muxed

    house.slow.unlink()
    program.start()
    with house.ask() as page:
        (task,) = page.get("/api/v1/tasks").json()
        number = task["id"]
        eventually(lambda: page.get(f"/api/v1/tasks/{number}").json()["state"] == "done", "redo")
    assert house.half_files() == []
    assert sha256(film) != muxed
    assert [stream.language for stream in probe(film).of_kind("audio")] == ["eng", "spa"]


class TestPull:
    @pytest.fixture
    def hub(self) -> Iterator[HubServer]:
        files = {"/model.bin": b"weights" * 100_000, "/config.json": b"{}"}
        with HubServer(files, hanging={"/model.bin"}, hang_after=200_000) as made:
            yield made

    @pytest.fixture
    def module(self, tmp_path: Path, hub: HubServer) -> str:
        listing = tmp_path / "models.toml"
        head = '[[model]]\nname = "small"\nrole = "tests"\nlicence = "MIT"\n'
        listing.write_text(head + hub_list(hub))
        return f"tests.crashes.unhurried {listing}"

    def stopped(self, program: Program, hub: HubServer) -> None:
        assert program.daemon is not None
        models = Path(program.environment["MODELS_DIR"])
        kept = models / ".pulling-small" / "model.bin.incomplete"
        eventually(hub.hung.is_set, "pulling")
        eventually(lambda: kept.exists() and kept.stat().st_size > 100_000, "some of it is here")
        program.end(signal.SIGTERM, MAX_STOP_S)
        assert program.daemon.returncode == 0, program.log.read_text()
        assert kept.stat().st_size > 100_000
        assert not (models / "small").exists()

    def test_stopped_while_the_page_pulls_a_model(
        self, tmp_path: Path, hub: HubServer, module: str
    ) -> None:
        port = free_port()
        with Program(tmp_path, API_HOST="127.0.0.1", API_PORT=str(port)) as program:
            program.start(module=module)
            with client(program, port) as page:
                page.post("/api/v1/models/small/pull").raise_for_status()
                self.stopped(program, hub)

    def test_stopped_while_it_pulls_before_it_starts(
        self, tmp_path: Path, hub: HubServer, module: str
    ) -> None:
        with Program(tmp_path, MOCK_MODE="false", PROFILE="embedded") as program:
            program.daemon = program.spawn("-m", *module.split(), "run", "--pull")
            self.stopped(program, hub)


def test_stopped_while_it_copies_the_database(tmp_path: Path) -> None:
    """What is half a copy goes, now or, after a death, with the next one."""
    (tmp_path / "models.toml").write_text("model = []")
    with Program(tmp_path) as program:
        copies = program.config / "backups"
        seen: set[tuple[int, int]] = set()

        def halves() -> set[tuple[int, int]]:
            try:
                found = [path.stat() for path in copies.glob("*.part")]
            except FileNotFoundError:
                return set()
            return {(one.st_ino, one.st_mtime_ns) for one in found}

        def new() -> set[tuple[int, int]]:
            return halves() - seen

        for number in (signal.SIGKILL, signal.SIGTERM):
            program.start(module=f"tests.crashes.unhurried {tmp_path / 'models.toml'}")
            eventually(new, "half a copy")
            program.end(number, MAX_STOP_S)
            seen = halves()
        assert program.daemon is not None
        assert program.daemon.returncode == 0
        assert names(copies) == []
        program.start()
        eventually(lambda: names(copies), "a copy")
        eventually(lambda: all(name.endswith(".db") for name in names(copies)), "whole")
        assert program.is_sound()
