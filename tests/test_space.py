"""Disks that fill up and are freed again: real small file systems, the real daemon."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubarr_watch.demo.listener import PushListener
from dubarr_watch.dubbing.room import check_room, work_bytes
from dubarr_watch.errors import DiskFull, PublishError
from dubarr_watch.media import probe
from dubarr_watch.space import SpaceGate
from dubarr_watch.store.reading import open_for_reading
from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import Shop, make_talk, names, open_shop
from tests.disks import tmpfs
from tests.programs import Program
from tests.waiting import eventually


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 160 MB."""
    with tmpfs(tmp_path / "small", "160m") as mounted:
        yield mounted


def fill(folder: Path, *, leave_bytes: int = 0) -> Path:
    """Take up the space of a file system; returns the file that does."""
    filler = folder / "filler.bin"
    left = shutil.disk_usage(folder).free - leave_bytes
    with filler.open("wb", buffering=0) as file:
        try:
            for _ in range(left // 65536 + 1):
                file.write(bytes(65536))
        except OSError:
            pass  # full: that is what it is for
    return filler


class TestTheQueuePauses:
    def test_a_full_library_pauses_the_queue_with_one_message_until_there_is_space(
        self, tmp_path: Path, small: Path
    ) -> None:
        """Two jobs wait, one message says why, both are dubbed when the disk is freed."""
        make_talk(small / "One.mkv", 8.0)
        make_talk(small / "Two.mkv", 9.0)
        filler = fill(small, leave_bytes=100_000)
        with (
            PushListener() as push,
            Program(
                tmp_path, PROCESS_EXISTING="true", NOTIFY_URLS=push.url, NOTIFY_DIGEST_SECONDS="0",
                VIDEOS_DIR=str(small),
            ) as program,
        ):  # fmt: skip
            program.start()
            eventually(lambda: paused(program), "paused")
            message = push.wait(30) or pytest.fail("no message")
            assert "Paused, no space" in message["title"]
            assert "it goes on by itself" in message["message"]
            assert [n for n in names(small) if n.endswith(".tmp")] == []
            filler.unlink()
            for name in ("One.mkv", "Two.mkv"):
                assert program.ended(name).state is JobState.DONE
            told = [push.wait(30), push.wait(30)]
            assert all(one is not None and "Dubbed" in one["title"] for one in told)

    def test_a_disk_that_fills_in_the_middle_of_a_job_stops_it_at_its_last_line(
        self, tmp_path: Path, small: Path
    ) -> None:
        """The database's own disk: nothing is lost, and finished lines are not spoken again."""
        with Program(tmp_path, DEBUG_MODE="true", CONFIG_DIR=str(small / "config")) as program:
            program.config = small / "config"
            program.start(seconds_a_line=0.3)
            make_talk(program.videos / "Film.mkv", 60.0)
            job = eventually(lambda: program.job("Film.mkv", JobState.RUNNING), "running")
            eventually(lambda: len(finished_lines(program, job)) >= 2, "two lines")
            before = {f"{n:05}-1.wav": program.takes(job)[f"{n:05}-1.wav"]
                      for n in finished_lines(program, job)}  # fmt: skip
            filler = fill(small)
            eventually(lambda: b"queue paused" in program.log.read_bytes(), "paused")
            assert program.daemon is not None
            assert program.daemon.poll() is None
            filler.unlink()
            ended = program.ended("Film.mkv")
            assert (ended.id, ended.state) == (job.id, JobState.DONE)
            after = program.takes(job)
            assert {name: after[name] for name in before} == before
            assert program.is_sound()


def finished_lines(program: Program, job: JobRecord) -> set[int]:
    """Return the lines that are in the database: these are never spoken again."""
    with open_for_reading(program.config / "dubarr.db") or pytest.fail("no database") as store:
        return set(store.checkpoints.lines(job.id, "es"))


def paused(program: Program) -> bool:
    return any(job.reason.startswith("Waits for space") for job in program.jobs())


class TestGate:
    def test_it_opens_when_enough_was_freed_and_not_before(self, small: Path) -> None:
        filler = fill(small)
        gate = SpaceGate()
        assert gate.is_open()
        assert gate.close(DiskFull("Full.", path=small / "not" / "there" / "yet"))
        assert not gate.is_open()
        with filler.open("r+b") as file:
            file.truncate(filler.stat().st_size - 4_000_000)
        assert not gate.is_open()
        with filler.open("r+b") as file:
            file.truncate(filler.stat().st_size - 8_000_000)
        assert gate.is_open()

    def test_a_quota_that_shows_in_no_figure_is_tried_again_after_a_while(
        self, small: Path
    ) -> None:
        now = [0.0]
        gate = SpaceGate(try_again_s=600, clock=lambda: now[0])
        gate.close(DiskFull("Disk quota exceeded.", path=small))
        now[0] = 599
        assert not gate.is_open()
        now[0] = 600
        assert gate.is_open()

    def test_a_disk_that_answers_with_errors_keeps_it_closed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A mount that went away with its space must not end the daemon."""

        def away(path: Path) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))

        gate = SpaceGate()
        with monkeypatch.context() as patched:
            patched.setattr(shutil, "disk_usage", away)
            assert gate.close(DiskFull("Full.", path=tmp_path))
            assert not gate.is_open()
        assert gate.is_open()

    def test_the_same_lack_of_space_is_news_once(self, small: Path) -> None:
        gate = SpaceGate()
        assert gate.close(DiskFull("Full.", path=small))
        assert not gate.close(DiskFull("Full.", path=small))
        gate.had_room(small)
        assert gate.close(DiskFull("Full.", path=small))

    def test_room_elsewhere_makes_it_no_news(self, small: Path, tmp_path: Path) -> None:
        """Jobs on another disk go on beside the one that waits."""
        gate = SpaceGate(shared=tmp_path)
        gate.close(DiskFull("Full.", path=small))
        gate.had_room(tmp_path)
        assert not gate.close(DiskFull("Full.", path=small))
        assert gate.close(DiskFull("Full.", path=tmp_path))
        gate.had_room(small)
        assert gate.close(DiskFull("Full.", path=tmp_path))


class TestPreflight:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Iterator[Shop]:
        with open_shop(tmp_path) as opened:
            yield opened

    def test_the_estimate_covers_what_a_job_takes_and_is_no_fantasy(self, shop: Shop) -> None:
        film = make_talk(shop.videos / "Film.mkv", 60.0)
        ended = shop.dub(film)
        folder = shop.settings.work_dir / str(ended.job.id)
        taken = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        estimate = work_bytes(
            probe(film), languages=1, stereo=False,
            separated=shop.specs.separator is not None,
        )  # fmt: skip
        assert taken < estimate < 6 * taken

    def test_it_is_said_before_anything_is_decoded(self, small: Path) -> None:
        fill(small, leave_bytes=40_000_000)
        work = small / "work"
        work.mkdir()
        check_room(work, 4_000_000)
        with pytest.raises(DiskFull, match=r"intermediate files: about .* needed"):
            check_room(work, 12_000_000)

    def test_what_is_there_already_is_not_asked_for_twice(self, small: Path) -> None:
        work = small / "work"
        work.mkdir()
        (work / "bed.flac").write_bytes(bytes(50_000_000))
        fill(small, leave_bytes=40_000_000)
        with pytest.raises(DiskFull):
            check_room(work, 60_000_000)
        check_room(work, 54_000_000)

    def test_a_disk_that_is_too_small_even_when_empty_fails_the_job(self, small: Path) -> None:
        """Waiting would be for ever, and nothing else would be dubbed meanwhile."""
        with pytest.raises(PublishError, match="too small") as raised:
            check_room(small, 10**12)
        assert not isinstance(raised.value, DiskFull)
