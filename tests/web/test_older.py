"""The paths of the first deployments."""

from __future__ import annotations

import pytest

from dubarr_watch.store.records import JobRecord
from tests.composing import make_talk
from tests.web.sites import Site


@pytest.fixture
def job(site: Site) -> JobRecord:
    return site.shop.dub(make_talk(site.shop.videos / "Film.mkv"), "es", "fr", again=True).job


def test_a_track_is_downloaded_by_its_job(site: Site, job: JobRecord) -> None:
    assert site.problem(site.client.get(f"/download/{job.id}"))["status"] == 422
    answer = site.client.get(f"/download/{job.id}?language=fr")
    assert answer.content == site.shop.track(job, "fr").read_bytes()
    assert site.problem(site.client.get("/download/999"))["status"] == 404


def test_a_job_that_is_done_is_not_tried_again(site: Site, job: JobRecord) -> None:
    told = site.problem(site.client.post(f"/retry/{job.id}"))
    assert (told["status"], told["hint"]) == (
        409, "To dub it once more, ask for its languages again, with `again`.",
    )  # fmt: skip


def test_purge_keeps_the_tracks_and_delete_does_not(site: Site, job: JobRecord) -> None:
    track = site.shop.track(job)
    again = site.shop.dub(site.shop.videos / "Film.mkv", "es", again=True).job
    assert site.client.post(f"/purge/{job.id}").status_code == 204
    assert site.client.get(f"/api/v1/jobs/{job.id}").status_code == 404
    assert track.exists()
    assert site.client.post(f"/delete/{again.id}").status_code == 204
    assert not track.exists()
    assert (site.shop.videos / "Film.mkv").exists()


@pytest.mark.parametrize(
    ("what", "stage"),
    [("transcription", "transcribe"), ("context", "translate"), ("speakers", "diarize"),
     ("production", "mix")],
)  # fmt: skip
def test_the_stages_tell_what_they_found(site: Site, job: JobRecord, what: str, stage: str) -> None:
    found = {one["stage"]: one["content"] for one in site.get(f"/debug/{job.id}/{what}")}
    assert found[stage]


def test_what_is_not_kept_is_not_told(site: Site) -> None:
    assert site.problem(site.client.get("/debug/999/context"))["status"] == 404
    assert site.problem(site.client.get("/debug/1/everything"))["status"] == 422
