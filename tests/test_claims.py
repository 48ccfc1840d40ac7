"""Two workers and one job: the one that was silent for too long publishes nothing."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dubarr_watch.errors import ClaimLost
from dubarr_watch.heartbeat import Heartbeat
from dubarr_watch.library.naming import fingerprint
from dubarr_watch.store.records import JobState
from tests.composing import Call, Shop, make_talk, names, open_shop
from tests.waiting import eventually


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("step", ["written", "asked"])
def test_a_paused_worker_s_track_is_refused(shop: Shop, tmp_path: Path, step: str) -> None:
    """Stopped beyond its lease it loses the job; continued, it leaves the other's track alone."""
    job = shop.enqueue(make_talk(shop.videos / "Film.mkv"), "es")
    command = [sys.executable, "-m", "tests.claimant", str(tmp_path), step]
    with subprocess.Popen(command) as paused:
        try:
            eventually((tmp_path / "asked").exists)
            paused.send_signal(signal.SIGSTOP)
            (tmp_path / "go").touch()
            alive = lambda owner: True  # noqa: E731
            eventually(lambda: bool(shop.store.recovery.recover(alive, max_attempts=3)))
            ended = shop.run(job)
            assert ended.job.state is JobState.DONE, ended
            track = shop.track(job)
            made, seen = fingerprint(track), track.stat()
            told = shop.store.jobs.results(job.id), shop.store.outputs.by_path(track)
            paused.send_signal(signal.SIGCONT)
            assert paused.wait(60) == 0
        finally:
            paused.kill()
    assert (tmp_path / "ended").read_text() == "ClaimLost done"
    assert names(shop.videos) == ["Film.Dubarr.es.mka", "Film.Dubarr.es.srt", "Film.mkv"]
    assert (fingerprint(track), track.stat().st_ino) == (made, seen.st_ino)
    assert (shop.store.jobs.results(job.id), shop.store.outputs.by_path(track)) == told
    assert len(shop.store.jobs.tracks(job.id)) == 2
    assert shop.store.jobs.get(job.id).state is JobState.DONE


def test_a_run_ends_soon_after_its_job_was_given_away(shop: Shop) -> None:
    """It does not speak the rest of the film for nobody, and leaves the work folder alone."""
    job = shop.enqueue(make_talk(shop.videos / "Film.mkv"), "es")

    def give_away(call: Call) -> None:
        if call.method == "synthesize" and shop.store.jobs.get(job.id).token == 1:
            shop.store.jobs.requeue(job.id)
            shop.store.jobs.claim_job(job.id, "another")

    shop.spy.before = give_away
    ended = shop.run(job)
    assert isinstance(ended.error, ClaimLost)
    assert shop.store.checkpoints.lines(job.id, "es") == {}
    assert (ended.job.state, ended.job.token) == (JobState.RUNNING, 2)
    assert names(shop.videos) == ["Film.mkv"]
    assert shop.work(job).is_dir()
    assert shop.store.jobs.results(job.id) == []


def test_a_process_that_lives_keeps_its_jobs_and_takes_those_of_silent_ones(shop: Shop) -> None:
    """For many times the length of a lease, which it renews by itself."""
    own = shop.enqueue(make_talk(shop.videos / "Own.mkv", 1.0), "es")
    silent = shop.enqueue(make_talk(shop.videos / "Silent.mkv", 2.0), "es")
    job = shop.store.jobs.claim_job(own.id, shop.owner.id, lease_s=0.4)
    shop.store.jobs.claim_job(silent.id, "silent", lease_s=1.2)
    shop.store._database.execute("UPDATE jobs SET owner = ? WHERE id = ?", shop.owner.id, own.id)
    with Heartbeat(shop.settings, shop.store, shop.owner.id, "", lease_s=0.4):
        eventually(lambda: shop.store.jobs.get(silent.id).state is JobState.QUEUED)
    assert shop.store.claims.holds(job.id, job.token)
