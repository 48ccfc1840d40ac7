"""What file systems do to a job: read-only, forbidden, other devices, links, owners, attributes."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dubarr_watch.errors import NotWritable
from dubarr_watch.media import probe
from dubarr_watch.store.records import JobState
from tests.composing import Shop, make_talk, names, open_shop, sha256
from tests.disks import btrfs, command, tmpfs

FICLONE = 0x40049409  # linux/fs.h


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Path]:
    """The library, on a file system of its own."""
    with tmpfs(tmp_path / "videos", "200m") as library:
        yield library


class Closed:
    """A library that may not be written to for a while."""

    def __init__(self, close: Callable[[], bool], open_again: Callable[[], bool]) -> None:
        self.close, self.open_again = close, open_again


@pytest.fixture(params=["read-only", "forbidden"])
def closed(request: pytest.FixtureRequest, other_disk: Path) -> Iterator[Closed]:
    """Made read-only as a disk with errors is, or its folder made immutable: root feels both."""
    if request.param == "read-only":
        mount = ("mount", "-o")
        found = Closed(
            lambda: command(*mount, "remount,ro", other_disk),
            lambda: command(*mount, "remount,rw", other_disk),
        )
    else:
        found = Closed(
            lambda: command("chattr", "+i", other_disk), lambda: command("chattr", "-i", other_disk)
        )
    yield found
    found.open_again()


def test_a_library_that_may_not_be_written_to_in_mid_job_costs_no_work(
    closed: Closed, shop: Shop
) -> None:
    """The reason names the folder; when it is mended, a retry publishes what was made."""
    film = make_talk(shop.videos / "Film.mkv", 8.0)
    before, job = sha256(film), shop.enqueue(film)
    arranged: list[bool] = []

    def told(stage: str, share: float, eta_s: float | None) -> None:
        if stage == "synthesize" and not arranged:
            arranged.append(closed.close())

    ended = shop.run(job, on_progress=told)
    if arranged != [True]:
        pytest.skip("this system cannot")
    assert isinstance(ended.error, NotWritable)
    assert ended.job.state is JobState.FAILED
    assert str(shop.videos) in ended.job.reason
    assert (names(shop.videos), sha256(film)) == (["Film.mkv"], before)
    spoken = shop.spy.count("synthesize")
    again = shop.run(shop.store.jobs.retry(job.id))
    assert isinstance(again.error, NotWritable), "it is told before anything is made"
    closed.open_again()
    assert shop.run(shop.store.jobs.retry(job.id)).job.state is JobState.DONE
    assert shop.spy.count("synthesize") == spoken


@pytest.mark.parametrize("mode", ["sidecar", "mux"])
def test_work_and_library_on_different_devices(other_disk: Path, shop: Shop, mode: str) -> None:
    film = make_talk(shop.videos / "Film.mkv", 4.0)
    assert film.stat().st_dev != shop.settings.work_dir.stat().st_dev
    with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
        os.link(film, shop.settings.work_dir / "link")
    ended = shop.dub(film, mode=mode)
    assert ended.job.state is JobState.DONE
    assert shop.track(ended.job, kind=mode).is_file()
    assert not [name for name in names(shop.videos) if name.endswith(".tmp")]


@pytest.fixture
def sharing_shop(tmp_path: Path) -> Iterator[Shop]:
    disk = tmp_path / "disk"
    disk.mkdir()
    with btrfs(disk), open_shop(disk) as opened:
        yield opened


def clone(source: Path, target: Path) -> None:
    """Make a copy that shares its blocks, as `cp --reflink` does."""
    with source.open("rb") as original, target.open("wb") as copy:
        fcntl.ioctl(copy, FICLONE, original.fileno())


@pytest.mark.parametrize("mode", ["sidecar", "mux"])
@pytest.mark.parametrize("link", [os.link, clone])
def test_what_shares_its_bytes_with_the_video_keeps_them(
    sharing_shop: Shop, link: Callable[[Path, Path], None], mode: str
) -> None:
    """A torrent that is seeded from a hard link, or a copy that shares its blocks."""
    shop = sharing_shop
    film, seed = make_talk(shop.videos / "Film.mkv", 4.0), shop.videos.parent / "Film.seed"
    link(film, seed)
    before, content = seed.stat(), sha256(seed)
    assert shop.dub(film, mode=mode).job.state is JobState.DONE
    after = seed.stat()
    assert sha256(seed) == content
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    if mode == "sidecar":
        assert after.st_nlink == before.st_nlink
        assert sha256(film) == content
    else:
        assert after.st_nlink == 1
        assert film.stat().st_ino != after.st_ino
        assert len(probe(film).of_kind("audio")) == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_video_with_a_new_track_in_it_is_whose_it_was_as_it_was(shop: Shop) -> None:
    film = make_talk(shop.videos / "Film.mkv", 4.0)
    film.chmod(0o640)
    os.chown(film, 1234, 4321)
    try:
        os.setxattr(film, "user.rating", b"5")
    except OSError:
        pytest.skip("this file system keeps no attributes")
    ended = shop.dub(film, mode="both")
    assert ended.job.state is JobState.DONE
    seen = film.stat()
    assert (seen.st_uid, seen.st_gid, stat.S_IMODE(seen.st_mode)) == (1234, 4321, 0o640)
    assert os.getxattr(film, "user.rating") == b"5"
    for name in names(shop.videos):
        beside = (shop.videos / name).stat()
        assert (beside.st_uid, beside.st_gid, stat.S_IMODE(beside.st_mode)) == (1234, 4321, 0o640)


@pytest.mark.parametrize("what", ["touched", "deleted", "given other rights"])
def test_our_files_stay_ours_whatever_sonarr_does_to_them(shop: Shop, what: str) -> None:
    """Another dub replaces them; none gets a second name, and none is refused."""
    film = make_talk(shop.videos / "Film.mkv", 4.0)
    first = shop.dub(film)
    there = names(shop.videos)
    for name in there:
        if name != film.name:
            file = shop.videos / name
            match what:
                case "touched":
                    os.utime(file, (1_000_000_000, 1_000_000_000))
                case "deleted":
                    file.unlink()
                case _:
                    file.chmod(0o444)
    again = shop.dub(film, again=True)
    assert (first.job.state, again.job.state) == (JobState.DONE, JobState.DONE)
    assert again.job.id != first.job.id
    assert names(shop.videos) == there
