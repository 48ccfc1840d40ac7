"""The API: videos and jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.store.records import JobRecord, JobState
from tests.composing import make_talk
from tests.waiting import eventually
from tests.web.sites import Site


@pytest.fixture(scope="module")
def film(site: Site) -> int:
    return site.shop.record(make_talk(site.shop.videos / "Film.mkv")).id


@pytest.fixture(scope="module")
def talk(site: Site) -> Path:
    return make_talk(site.shop.videos / "Talk.mkv", language="en")


@pytest.fixture(scope="module")
def done(site: Site, talk: Path) -> JobRecord:
    return site.shop.dub(talk, "es").job


class TestVideos:
    def test_a_page_of_the_library(self, site: Site, film: int) -> None:
        page = site.get("/api/v1/videos")
        assert (page["total"], page["limit"], page["offset"]) == (1, 50, 0)
        (video,) = page["items"]
        assert (video["id"], video["name"], video["folder"]) == (film, "Film.mkv", "")
        assert (video["dubbed"], video["asked_for"]) == ([], [])

    def test_the_languages_in_a_video_are_found_out_when_somebody_looks(
        self, site: Site, film: int
    ) -> None:
        eventually(lambda: site.get(f"/api/v1/videos/{film}")["has"] == ["en"], "en")
        other = site.shop.record(make_talk(site.shop.videos / "Wer.mkv", language="xyz")).id
        text = site.shop.videos / "Text.mkv"
        text.write_text("no video")
        none = site.shop.record(text).id
        eventually(lambda: site.get(f"/api/v1/videos/{other}")["has"] == ["und"], "und")
        eventually(lambda: site.get(f"/api/v1/videos/{none}")["has"] == [], "none")
        for video in (other, none):
            site.shop.store.videos.forget(video)

    def test_a_video_that_is_not_known(self, site: Site) -> None:
        told = site.problem(site.client.get("/api/v1/videos/999"))
        assert (told["status"], told["detail"]) == (404, "There is no video 999.")


class TestJobs:
    def test_asking_twice_is_one_job(self, site: Site, film: int) -> None:
        first = site.post("/api/v1/jobs", {"video_id": film, "languages": ["French"]})
        assert (first["languages"], first["state"]) == (["fr"], "queued")
        assert site.rung
        again = site.post("/api/v1/jobs", {"path": "Film.mkv", "languages": ["fr"]})
        assert again["id"] == first["id"]
        assert site.get(f"/api/v1/videos/{film}")["asked_for"] == ["fr"]

    def test_a_job_is_cancelled_and_tried_again(self, site: Site, film: int) -> None:
        job = site.post("/api/v1/jobs", {"video_id": film, "languages": ["it"]})
        assert site.post(f"/api/v1/jobs/{job['id']}/cancel")["state"] == "cancelled"
        page = site.get("/api/v1/jobs", state="cancelled")
        assert [one["id"] for one in page["items"]] == [job["id"]]
        assert site.post(f"/api/v1/jobs/{job['id']}/retry")["state"] == "queued"
        assert site.shop.store.jobs.get(job["id"]).state is JobState.QUEUED

    def test_a_language_that_is_none_is_refused_with_the_nearest(
        self, site: Site, film: int
    ) -> None:
        body = {"video_id": film, "languages": ["Germn"]}
        told = site.problem(site.client.post("/api/v1/jobs", json=body))
        assert told["status"] == 422
        assert "German" in told["detail"] + told["hint"]


class TestAskingForWhatIsThere:
    """As with a marker: what a video has is not made again, and asking is answered by what was."""

    def test_the_job_that_did_it_answers(self, site: Site, done: JobRecord) -> None:
        before = site.get("/api/v1/jobs")["total"]
        for _ in range(3):
            told = site.post("/api/v1/jobs", {"path": "Talk.mkv", "languages": ["es"]})
            assert (told["id"], told["state"]) == (done.id, "done")
        assert site.get("/api/v1/jobs")["total"] == before

    def test_only_what_is_lacking_is_dubbed(self, site: Site, done: JobRecord) -> None:
        told = site.post("/api/v1/jobs", {"path": "Talk.mkv", "languages": ["es", "en", "pt"]})
        assert (told["languages"], told["state"]) == (["pt"], "queued")
        site.post(f"/api/v1/jobs/{told['id']}/cancel")

    def test_again_makes_it_once_more(self, site: Site, done: JobRecord) -> None:
        body = {"path": "Talk.mkv", "languages": ["es"], "again": True}
        told = site.post("/api/v1/jobs", body)
        assert told["id"] != done.id
        assert site.post("/api/v1/jobs", body)["id"] == told["id"]
        site.post(f"/api/v1/jobs/{told['id']}/cancel")

    def test_what_it_speaks_already_is_passed_over_once(self, site: Site, done: JobRecord) -> None:
        asked = {"path": "Talk.mkv", "languages": ["en"]}
        told = site.post("/api/v1/jobs", asked)
        assert (told["state"], told["reason"]) == ("skipped", "It is spoken in English.")
        between = site.post("/api/v1/jobs", {"path": "Talk.mkv", "languages": ["it"]})
        assert site.post("/api/v1/jobs", asked)["id"] == told["id"]
        site.post(f"/api/v1/jobs/{between['id']}/cancel")

    def test_a_track_that_somebody_deleted_is_made_again(self, site: Site, done: JobRecord) -> None:
        answer = site.client.delete(f"/api/v1/videos/{done.video.id}/tracks/es/sidecar")
        assert answer.status_code == 204
        told = site.post("/api/v1/jobs", {"path": "Talk.mkv", "languages": ["es"]})
        assert told["id"] != done.id
        assert told["state"] == "queued"
        site.post(f"/api/v1/jobs/{told['id']}/cancel")

    def test_what_cannot_be_dubbed_is_told_at_once(self, site: Site, talk: Path) -> None:
        half = site.shop.videos / "Half.mkv"
        half.write_bytes(talk.read_bytes()[:9000])
        site.shop.record(half)
        answer = site.client.post("/api/v1/jobs", json={"path": "Half.mkv", "languages": ["es"]})
        assert site.problem(answer)["status"] == 409
        forbidding = site.shop.videos / "Half.mkv.nodub"
        forbidding.touch()
        answer = site.client.post("/api/v1/jobs", json={"path": "Half.mkv", "languages": ["es"]})
        told = site.problem(answer)
        assert (told["status"], "Half.mkv.nodub" in told["detail"]) == (422, True)


class TestProblems:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/api/v1/nothing", 404),
            ("DELETE", "/api/v1/status", 405),
            ("GET", "/api/v1/videos?limit=0", 422),
            ("GET", "/api/v1/videos?limit=201", 422),
            ("GET", "/api/v1/videos/many", 422),
            ("GET", f"/api/v1/videos/{2**63}", 422),
            ("GET", f"/api/v1/videos/{2**63 - 1}", 404),
            ("POST", "/api/v1/jobs", 422),
        ],
    )
    def test_every_error_is_problem_json(
        self, site: Site, method: str, path: str, status: int
    ) -> None:
        assert site.problem(site.client.request(method, path))["status"] == status
