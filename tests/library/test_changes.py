"""What is said to have happened to videos: nothing that belongs to one is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.library.asking import GONE, REPLACED
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.store.records import JobOptions, JobRecord, JobState, OutputRecord, VideoState
from tests.library.conftest import House, film
from tests.waiting import eventually


def make(path: Path, content: bytes = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content or film(path.stem.replace(" ", "")))
    return path


def publish(house: House, job: JobRecord, path: Path, kind: str = "sidecar") -> Path:
    """Put a file beside a video as a job does."""
    path.write_bytes(f"track {path.name}".encode())
    seen = path.stat()
    house.store.outputs.record(
        OutputRecord(path, job.id, "pl", kind, seen.st_size, seen.st_mtime_ns, fingerprint(path))
    )
    house.store.jobs.add_track(job.id, "pl", path, kind)
    return path


def outputs(house: House, job: JobRecord) -> set[Path]:
    found = {output.path for output in house.store.outputs.for_video(job.video.id)}
    assert found == {track.path for track in house.store.jobs.tracks(job.id)}
    return found


class TestRenamed:
    def test_our_files_get_the_video_s_new_name(self, house: House) -> None:
        """In its new folder; told twice changes nothing more."""
        library = house.start()
        old = make(house.root / "A" / "Film.mkv")
        job = house.job(old)
        track = publish(house, job, old.with_name("Film.Dubarr.pl.mka"))
        words = publish(house, job, old.with_name("Film.Dubarr.pl.srt"), "subtitles")
        house.finish(job)
        new = house.root / "B" / "Better Name.mkv"
        new.parent.mkdir()
        old.rename(new)
        beside = [new.with_name(f"Better Name.Dubarr.pl.{kind}") for kind in ("mka", "srt")]
        assert library.changes.renamed(old, new) == beside
        assert library.changes.renamed(old, new) in ([], beside)
        assert [path.exists() for path in (*beside, track, words)] == [True, True, False, False]
        eventually(lambda: house.store.videos.get(job.video.id).path == new, "video moved")
        house.pass_scans()
        assert outputs(house, job) == set(beside)
        assert len(house.jobs()) == 1

    def test_a_track_taken_along_under_another_name_gets_ours_back(self, house: House) -> None:
        """Sonarr takes files beside a video for extras, and drops what stands behind its name."""
        library = house.start()
        old = make(house.root / "Film.mkv")
        job = house.job(old)
        track = publish(house, job, house.root / "Film.Dubarr.pl.mka")
        house.finish(job)
        new, extra = house.root / "New.mkv", house.root / "New.mka"
        old.rename(new)
        track.rename(extra)
        assert library.changes.renamed(old, new) == [house.root / "New.Dubarr.pl.mka"]
        assert not extra.exists()
        assert outputs(house, job) == {house.root / "New.Dubarr.pl.mka"}

    def test_no_file_of_somebody_else_is_overwritten_or_renamed(self, house: House) -> None:
        library = house.start()
        old = make(house.root / "Film.mkv")
        job = house.job(old)
        track = publish(house, job, house.root / "Film.Dubarr.pl.mka")
        mine = make(house.root / "New.Dubarr.pl.mka", b"mine")
        other = make(house.root / "New.pl.mka", b"not ours")
        new = old.rename(house.root / "New.mkv")
        assert library.changes.renamed(old, new) == []
        assert (mine.read_bytes(), other.read_bytes()) == (b"mine", b"not ours")
        assert track.exists()

    def test_requests_and_a_prohibition_follow(self, house: House) -> None:
        """Also when the video comes only afterwards."""
        library = house.start()
        old, new = house.root / "Film.mkv", house.root / "New.mkv"
        library.ask(old, ["de"], JobOptions())
        library.changes.renamed(old, new)
        make(new)
        library.look_at(new)
        assert house.job(new).languages == ("de",)
        make(house.root / "No.mkv.nodub", b"#")
        library.changes.renamed(house.root / "No.mkv", house.root / "Never.mkv")
        assert (house.root / "Never.mkv.nodub").exists()

    def test_a_muxed_track_stays_ours(self, house: House) -> None:
        library = house.start()
        old = make(house.root / "Film.mkv")
        job = house.job(old)
        house.finish(job)
        seen = old.stat()
        house.store.outputs.record(
            OutputRecord(old, job.id, "pl", "mux", seen.st_size, seen.st_mtime_ns, fingerprint(old))
        )
        new = old.rename(house.root / "New.mkv")
        library.changes.renamed(old, new)
        assert house.store.outputs.is_ours(new, seen.st_size, seen.st_mtime_ns)


class TestDeleted:
    @pytest.mark.parametrize("folder", [False, True])
    def test_jobs_end_queued_or_running(self, house: House, folder: bool) -> None:
        library = house.start()
        running, queued = (make(house.root / "Show" / f"{n}.mkv") for n in "ab")
        first, second = house.job(running), house.job(queued)
        house.store.jobs.claim_job(first.id, "test")
        running.unlink()
        queued.unlink()
        for path in [running.parent] if folder else [running, queued]:
            library.changes.deleted(path)
        assert house.store.jobs.cancel_requested(first.id)
        assert house.store.jobs.get(first.id).reason == GONE
        assert house.store.jobs.get(second.id).state is JobState.CANCELLED

    def test_a_file_that_is_still_there_keeps_its_job(self, house: House) -> None:
        library = house.start()
        path = make(house.root / "Film.mkv")
        job = house.job(path)
        assert library.changes.deleted(path) == []
        assert house.store.jobs.get(job.id).state is JobState.QUEUED

    def test_who_comes_back_is_dubbed_after_all(self, house: House) -> None:
        library = house.start()
        path = make(house.root / "Film.mkv")
        house.job(path)
        content = path.read_bytes()
        path.unlink()
        library.changes.deleted(path)
        house.job(path, JobState.CANCELLED)
        eventually(lambda: not house.store.videos.under(house.root), "seen to be gone")
        path.write_bytes(content)
        house.job(path)

    @pytest.mark.parametrize("on_purpose", [False, True])
    def test_what_was_asked_for_it_ends_only_when_it_was_deleted_on_purpose(
        self, house: House, on_purpose: bool
    ) -> None:
        """A disk that was away costs nobody a request, nor does a file that is still there."""
        library = house.start()
        path = make(house.root / "Show" / "Film.mkv")
        library.ask(path, ["de"], JobOptions())
        library.changes.deleted(path, on_purpose=True)
        assert len(house.store.requests.all_open()) == 1
        path.unlink()
        path.parent.rmdir()
        library.changes.deleted(path.parent, on_purpose=on_purpose)
        assert len(house.store.requests.all_open()) == (0 if on_purpose else 1)


class TestReplaced:
    def test_the_running_job_of_the_old_file_ends_and_the_new_one_gets_its_own(
        self, house: House
    ) -> None:
        """Under the same name: the job of the new content is left alone."""
        library = house.start()
        path = make(house.root / "Film.mkv")
        old = house.job(path)
        house.store.jobs.claim_job(old.id, "test")
        make(path, film("better"))
        new = house.job(path)
        assert library.changes.replaced(path, path) == [old.id]
        assert library.changes.replaced(path, path) == []
        assert house.store.jobs.get(old.id).reason == REPLACED
        assert house.store.jobs.get(new.id).state is JobState.QUEUED

    def test_before_the_library_has_seen_it(self, house: House) -> None:
        """What stands in the store is the old file; the disk says that it is gone."""
        house.set(settle_seconds=30)
        library = house.start()
        path = make(house.root / "Film.mkv")
        seen = path.stat()
        video = house.store.videos.record(
            path, seen.st_size + 1, seen.st_mtime_ns, "old", VideoState.ARRIVED
        )
        job = house.store.jobs.enqueue(video.id, ["pl"], JobOptions())
        assert library.changes.replaced(path, path) == [job.id]

    def test_what_was_asked_of_the_old_file_is_asked_of_the_new_one(self, house: House) -> None:
        library = house.start()
        old, new = make(house.root / "Film 720p.avi"), house.root / "Film 1080p.mkv"
        library.ask(old, ["de", "fr"], JobOptions(mode="mux"))
        house.job(old)
        old.unlink()
        make(new, film("better"))
        library.changes.replaced(old, new)
        job = eventually(
            lambda: next((j for j in house.jobs() if j.video.path == new), None), "new job"
        )
        assert (job.languages, job.options.mode) == (("de", "fr"), "mux")
        house.job(old, JobState.CANCELLED)


class TestToldLanguages:
    def test_they_count_where_the_file_itself_is_silent(self, house: House) -> None:
        """By default and when asked for; who says again means it."""
        house.store.spoken.set(house.root / "Silent.mkv", ["pl"])
        library = house.start()
        path = make(house.root / "Silent.mkv", film(languages="und"))
        job = house.job(path, JobState.SKIPPED)
        assert job.reason == "It is in Polish already, says who brought it."
        library.ask(path, ["pl", "de"], JobOptions())
        assert house.job(path).languages == ("de",)

    def test_a_file_that_says_what_it_speaks_is_believed(self, house: House) -> None:
        """A commentary in Polish is listed too, and is no Polish film."""
        house.store.spoken.set(house.root / "Film.mkv", ["en", "pl"])
        house.start()
        assert house.job(make(house.root / "Film.mkv", film(languages="en"))).languages == ("pl",)

    def test_they_follow_a_file_and_are_forgotten(self, house: House) -> None:
        old, new = house.root / "A.mkv", house.root / "B.mkv"
        house.store.spoken.set(old, ["pl", "de"])
        house.start().changes.renamed(old, new)
        assert (house.store.spoken.of(old), house.store.spoken.of(new)) == ((), ("pl", "de"))
        house.store.spoken.set(new, [])
        assert house.store.spoken.of(new) == ()
