"""A disk or a quota that runs out at each writing step of a job, and what is left then.

Each step has a small real file system of its own to fill.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from dubarr_watch.errors import DiskFull
from dubarr_watch.store.records import JobState
from tests.composing import Shop, make_talk, names, open_shop
from tests.disks import btrfs, limit, tmpfs
from tests.programs import Program
from tests.waiting import eventually

WORK, REPORTS, LIBRARY = "work", "reports", "videos"


@pytest.fixture(scope="module", params=["full", "over its quota"])
def disks(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """Work folders, reports and library, each on a disk or with a quota of its own."""
    root = tmp_path_factory.mktemp("disks")
    with ExitStack() as mounted:
        if request.param != "full":
            mounted.enter_context(btrfs(root))
        (root / "config").mkdir()
        for folder in (root / "config" / WORK, root / "config" / REPORTS, root / LIBRARY):
            if request.param == "full":
                mounted.enter_context(tmpfs(folder, "100m"))
            else:
                limit(folder, 60)
        yield root


@pytest.fixture(scope="module")
def own_shop(disks: Path) -> Iterator[Shop]:
    with open_shop(disks) as opened:
        yield opened


@pytest.fixture
def shop(own_shop: Shop, tmp_path: Path) -> Iterator[Shop]:
    """The shop with an empty library, and nothing in the way."""
    own_shop.spy.before = lambda call: None
    own_shop.set(output_mode="sidecar", debug_mode=True)
    for video in own_shop.videos.iterdir():
        video.unlink()
    yield own_shop
    for folder in (own_shop.settings.work_dir, own_shop.settings.reports_dir, own_shop.videos):
        (folder / "filler").unlink(missing_ok=True)


def fill(folder: Path) -> None:
    """Take every byte of a file system."""
    with (folder / "filler").open("wb") as file:
        for size in (1 << 20, 4096, 1):
            with suppress(OSError):
                while True:
                    os.write(file.fileno(), bytes(size))


def on_stage(stage: str, folder: str) -> Callable[[Shop], Callable[..., None]]:
    """Fill a disk when a stage begins."""

    def arrange(shop: Shop) -> Callable[..., None]:
        filled: list[str] = []

        def told(now: str, share: float, eta_s: float | None) -> None:
            if now.split()[0] == stage and not filled:
                filled.append(now)
                fill(where(shop, folder))

        return told

    return arrange


def where(shop: Shop, folder: str) -> Path:
    return shop.videos if folder == LIBRARY else shop.settings.config_dir / folder


STEPS = {
    "the sound of the video": on_stage("extract", WORK),
    "the transcript": on_stage("transcribe", WORK),
    "who speaks": on_stage("diarize", WORK),
    "the translation": on_stage("translate", WORK),
    "the takes": on_stage("synthesize", WORK),
    "the mix": on_stage("mix", WORK),
    "the work of publishing": on_stage("publish", WORK),
    "the track and subtitles": on_stage("publish", LIBRARY),
    "what the report is made from": on_stage("report", WORK),
    "the report": on_stage("report", REPORTS),
}


@pytest.mark.parametrize("step", STEPS)
def test_the_job_waits_for_space_and_goes_on(shop: Shop, step: str) -> None:
    film = make_talk(shop.videos / f"{step}.mkv", 8.0)
    job = shop.enqueue(film)
    ended = shop.run(job, on_progress=STEPS[step](shop))
    assert isinstance(ended.error, DiskFull), ended
    assert ended.job.state is JobState.QUEUED
    assert ended.job.attempts == 0
    assert ended.job.reason.startswith("Waits for space")
    assert ended.error.path is not None
    assert ended.error.path.is_relative_to(shop.settings.config_dir.parent)
    left = [path for folder in (WORK, REPORTS, LIBRARY) for path in where(shop, folder).rglob("*")]
    assert [path for path in left if path.name.endswith((".tmp", ".part"))] == []
    assert {name.rpartition(".")[2] for name in names(shop.videos)} <= {
        "mkv",
        "mka",
        "srt",
        "filler",
    }
    for folder in (WORK, REPORTS, LIBRARY):
        (where(shop, folder) / "filler").unlink(missing_ok=True)
    assert shop.run(job).job.state is JobState.DONE
    assert shop.track(job).is_file()


def test_a_disk_that_is_full_under_the_log_ends_no_work(tmp_path: Path) -> None:
    """Every line that is logged fails; the film is dubbed, and the stop is in order."""
    with Program(tmp_path) as program:
        program.log = Path("/dev/full")
        program.start(wait=False)
        eventually((program.config / "dubarr.db").exists, "started")
        make_talk(program.videos / "Film.mkv", 4.0)
        (program.videos / "Film.mkv.dub").write_text("es")
        assert program.ended("Film.mkv").state is JobState.DONE
        program.end(signal.SIGTERM)
        assert program.daemon is not None
        assert program.daemon.returncode == 0


def test_a_take_that_its_engine_s_process_could_not_write_is_no_fault_of_the_engine(
    disks: Path, tmp_path: Path
) -> None:
    """The process says so in words of its own; the job is not failed, and is not tried in vain."""
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / WORK).symlink_to(disks / "config" / WORK)
    with open_shop(tmp_path, real_processes=True) as shop:
        film = make_talk(shop.videos / "Film.mkv", 8.0)
        job = shop.enqueue(film)
        ended = shop.run(job, on_progress=on_stage("synthesize", WORK)(shop))
        (shop.settings.work_dir / "filler").unlink()
        assert isinstance(ended.error, DiskFull), ended
        assert (ended.job.state, ended.job.attempts) == (JobState.QUEUED, 0)
        assert shop.run(job).job.state is JobState.DONE
