"""From a dropped file to a job: a real folder, real events, a real store."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from dubarr_watch import media
from dubarr_watch.errors import MediaError
from dubarr_watch.languages import parse_language
from dubarr_watch.library import asking
from dubarr_watch.library.asking import FORBIDDEN, GONE
from dubarr_watch.library.naming import fingerprint, sidecar_path
from dubarr_watch.media import Probe
from dubarr_watch.settings import OutputMode, WatchMode
from dubarr_watch.store.records import JobOptions, JobState, OutputRecord, Priority, VideoState
from tests.library.conftest import SETTLE_S, House, film, read_film
from tests.waiting import DEADLINE_S, eventually

# What arrives, and how.


def test_a_dropped_video_is_queued_for_target_langs(house: House) -> None:
    house.start()
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    job = house.job(path)
    assert job.languages == ("pl",)
    assert job.video.state is VideoState.ARRIVED
    eventually(lambda: house.changes, "told")


def test_each_way_to_arrive_leads_to_one_job(house: House, tmp_path: Path) -> None:
    """Hard links, renames from outside and writes into a new folder raise no `closed` event."""
    outside = tmp_path / "outside"
    (outside / "Series" / "Season 1").mkdir(parents=True)
    for name in ("linked", "renamed", "copied"):
        (outside / f"{name}.mkv").write_bytes(film(name))
    (outside / "Series" / "Season 1" / "S01E01.mkv").write_bytes(film("s01e01"))
    house.start()
    os.link(outside / "linked.mkv", house.root / "linked.mkv")
    (outside / "renamed.mkv").rename(house.root / "renamed.mkv")
    (outside / "Series").rename(house.root / "Series")
    deep = house.root / "a" / "b" / "c"
    deep.mkdir(parents=True)
    (deep / "deep.mkv").write_bytes(film("deep"))
    part = house.root / "loaded.mkv.part"
    part.write_bytes(film("loaded"))
    part.rename(house.root / "loaded.mkv")
    expected = {"linked.mkv", "renamed.mkv", "S01E01.mkv", "deep.mkv", "loaded.mkv"}
    eventually(lambda: {j.video.path.name for j in house.jobs()} == expected)
    house.pass_scans()
    assert len(house.jobs()) == len(expected)


def test_three_hundred_files_dropped_at_once_are_each_queued_once(house: House) -> None:
    house.start()
    for number in range(300):
        folder = house.root / f"folder {number % 7}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.mkv").write_bytes(film(str(number)))
    eventually(lambda: len(house.jobs()) == 300)
    house.pass_scans()
    assert len(house.jobs()) == 300
    assert all(job.state is JobState.QUEUED for job in house.jobs())


@pytest.mark.parametrize(
    "name",
    [
        b"caf\xe9.mkv",
        b"two\nlines.mkv",
        'emoji 🎬 ‘quotes’ "double".mkv'.encode(),
        b"-dash first.mkv",
        b"trailing space .MKV",
        b"n" * 241 + b".mkv",
    ],
)
def test_any_name_that_the_file_system_takes_is_queued(house: House, name: bytes) -> None:
    house.start()
    path = house.root / os.fsdecode(name)
    path.write_bytes(film())
    assert house.job(path).video.path == path


def test_a_name_too_long_for_a_track_is_refused_before_any_work(house: House) -> None:
    house.start()
    path = house.root / ("n" * 242 + ".mkv")
    path.write_bytes(film())
    assert "Shorten it by 1 bytes" in house.job(path, JobState.SKIPPED).reason


def test_a_slow_copy_with_pauses_is_waited_for_and_queued_once(house: House) -> None:
    """A pause longer than SETTLE_SECONDS ends in a file that ffprobe does not understand yet."""
    house.start()
    path = house.root / "Film.mkv"
    content = film("slow", "en", 90)
    for written in (4, 8, 10):
        with path.open("ab") as file:
            file.write(content[file.tell() : written])
        eventually(partial(_waits_at, house, path, written))
        assert len(house.jobs()) == 1
    with path.open("ab") as file:
        file.write(content[10:])
    house.job(path)
    house.pass_scans()
    assert [job.state for job in house.jobs()] == [JobState.QUEUED]


def test_a_writer_that_keeps_its_file_open_is_waited_for(house: House) -> None:
    """Growing raises no event that is listened to; only the end of it does."""
    house.start()
    path = house.root / "Film.mkv"
    content = film("slow", "en", 90)
    with path.open("wb", buffering=0) as file:
        file.write(content[:4])
        house.job(path, JobState.WAITING)
        file.write(content[4:])
    house.job(path)


def _waits_at(house: House, path: Path, size_bytes: int) -> bool:
    jobs = [job for job in house.jobs() if job.video.size_bytes == size_bytes]
    return [(job.video.path, job.state) for job in jobs] == [(path, JobState.WAITING)]


def test_a_copy_is_a_video_of_its_own_and_a_rename_is_not(house: House) -> None:
    house.start()
    first, second, third = (house.root / f"{n}.mkv" for n in ("one", "two", "three"))
    first.write_bytes(film())
    job = house.job(first)
    first.rename(second)
    eventually(lambda: house.store.jobs.get(job.id).video.path == second)
    third.write_bytes(second.read_bytes())
    copy = house.job(third)
    assert copy.video.id != job.video.id
    house.pass_scans()
    assert [j.id for j in house.jobs()] == [job.id, copy.id]


def test_a_renamed_folder_keeps_its_videos(house: House) -> None:
    house.start()
    old = house.root / "Old"
    old.mkdir()
    (old / "Film.mkv").write_bytes(film())
    job = house.job(old / "Film.mkv")
    old.rename(house.root / "New")
    eventually(lambda: house.store.jobs.get(job.id).video.path == house.root / "New" / "Film.mkv")
    house.pass_scans()
    assert [(j.id, j.state) for j in house.jobs()] == [(job.id, JobState.QUEUED)]


def test_another_version_at_the_same_path_is_a_new_video(house: House) -> None:
    house.start()
    path = house.root / "Film.mkv"
    path.write_bytes(film("720p"))
    house.finish(house.job(path))
    path.write_bytes(film("better-version"))
    house.job(path)
    assert [j.state for j in house.jobs()] == [JobState.DONE, JobState.QUEUED]


def test_a_video_replaced_before_its_job_is_queued_once_for_what_it_is_now(house: House) -> None:
    house.start()
    path = house.root / "Film.mkv"
    path.write_bytes(film("720p"))
    old = house.job(path)
    path.write_bytes(film("better-version"))
    new = eventually(
        lambda: next(
            (j for j in house.jobs() if j.video.fingerprint != old.video.fingerprint), None
        )
    )
    assert new.video.fingerprint == fingerprint(path)
    house.pass_scans()
    assert [j.state for j in house.jobs()] == [JobState.QUEUED]


def test_tags_edited_in_place_do_not_make_a_new_video(house: House) -> None:
    house.start()
    path = house.root / "Film.mkv"
    path.write_bytes(film("old"))
    house.finish(house.job(path))
    with path.open("r+b") as file:
        file.write(film("new"))
    house.pass_scans()
    eventually(lambda: house.store.videos.by_path(path).fingerprint == fingerprint(path))  # type: ignore[union-attr]
    assert [j.state for j in house.jobs()] == [JobState.DONE]


def test_a_file_whose_space_was_reserved_is_queued_when_it_is_filled(house: House) -> None:
    house.start()
    path = house.root / "Film.mkv"
    path.write_bytes(bytes(len(film())))
    waiting = house.job(path, JobState.WAITING)
    path.write_bytes(film())
    assert house.job(path).id == waiting.id


def test_two_videos_of_one_stem_are_both_queued_and_a_bare_marker_asks_for_both(
    house: House,
) -> None:
    house.start()
    (house.root / "Film.dub").write_text("it", encoding="utf-8")
    for ending in ("mkv", "mp4"):
        (house.root / f"Film.{ending}").write_bytes(film(ending))
    jobs = [house.job(house.root / f"Film.{ending}") for ending in ("mkv", "mp4")]
    assert [job.languages for job in jobs] == [("it",), ("it",)]
    house.finish(jobs[0])
    assert (house.root / "Film.dub").exists()
    house.finish(jobs[1], JobState.FAILED, "The disk is full.")
    failed = house.root / "Film.dub.failed"
    eventually(lambda: failed.exists() and "Film.mp4: The disk is full." in failed.read_text())


def test_a_real_video_is_understood_by_ffprobe_and_queued(house: House, tmp_path: Path) -> None:
    real = tmp_path / "real.mkv"
    media.run_ffmpeg(
        ["-f", "lavfi", "-i", "sine=duration=2", "-f", "lavfi", "-i", "testsrc=d=2:s=64x48:r=5",
         "-c:v", "mpeg4", "-c:a", "aac", "-metadata:s:a:0", "language=ger", real], path=real,
    )  # fmt: skip
    house.set(target_langs=(parse_language("de"), parse_language("fr")))
    house.start(probe=media.probe)
    path = house.root / "Film 'with' \"quotes\"\n🎬.mkv"
    path.write_bytes(real.read_bytes())
    job = house.job(path)
    assert job.languages == ("fr",)


# What is new.


def test_the_first_start_dubs_nothing_that_is_there(house: House) -> None:
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    house.start()
    house.pass_scans()
    assert house.jobs() == []
    video = house.store.videos.by_path(path)
    assert video is not None
    assert video.state is VideoState.BASELINE
    assert video.fingerprint == fingerprint(path)


def test_process_existing_dubs_what_is_there_also_when_set_later(house: House) -> None:
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    house.start()
    house.stop()
    house.set(process_existing=True)
    house.start()
    house.job(path)


def test_what_arrives_while_the_daemon_is_down_is_new(house: House) -> None:
    (house.root / "Old.mkv").write_bytes(film("old"))
    house.start()
    house.stop()
    (house.root / "New.mkv").write_bytes(film("new"))
    (house.root / "Old.mkv").rename(house.root / "Renamed.mkv")
    house.start()
    house.job(house.root / "New.mkv")
    house.pass_scans()
    assert [j.video.path.name for j in house.jobs()] == ["New.mkv"]
    renamed = house.store.videos.by_path(house.root / "Renamed.mkv")
    assert renamed is not None
    assert renamed.state is VideoState.BASELINE


def test_a_restart_queues_nothing_twice(house: House) -> None:
    house.start()
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    job = house.job(path)
    house.stop()
    house.start()
    house.pass_scans()
    assert [j.id for j in house.jobs()] == [job.id]


def test_a_library_that_is_not_there_at_the_first_start_is_recorded_when_it_comes(
    house: House, tmp_path: Path
) -> None:
    house.root.rmdir()
    full = tmp_path / "mounted later"
    full.mkdir()
    (full / "Film.mkv").write_bytes(film())
    library = house.start()
    assert not library.health().root_present
    full.rename(house.root)
    house.pass_scans()
    assert house.jobs() == []
    assert library.health().root_present
    (house.root / "New.mkv").write_bytes(film("new"))
    house.job(house.root / "New.mkv")


def test_a_root_that_is_renamed_away_and_back_loses_and_repeats_nothing(house: House) -> None:
    library = house.start()
    for number in range(3):
        (house.root / f"{number}.mkv").write_bytes(film(str(number)))
    eventually(lambda: len(house.jobs()) == 3)
    away = house.root.with_name("away")
    house.root.rename(away)
    library.scan()
    eventually(lambda: not library.health().root_present)
    house.root.mkdir()  # what an unmounted disk leaves behind
    house.pass_scans()
    assert not library.health().root_present
    assert all(j.video.state is VideoState.ARRIVED for j in house.jobs())
    house.root.rmdir()
    away.rename(house.root)
    house.pass_scans()
    assert library.health().root_present
    assert [j.state for j in house.jobs()] == [JobState.QUEUED] * 3
    (house.root / "after.mkv").write_bytes(film("after"))
    house.job(house.root / "after.mkv")


def test_the_only_video_deleted_before_its_job_ends_the_job_with_the_reason(house: House) -> None:
    house.start()
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    house.job(path)
    path.unlink()
    assert house.job(path, JobState.CANCELLED).reason == GONE
    path.write_bytes(film())
    job = house.job(path)
    assert job.video.state is VideoState.ARRIVED


# When it is ready.


def test_bad_files_wait_with_a_plain_reason_and_are_taken_when_they_change(house: House) -> None:
    house.start()
    empty, junk = house.root / "empty.mkv", house.root / "junk.mkv"
    empty.touch()
    junk.write_bytes(b"no film")
    assert house.job(empty, JobState.WAITING).reason == "The file is empty."
    assert "no media file" in house.job(junk, JobState.WAITING).reason
    empty.write_bytes(film("grown"))
    house.job(empty)


def test_a_file_that_never_becomes_a_video_ends_in_a_state(house: House) -> None:
    house.start(patience_s=0)
    arrived, asked = house.root / "arrived.mkv", house.root / "asked.mkv"
    marker = house.root / "asked.mkv.dub"
    arrived.write_bytes(b"no film")
    marker.touch()
    asked.write_bytes(b"no film either")
    assert "no media file" in house.job(arrived, JobState.SKIPPED).reason
    assert "no media file" in house.job(asked, JobState.FAILED).reason
    eventually((house.root / "asked.mkv.dub.failed").exists)


def test_no_audio_no_pictures_and_no_length_are_told_apart(house: House) -> None:
    def probe(path: Path) -> Probe:
        found = read_film(path)
        if path.stem == "radio":
            return Probe(path, "mp4", 60, 0, 10, found.streams[1:])
        return found

    house.start(probe=probe)
    for name, content in {
        "silent": film("silent", "none"),
        "radio": film("radio"),
        "short": film("short", "en", 0.4),
    }.items():
        (house.root / f"{name}.mkv").write_bytes(content)
    assert house.job(house.root / "silent.mkv", JobState.SKIPPED).reason == (
        "The video has no audio to dub."
    )
    assert "no pictures" in house.job(house.root / "radio.mkv", JobState.SKIPPED).reason
    assert "not plausible" in house.job(house.root / "short.mkv", JobState.WAITING).reason


def test_a_cut_off_matroska_file_is_waited_for(house: House) -> None:
    """Its header tells the full length long before its end is there."""
    whole = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67\x84" + b"data"

    def probe(path: Path) -> Probe:
        return Probe(path, "matroska", 60, 0, 10, read_film(sample).streams)

    sample = house.root.parent / "sample"
    sample.write_bytes(film())
    house.start(probe=probe)
    path = house.root / "Film.mkv"
    path.write_bytes(whole[:-1])
    assert "1 bytes are missing" in house.job(path, JobState.WAITING).reason
    path.write_bytes(whole)
    house.job(path)


def test_a_language_that_is_there_is_skipped_with_the_reason(house: House) -> None:
    house.set(target_langs=(parse_language("pl"), parse_language("de")))
    house.start()
    some, both = house.root / "some.mkv", house.root / "both.mkv"
    some.write_bytes(film("some", "en,pol"))
    both.write_bytes(film("both", "de,pl"))
    job = house.job(some)
    assert job.languages == ("de",)
    assert "audio track in Polish" in job.video.note or eventually(
        lambda: "audio track in Polish" in house.store.videos.get(job.video.id).note
    )
    skipped = house.job(both, JobState.SKIPPED)
    assert skipped.reason == ("It already has an audio track in Polish. It is spoken in German.")
    house.pass_scans()
    assert len(house.jobs()) == 2


def test_source_lang_is_not_dubbed_into_itself(house: House) -> None:
    house.set(source_lang=parse_language("pl"))
    house.start()
    (house.root / "Film.mkv").write_bytes(film())
    assert house.job(house.root / "Film.mkv", JobState.SKIPPED).reason == "It is spoken in Polish."


# What we made ourselves.


def test_our_outputs_and_temporary_files_never_start_a_job(house: House) -> None:
    house.set(output_mode=OutputMode.MUX)
    house.start()
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    job = house.job(path)
    house.store.jobs.claim_job(job.id, "test")
    (house.root / ".Film.mkv.dubarr-1.tmp").write_bytes(film("tmp"))
    sidecar_path(path, "pl").write_bytes(film("sidecar"))
    muxed = house.root / ".Film.mkv.dubarr-2.tmp"
    muxed.write_bytes(film("muxed", "en,pl"))
    muxed.rename(path)
    stat = path.stat()
    house.store.outputs.record(
        OutputRecord(path, job.id, "pl", "mux", stat.st_size, stat.st_mtime_ns, fingerprint(path))
    )
    house.store.jobs.finish(job.id, JobState.DONE)
    house.pass_scans(3)
    path.rename(house.root / "Renamed.mkv")
    house.pass_scans(3)
    assert [j.id for j in house.jobs()] == [job.id]


def test_a_track_beside_the_video_is_known_again_without_its_record(house: House) -> None:
    sidecar_path(house.root / "Film.mkv", "pl").write_bytes(b"track")
    house.start()
    (house.root / "Film.mkv").write_bytes(film())
    job = house.job(house.root / "Film.mkv", JobState.SKIPPED)
    assert job.reason == "It is already dubbed into Polish."


# Markers.


def test_a_marker_that_comes_first_waits_for_its_video(house: House) -> None:
    house.start()
    marker = house.root / "Film.mkv.dub"
    marker.write_text("de, French\npriority: high\n", encoding="utf-8")
    eventually(lambda: house.store.requests.all_open())
    assert house.jobs() == []
    assert marker.exists()
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    job = house.job(path)
    assert job.languages == ("de", "fr")
    assert job.options.priority is Priority.HIGH
    house.finish(job)
    eventually((house.root / "Film.mkv.dub.done").exists)
    assert (house.root / "Film.mkv.dub.done").read_text().startswith("de, French")
    assert not marker.exists()
    house.pass_scans()
    assert len(house.jobs()) == 1


@pytest.mark.parametrize("name", ["Film.mkv.dub", "Film.dub"])
def test_a_marker_asks_for_a_video_that_was_always_there(house: House, name: str) -> None:
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    house.start()
    (house.root / name).touch()
    assert house.job(path).languages == ("pl",)


@pytest.mark.parametrize("name", ["Film.mkv.de+fr.dub", "Film.de+fr.dub"])
def test_languages_stand_in_the_name(house: House, name: str) -> None:
    house.start()
    (house.root / name).touch()
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    assert house.job(path).languages == ("de", "fr")


def test_a_video_waits_for_a_marker_that_is_still_being_written(house: House) -> None:
    house.start()
    path, marker = house.root / "Film.mkv", house.root / "Film.mkv.dub"
    path.write_bytes(film())
    with marker.open("w", buffering=1) as file:
        end = time.monotonic() + 4 * SETTLE_S
        while time.monotonic() < end:  # writing, for longer than the video settles
            file.write("# thinking\n")
            time.sleep(0.02)
        assert house.jobs() == []
        file.write("it\n")
    assert house.job(path).languages == ("it",)
    house.pass_scans()
    assert len(house.jobs()) == 1


def test_a_mux_whose_maker_died_before_it_was_written_down_is_the_same_video(house: House) -> None:
    """Nothing more is asked of it: its job, which is not over, does what the marker says."""
    house.start()
    path = house.root / "Film.mkv"
    (house.root / "Film.mkv.dub").write_text("pl\n")
    path.write_bytes(film())
    job = house.job(path)
    house.store.jobs.claim_job(job.id, "test")
    muxed = house.root / ".Film.mkv.dubarr-1.tmp"
    muxed.write_bytes(film("muxed", "en,pl"))
    stat = muxed.stat()
    house.store.outputs.record(
        OutputRecord(path, job.id, "pl", "mux", stat.st_size, stat.st_mtime_ns, fingerprint(muxed))
    )
    muxed.rename(path)
    house.pass_scans(3)
    assert [one.id for one in house.jobs()] == [job.id]
    assert house.store.videos.get(job.video.id).fingerprint == fingerprint(path)


def test_a_marker_that_a_crash_left_unanswered_is_answered_and_asks_for_nothing_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(marker: Path) -> Path:
        raise RuntimeError("the program dies here")

    monkeypatch.setattr(asking, "mark_done", die)
    path = house.root / "Film.mkv"
    path.with_name("Film.mkv.dub").write_text("de", encoding="utf-8")
    path.write_bytes(film())
    house.start()
    job = house.job(path)
    with suppress(RuntimeError):
        house.finish(job)
    house.stop()
    monkeypatch.undo()
    house.start()
    eventually(path.with_name("Film.mkv.dub.done").exists)
    house.pass_scans()
    assert len(house.jobs()) == 1


def test_a_folder_marker_asks_for_all_below_now_and_later(house: House) -> None:
    folder = house.root / "Series"
    (folder / "Season 1").mkdir(parents=True)
    (house.root / "Other.mkv").write_bytes(film("other"))
    first, second = folder / "Season 1" / "1.mkv", folder / "Season 1" / "2.mkv"
    first.write_bytes(film("1"))
    house.start()
    (folder / ".dub").write_text("es", encoding="utf-8")
    job = house.job(first)
    assert job.languages == ("es",)
    house.finish(job)
    eventually((folder / ".dub.done").exists)
    second.write_bytes(film("2"))
    assert house.job(second).languages == ("es",)
    house.stop()
    house.start()
    house.pass_scans()
    assert len(house.jobs()) == 2
    (folder / ".dub.done").unlink()
    house.pass_scans()
    assert house.store.requests.all_open() == []


def test_a_renamed_folder_keeps_its_standing_order(house: House) -> None:
    folder = house.root / "Old"
    folder.mkdir()
    house.start()
    (folder / ".dub").write_text("es", encoding="utf-8")
    (folder / "1.mkv").write_bytes(film("1"))
    job = house.job(folder / "1.mkv")
    sidecar_path(folder / "1.mkv", "es").write_bytes(b"track")
    house.finish(job)
    eventually((folder / ".dub.done").exists)
    new = house.root / "New"
    folder.rename(new)
    house.pass_scans()
    (new / "2.mkv").write_bytes(film("2"))
    assert house.job(new / "2.mkv").languages == ("es",)
    house.pass_scans()
    assert [j.video.path.name for j in house.store.jobs.queue()] == ["2.mkv"]


def test_a_new_marker_in_a_folder_replaces_its_standing_order(house: House) -> None:
    path, marker = house.root / "Film.mkv", house.root / ".dub"
    house.start()
    marker.write_text("es", encoding="utf-8")
    path.write_bytes(film())
    house.finish(house.job(path))
    eventually((house.root / ".dub.done").exists)
    marker.write_text("es\nagain: yes", encoding="utf-8")
    again = house.job(path)
    assert (again.languages, again.options.again) == (("es",), True)
    house.finish(again)
    eventually((house.root / ".dub.done.2").exists)
    assert len(house.store.requests.all_open()) == 1


def test_a_marker_for_an_extra_fails_and_says_why(house: House) -> None:
    house.start()
    (house.root / "Film-trailer.mkv.dub").touch()
    failed = house.root / "Film-trailer.mkv.dub.failed"
    eventually(lambda: failed.exists() and "trailers" in failed.read_text())


def test_a_changed_marker_asks_for_what_it_says_now(house: House) -> None:
    house.start()
    marker = house.root / "Film.mkv.dub"
    marker.write_text("it", encoding="utf-8")
    eventually(lambda: house.store.requests.all_open())
    marker.write_text("es, fr", encoding="utf-8")
    eventually(lambda: [r.languages for r in house.store.requests.all_open()] == [("es", "fr")])
    (house.root / "Film.mkv").write_bytes(film())
    assert house.job(house.root / "Film.mkv").languages == ("es", "fr")


def test_an_unknown_language_fails_the_marker_with_the_nearest_names(house: House) -> None:
    house.start()
    marker = house.root / "Film.mkv.dub"
    marker.write_text("Germann\nmode: mux\n", encoding="utf-8")
    failed = house.root / "Film.mkv.dub.failed"
    eventually(failed.exists)
    first, *rest = eventually(
        lambda: failed.read_text().startswith("#") and failed.read_text()
    ).splitlines()
    assert "'Germann'" in first
    assert "German (de)" in first
    assert rest == ["Germann", "mode: mux"]
    failed.rename(marker)
    marker.write_text("German\nmode: mux\n", encoding="utf-8")
    (house.root / "Film.mkv").write_bytes(film())
    job = house.job(house.root / "Film.mkv")
    assert (job.languages, job.options.mode) == (("de",), "mux")


def test_a_failed_job_fails_its_marker_with_the_reason(house: House) -> None:
    house.start()
    (house.root / "Film.mkv.dub").touch()
    (house.root / "Film.mkv").write_bytes(film())
    house.finish(house.job(house.root / "Film.mkv"), JobState.FAILED, "The disk is full.")
    failed = house.root / "Film.mkv.dub.failed"
    eventually(lambda: failed.exists() and failed.read_text() == "# The disk is full.\n")


def test_again_dubs_what_is_there_already(house: House) -> None:
    house.start()
    path = house.root / "Film.mkv"
    path.write_bytes(film("film", "en,pl"))
    house.job(path, JobState.SKIPPED)
    (house.root / "Film.dub").write_text("pl\nagain: yes", encoding="utf-8")
    assert house.job(path).options.again


def test_a_request_outlives_its_marker_and_follows_its_video(house: House) -> None:
    path, marker = house.root / "Film.mkv", house.root / "Film.mkv.dub"
    house.start(probe=_raises_media_error)
    path.write_bytes(film())
    marker.write_text("it", encoding="utf-8")
    house.job(path, JobState.WAITING)
    eventually(lambda: house.store.requests.all_open())
    marker.unlink()
    path.rename(house.root / "Renamed.mkv")
    eventually(lambda: house.store.videos.by_path(house.root / "Renamed.mkv"))
    house.stop()
    house.start()
    assert house.job(house.root / "Renamed.mkv").languages == ("it",)


def _raises_media_error(path: Path) -> Probe:
    raise MediaError("ffprobe did not answer.", path=path)


def test_nodub_forbids_and_taking_it_away_allows(house: House) -> None:
    folder = house.root / "Kids"
    folder.mkdir()
    house.start()
    (folder / ".nodub").touch()
    path = folder / "Film.mkv"
    path.write_bytes(film())
    video = eventually(lambda: house.store.videos.by_path(path))
    eventually(lambda: house.store.videos.get(video.id).note.startswith(FORBIDDEN))
    house.pass_scans()
    assert house.jobs() == []
    (folder / ".nodub").unlink()
    house.job(path)
    (folder / "Film.mkv.nodub").touch()
    assert house.job(path, JobState.SKIPPED).reason.startswith(FORBIDDEN)
    (folder / "Film.mkv.nodub").unlink()
    house.job(path)


def test_a_marker_for_a_forbidden_video_fails_and_says_why(house: House) -> None:
    house.start()
    (house.root / ".nodub").touch()
    (house.root / "Film.mkv.dub").touch()
    (house.root / "Film.mkv").write_bytes(film())
    failed = house.root / "Film.mkv.dub.failed"
    eventually(lambda: failed.exists() and failed.read_text().startswith(f"# {FORBIDDEN}"))
    assert house.jobs() == []


def test_a_marker_that_cannot_be_renamed_is_answered_once(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a read-only folder it keeps its name; a restart must not dub again because of it."""

    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("os.link", read_only)
    monkeypatch.setattr("pathlib.Path.rename", read_only)
    house.start()
    path, marker = house.root / "Film.mkv", house.root / "Film.mkv.dub"
    marker.write_text("pl\nagain: yes", encoding="utf-8")
    path.write_bytes(film())
    house.finish(house.job(path))
    eventually(lambda: not house.store.requests.all_open())
    house.stop()
    house.start()
    house.pass_scans()
    assert marker.exists()
    assert len(house.jobs()) == 1


