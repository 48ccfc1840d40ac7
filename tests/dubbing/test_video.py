"""The proof that a job still works on the video it was queued for."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubarr_watch.dubbing.video import open_video, still_there
from dubarr_watch.errors import NotAVideo, VideoChanged
from dubarr_watch.library.confines import Confines
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.media import ffmpeg_path
from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, OutputRecord, VideoRecord, VideoState

CONFINES = Confines(Path("/nowhere"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "config" / "dubarr.db") as opened:
        yield opened


def film(path: Path, pitch_hz: int = 440) -> Path:
    command = [ffmpeg_path(), "-v", "error", "-y", "-f", "lavfi", "-i", f"sine={pitch_hz}:d=2",
               "-c:a", "flac", str(path)]  # fmt: skip
    subprocess.run(command, check=True)
    return path


def recorded(store: Store, path: Path) -> VideoRecord:
    stat = path.stat()
    return store.videos.record(
        path, stat.st_size, stat.st_mtime_ns, fingerprint(path), VideoState.ARRIVED
    )


@pytest.fixture
def record(store: Store, tmp_path: Path) -> VideoRecord:
    return recorded(store, film(tmp_path / "Film.mkv"))


def test_an_unchanged_video_is_opened(store: Store, record: VideoRecord) -> None:
    """It comes with what ffprobe finds in it."""
    video = open_video(record, store, CONFINES)
    assert video.record.path == record.path
    assert video.found.duration_s == pytest.approx(2, abs=0.05)


def test_another_time_of_the_same_bytes_is_no_change(store: Store, record: VideoRecord) -> None:
    """Who touches or re-copies a file has not replaced it."""
    os.utime(record.path, ns=(1, 1))
    assert still_there(record, store, CONFINES).id == record.id


def test_a_replaced_video_is_not_the_same(store: Store, record: VideoRecord) -> None:
    """Other bytes under the name end the job: nothing is published for them."""
    film(record.path, pitch_hz=550)
    os.utime(record.path, ns=(1, 1))
    with pytest.raises(VideoChanged, match="replaced") as caught:
        still_there(record, store, CONFINES)
    assert caught.value.path == record.path


def test_a_replaced_video_that_was_recorded_again_is_not_the_same(
    store: Store, record: VideoRecord
) -> None:
    """The library saw the new one first: the job is still for the old one."""
    film(record.path, pitch_hz=550)
    stat = record.path.stat()
    store.videos.recontent(
        record.id,
        size_bytes=stat.st_size,
        mtime_ns=stat.st_mtime_ns,
        fingerprint=fingerprint(record.path),
    )
    with pytest.raises(VideoChanged):
        still_there(record, store, CONFINES)


def test_a_video_with_our_tracks_is_the_same_also_once_the_library_recorded_it_again(
    store: Store, record: VideoRecord
) -> None:
    """Its job died before it could write that down itself, and goes on."""
    film(record.path, pitch_hz=880)
    stat, muxed = record.path.stat(), fingerprint(record.path)
    job = store.jobs.enqueue(record.id, ["pl"], JobOptions())
    store.outputs.record(
        OutputRecord(record.path, job.id, "pl", "mux", stat.st_size, stat.st_mtime_ns, muxed)
    )
    assert still_there(record, store, CONFINES).id == record.id
    store.videos.recontent(
        record.id, size_bytes=stat.st_size, mtime_ns=stat.st_mtime_ns, fingerprint=muxed
    )
    assert still_there(record, store, CONFINES).id == record.id


def test_a_deleted_video_is_gone(store: Store, record: VideoRecord) -> None:
    """Nothing is published for a file that is no longer there."""
    record.path.unlink()
    with pytest.raises(VideoChanged, match="gone"):
        open_video(record, store, CONFINES)


def test_a_moved_video_is_found_where_the_library_saw_it(
    store: Store, record: VideoRecord, tmp_path: Path
) -> None:
    """A rename during the job is followed."""
    target = tmp_path / "Season 1" / "Renamed.mkv"
    target.parent.mkdir()
    record.path.rename(target)
    recorded(store, target)
    assert still_there(record, store, CONFINES).path == target


def test_a_video_without_a_length_cannot_be_dubbed(store: Store, tmp_path: Path) -> None:
    """What has no duration has no time line."""
    path = tmp_path / "Film.mkv"
    path.write_text("1\n00:00:00,000 --> 00:00:00,000\nx\n")
    with pytest.raises(NotAVideo):
        open_video(recorded(store, path), store, CONFINES)
