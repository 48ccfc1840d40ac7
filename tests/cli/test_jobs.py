"""`dubarr-watch retry`, `cancel` and `forget` on real databases and files."""

from __future__ import annotations

import fcntl
from pathlib import Path

import pytest

from dubarr_watch.store import Store
from dubarr_watch.store.owners import Owner
from dubarr_watch.store.records import JobRecord, JobState
from tests.cli.conftest import Call, Home
from tests.cli.test_status import HOSTILE, a_job


@pytest.fixture
def failed(home: Home, store: Store) -> JobRecord:
    job = a_job(store, home.videos, "Film.mkv")
    return store.jobs.finish(job.id, JobState.FAILED, "The disk is full.")


class TestRetry:
    def test_a_failed_job_is_queued_again(
        self, call: Call, store: Store, failed: JobRecord
    ) -> None:
        """By its number; without a daemon it says what starts it."""
        said = call("retry", str(failed.id))
        assert said.exit_code == 0
        assert f"Job {failed.id} (Film.mkv) is queued again" in said.stdout
        assert "dubarr-watch run" in said.stdout
        assert store.jobs.get(failed.id).state is JobState.QUEUED

    def test_a_job_is_found_by_its_video(
        self, call: Call, home: Home, store: Store, failed: JobRecord,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        """Also by a path from where the person is."""
        home.videos.mkdir()
        monkeypatch.chdir(home.videos)
        assert call("retry", "Film.mkv").exit_code == 0
        assert store.jobs.get(failed.id).state is JobState.QUEUED

    def test_beside_a_daemon_nothing_has_to_be_started(
        self, call: Call, home: Home, failed: JobRecord
    ) -> None:
        """It takes the job up by itself."""
        run = home.config / "run"
        run.mkdir()
        with (run / "daemon.lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            assert "dubarr-watch run" not in call("retry", str(failed.id)).stdout

    def test_a_done_job_says_how_to_dub_it_once_more(
        self, call: Call, home: Home, store: Store
    ) -> None:
        """Retrying what succeeded is wrong usage."""
        with Owner.acquire(home.config) as owner:
            job = a_job(store, home.videos)
            store.jobs.claim_job(job.id, owner.id)
            store.jobs.finish(job.id, JobState.DONE)
        said = call("retry", str(job.id))
        assert said.exit_code == 2
        assert "is done and cannot be tried again" in said.stderr
        assert "again: yes" in said.stderr


class TestUnknown:
    def test_an_unknown_number_is_told_which_there_are(self, call: Call, failed: JobRecord) -> None:
        """Exit code 2, on standard error."""
        said = call("cancel", "999")
        assert said.exit_code == 2
        assert "There is no job 999." in said.stderr
        assert f"The newest are {failed.id};" in said.stderr

    def test_a_path_with_a_typing_error_is_told_the_nearest(
        self, call: Call, home: Home, failed: JobRecord
    ) -> None:
        """With the number, so that the next try is short."""
        said = call("forget", home.videos / "Flim.mkv")
        assert said.exit_code == 2
        assert f"Did you mean job {failed.id} ({home.videos / 'Film.mkv'})?" in said.stderr

    def test_without_a_database_none_is_made(self, call: Call, home: Home) -> None:
        """There are no jobs yet, and asking makes no files."""
        assert call("retry", "1").exit_code == 2
        assert not home.config.exists()

    def test_the_others_are_done_all_the_same(
        self, call: Call, store: Store, failed: JobRecord
    ) -> None:
        """One that is unknown does not keep the next from its turn."""
        said = call("retry", "999", str(failed.id))
        assert said.exit_code == 2
        assert store.jobs.get(failed.id).state is JobState.QUEUED

    def test_a_hostile_name_stays_a_name(self, call: Call, home: Home, store: Store) -> None:
        """In what succeeds and in what fails."""
        job = a_job(store, home.videos, HOSTILE)
        said = call("cancel", str(job.id))
        assert "([bold]Fil\\xffm[red] :warning: \\n\\x1b[31m \\.mkv)" in said.stdout
        assert "'[bold]\\x1b[31m'" in call("cancel", "[bold]\x1b[31m").stderr


class TestCancel:
    def test_a_queued_job_is_cancelled_at_once(self, call: Call, home: Home, store: Store) -> None:
        """Doing it twice is no error."""
        job = a_job(store, home.videos)
        assert "is cancelled" in call("cancel", str(job.id)).stdout
        assert store.jobs.get(job.id).state is JobState.CANCELLED
        again = call("cancel", str(job.id))
        assert again.exit_code == 0
        assert "was cancelled already" in again.stdout

    def test_a_running_job_is_asked_to_stop(self, call: Call, home: Home, store: Store) -> None:
        """Its process sees the request at its next look."""
        with Owner.acquire(home.config) as owner:
            job = a_job(store, home.videos)
            store.jobs.claim_job(job.id, owner.id)
            assert "is being stopped" in call("cancel", str(job.id)).stdout
            assert store.jobs.cancel_requested(job.id)
            assert store.jobs.get(job.id).state is JobState.RUNNING

    def test_a_job_whose_process_died_is_cancelled_at_once(
        self, call: Call, home: Home, store: Store
    ) -> None:
        """Nobody is left to be asked."""
        with Owner.acquire(home.config) as owner:
            job = a_job(store, home.videos)
            store.jobs.claim_job(job.id, owner.id)
        assert "is cancelled" in call("cancel", str(job.id)).stdout
        assert store.jobs.get(job.id).state is JobState.CANCELLED

    def test_an_ended_job_cannot_be_cancelled(self, call: Call, failed: JobRecord) -> None:
        """Wrong usage."""
        said = call("cancel", str(failed.id))
        assert said.exit_code == 2
        assert "is failed and cannot be cancelled" in said.stderr


class TestForget:
    def test_the_job_and_its_intermediate_files_go(
        self, call: Call, home: Home, store: Store, failed: JobRecord
    ) -> None:
        """Reports stay unless asked for, and another job's files always."""
        work, others = (home.config / "work" / str(number) for number in (failed.id, 77))
        reports = home.config / "reports"
        for folder in (work / "takes", others, reports):
            folder.mkdir(parents=True)
        (work / "source.wav").write_bytes(b"sound")
        (reports / f"{failed.id}.es.json").write_text("{}")
        (reports / f"{failed.id}7.es.json").write_text("{}")
        assert call("forget", str(failed.id)).exit_code == 0
        assert store.jobs.recent() == []
        assert not work.exists()
        assert others.exists()
        assert len(list(reports.iterdir())) == 2

    def test_reports_go_when_asked_for(self, call: Call, home: Home, failed: JobRecord) -> None:
        """Those of this job alone: 1 is not 17."""
        reports = home.config / "reports"
        reports.mkdir()
        for name in (f"{failed.id}.es.json", f"{failed.id}.fr.json", f"{failed.id}7.es.json"):
            (reports / name).write_text("{}")
        assert call("forget", "--reports", str(failed.id)).exit_code == 0
        assert [path.name for path in reports.iterdir()] == [f"{failed.id}7.es.json"]

    def test_a_job_that_has_not_ended_is_kept(self, call: Call, home: Home, store: Store) -> None:
        """Cancel it first, and the message says how."""
        job = a_job(store, home.videos)
        said = call("forget", str(job.id))
        assert said.exit_code == 2
        assert f"dubarr-watch cancel {job.id}" in said.stderr
        assert store.jobs.get(job.id).state is JobState.QUEUED

    def test_a_link_in_place_of_the_folder_is_not_followed(
        self, call: Call, home: Home, failed: JobRecord, tmp_path: Path
    ) -> None:
        """What lies elsewhere is not ours to remove."""
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "precious").write_text("x")
        (home.config / "work").mkdir()
        (home.config / "work" / str(failed.id)).symlink_to(elsewhere)
        call("forget", str(failed.id))
        assert (elsewhere / "precious").exists()
