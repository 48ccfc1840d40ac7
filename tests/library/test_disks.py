"""Disks of the library that go away and come back: real mounts, the real daemon."""

from __future__ import annotations

import shutil
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import make_talk, names
from tests.programs import Program
from tests.waiting import eventually


class Disk:
    """A folder that is mounted in the library, or is not."""

    def __init__(self, content: Path, point: Path) -> None:
        self.content, self.point = content, point
        self.mounted = False
        for folder in (content, point):
            folder.mkdir(parents=True, exist_ok=True)

    def mount(self) -> None:
        done = subprocess.run(["mount", "--bind", self.content, self.point], check=False)
        if done.returncode != 0:
            pytest.skip("this user may not mount")
        self.mounted = True

    def pull(self) -> None:
        """Take it away from under whoever reads it, as a cable does."""
        subprocess.run(["umount", "-l", self.point], check=True)
        self.mounted = False


@pytest.fixture(params=["the library itself", "a folder of it"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    below = "" if request.param == "the library itself" else "movies"
    made = Disk(tmp_path / "disk", tmp_path / "videos" / below)
    made.mount()
    yield made
    while made.mounted:
        made.pull()


def test_a_disk_that_goes_and_comes_back_loses_and_repeats_nothing(
    disk: Disk, tmp_path: Path
) -> None:
    """A film in the middle of its job, one that is dubbed already and one that is queued."""
    with Program(tmp_path, SCAN_INTERVAL="1") as program:
        program.start(seconds_a_line=0.4)
        make_talk(disk.point / "Done.mkv", 4.0)
        done = program.ended("Done.mkv")
        for name in ("Running.mkv", "Queued.mkv"):
            make_talk(disk.point / name, 20.0)
            eventually(partial(program.job, name, *JobState), name)
        running = eventually(lambda: speaking(program), "speaks")
        spoken = dict(sorted(program.takes(running).items())[:-1])  # the last may be unfinished
        before = names(disk.content)

        disk.pull()
        away = [b"library_away", b"disk_away"]
        eventually(lambda: any(one in program.log.read_bytes() for one in away), "away")
        waits = [JobState.WAITING]
        for name in ("Running.mkv", "Queued.mkv"):
            job = eventually(partial(program.job, name, *waits), f"{name} waits")
            assert job.reason.startswith("Waits for its disk")
        assert names(disk.point) == []
        assert [n for n in names(disk.content) if n not in before] == []

        disk.mount()
        for name in ("Running.mkv", "Queued.mkv"):
            assert program.ended(name).state is JobState.DONE
        assert len(program.jobs()) == 3
        assert program.job("Done.mkv") == done
        again = program.takes(running)
        assert {name: again[name] for name in spoken} == spoken
        disk.pull()
        assert names(disk.point) == []


def test_what_was_on_a_disk_that_is_away_at_the_start_is_not_forgotten(
    disk: Disk, tmp_path: Path
) -> None:
    with Program(tmp_path, SCAN_INTERVAL="1") as program:
        program.start()
        (disk.point / ".dub").write_text("es")
        make_talk(disk.point / "Film.mkv", 4.0)
        ended = program.ended("Film.mkv")
        program.end(signal.SIGTERM)
        disk.pull()
        begun = program.log.stat().st_size
        program.start()
        eventually(lambda: b"_away" in program.log.read_bytes()[begun:], "away")
        shutil.copyfile(disk.content / "Film.mkv", disk.content / "Late.mkv")
        with (disk.content / "Late.mkv").open("ab") as file:
            file.write(b"\0")
        disk.mount()
        assert program.ended("Late.mkv").state is JobState.DONE
        assert [job.id for job in program.jobs()] == [ended.id, ended.id + 1]
        assert b"request_withdrawn" not in program.log.read_bytes()
        assert b"video_gone" not in program.log.read_bytes()


def speaking(program: Program) -> JobRecord | None:
    """Return a job that has some lines finished and others not."""
    return next(
        (
            job
            for job in program.jobs()
            if job.state is JobState.RUNNING and len(program.takes(job)) >= 2
        ),
        None,
    )