# Events, and when they fail.


def test_without_any_event_a_scan_finds_everything(house: House) -> None:
    house.set(watch_mode=WatchMode.POLL)
    library = house.start()
    assert (library.health().mode, library.health().watches) == ("poll", 0)
    path = house.root / "Film.mkv"
    path.write_bytes(film())
    library.scan()
    house.job(path)


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        ("ext4", WatchMode.AUTO, "events"),
        ("nfs4", WatchMode.AUTO, "poll"),
        ("nfs4", WatchMode.EVENTS, "events"),
        ("ext4", WatchMode.POLL, "poll"),
    ],
)
def test_auto_polls_where_the_file_system_tells_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch, kind: str, mode: WatchMode, expected: str
) -> None:
    monkeypatch.setattr("dubarr_watch.library.intake.filesystem_kind", lambda _: kind)
    house.set(watch_mode=mode)
    health = house.start().health()
    assert (health.mode, health.filesystem, bool(health.watches)) == (
        expected, kind, expected == "events",
    )  # fmt: skip


def test_polling_looks_again_no_later_than_its_interval(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dubarr_watch.library.intake.POLL_SECONDS", 0.2)
    house.set(watch_mode=WatchMode.POLL)
    house.start()
    (house.root / "Film.mkv").write_bytes(film())
    house.job(house.root / "Film.mkv")


def test_a_killed_observer_is_renewed_and_what_it_missed_is_found(house: House) -> None:
    library = house.start()
    observer = library._watcher._observer
    assert observer is not None
    for emitter in observer.emitters:
        emitter.stop()
    observer.stop()
    (house.root / "missed.mkv").write_bytes(film("missed"))
    house.job(house.root / "missed.mkv")
    eventually(lambda: library._watcher._observer is not observer)
    (house.root / "after.mkv").write_bytes(film("after"))
    house.job(house.root / "after.mkv")


def test_trouble_with_one_file_does_not_end_the_library(house: House) -> None:
    def probe(path: Path) -> Probe:
        if path.stem == "cursed":
            raise ZeroDivisionError("cursed")
        return read_film(path)

    library = house.start(probe=probe)
    (house.root / "cursed.mkv").write_bytes(film("cursed"))
    eventually(lambda: "cursed" in library.health().last_error)
    (house.root / "Film.mkv").write_bytes(film())
    house.job(house.root / "Film.mkv")
    assert library.health().running


def test_ignored_files_and_folders_are_never_looked_at(house: House) -> None:
    house.start()
    for name in (
        ".hidden.mkv", "Film-trailer.mkv", "sample.mkv", "._Film.mkv", "Film.mkv.part",
        "Film.mkv.!qB", "song.mp3", "Film.Dubarr.pl.mka", "Film.Dubarr.pl.srt",
    ):  # fmt: skip
        (house.root / name).write_bytes(film(name))
    for name in ("@eaDir", "#recycle", ".stfolder", "Samples", "lost+found", "_UNPACK_Film"):
        (house.root / name).mkdir()
        (house.root / name / "in.mkv").write_bytes(film(name))
    (house.root / "last.mkv").write_bytes(film("last"))
    house.job(house.root / "last.mkv")
    house.pass_scans()
    assert [j.video.path.name for j in house.jobs()] == ["last.mkv"]
    assert {path.name for path in house.probed} == {"last.mkv"}


def test_stop_ends_every_thread(house: House) -> None:
    before = set(threading.enumerate())
    house.start()
    assert set(threading.enumerate()) - before
    house.stop()
    eventually(lambda: not set(threading.enumerate()) - before)


def test_options_of_a_plain_arrival_are_the_defaults(house: House) -> None:
    house.start()
    (house.root / "Film.mkv").write_bytes(film())
    assert house.job(house.root / "Film.mkv").options == JobOptions()


def test_a_thread_that_hangs_is_told_from_one_that_waits_for_its_turn(house: House) -> None:
    """As a disk does that never answers; a scan that goes on is no standing still."""
    hangs, go_on = threading.Event(), threading.Event()

    def probe(path: Path) -> Probe:
        hangs.set()
        go_on.wait(DEADLINE_S)
        return read_film(path)

    library = house.start(probe=probe)
    (house.root / "Film.mkv").write_bytes(film())
    try:
        assert hangs.wait(DEADLINE_S)
        eventually(lambda: library.health().still_s > 0.5, "standing still")
        assert library.health().running
    finally:
        go_on.set()
    eventually(lambda: library.health().still_s == 0.0, "waiting for its turn")
