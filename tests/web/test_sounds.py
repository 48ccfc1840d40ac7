"""What came of a job, to read, to hear, to take away and to make anew."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.dubbing.keeping import alone_in
from dubarr_watch.store.records import JobRecord, JobState, OutputRecord
from tests.composing import make_talk
from tests.waiting import eventually
from tests.web.sites import Site, Told, open_site


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, told: Told) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site"), told) as opened:
        yield opened


@pytest.fixture(scope="module")
def job(site: Site) -> JobRecord:
    return site.shop.dub(make_talk(site.shop.videos / "Film.mkv"), "es", "fr").job


class TestAReport:
    def test_is_what_the_job_wrote(self, site: Site, job: JobRecord) -> None:
        found = site.get(f"/api/v1/jobs/{job.id}/reports/French")
        assert (found["job"], found["language"]) == (job.id, "fr")
        assert found["lines"]
        detail = site.get(f"/api/v1/jobs/{job.id}")
        assert [one["language"] for one in detail["results"]] == ["es", "fr"]
        assert detail["results"][0]["lines"] == len(found["lines"])
        assert {"transcribe", "mix"} <= {one["stage"] for one in detail["stages"]}

    def test_that_is_not_there(self, site: Site, job: JobRecord) -> None:
        path = f"/api/v1/jobs/{job.id}/reports/de"
        assert site.problem(site.client.get(path))["status"] == 404


class TestALine:
    @pytest.mark.parametrize("which", ["original", "dub"])
    def test_is_heard_and_may_be_asked_for_in_parts(
        self, site: Site, job: JobRecord, which: str
    ) -> None:
        line = site.get(f"/api/v1/jobs/{job.id}/reports/es")["lines"][0]
        path = f"/api/v1/jobs/{job.id}/reports/es/lines/{line['index']}/{which}"
        answer = site.client.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "audio/wav")
        with wave.open(io.BytesIO(answer.content)) as sound:
            length_s = sound.getnframes() / sound.getframerate()
        wanted_s = line["take_s"] if which == "dub" else line["end_s"] - line["start_s"]
        assert wanted_s <= length_s <= wanted_s + 0.7
        part = site.client.get(path, headers={"range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, answer.content[10:20])

    def test_that_is_not_there(self, site: Site, job: JobRecord) -> None:
        path = f"/api/v1/jobs/{job.id}/reports/es/lines/999/dub"
        assert site.problem(site.client.get(path))["status"] == 404

    def test_is_made_anew(self, site: Site, job: JobRecord, told: Told) -> None:
        asked = []
        told.redo = lambda *values: asked.append(values)
        body = {"text": "Otra vez.", "language": "es"}
        task = site.post(f"/api/v1/jobs/{job.id}/lines/0/redo", body)
        eventually(lambda: site.get(f"/api/v1/tasks/{task['id']}")["state"] == "done")
        ((redone, language, index, text, _),) = asked
        assert (redone.id, language.code, index, text) == (job.id, "es", 0, "Otra vez.")
        for wrong in ({"language": "de"}, {"text": " ", "language": "es"}, {"text": "two tracks"}):
            answer = site.client.post(f"/api/v1/jobs/{job.id}/lines/0/redo", json=wrong)
            assert site.problem(answer)["status"] == 422, wrong

    def test_a_job_whose_line_is_made_anew_stays_as_it_is(self, site: Site) -> None:
        """Not queued again, not forgotten and none of its tracks deleted, until that is done."""
        job = site.shop.dub(make_talk(site.shop.videos / "Busy.mkv"), "es").job
        track = site.shop.track(job)
        with alone_in(site.shop.work(job)):
            for method, path in (("POST", f"/api/v1/jobs/{job.id}/retry"),
                                 ("DELETE", f"/api/v1/jobs/{job.id}"),
                                 ("POST", f"/purge/{job.id}"), ("POST", f"/delete/{job.id}"),
                                 ("POST", f"/do/jobs/{job.id}/retry")):  # fmt: skip
                told = site.problem(site.client.request(method, path))
                assert (told["status"], told["hint"]) == (409, "Wait until it is published."), path
                assert told["detail"] == f"A line of job {job.id} is made anew just now."
        assert site.shop.store.jobs.get(job.id).state is JobState.DONE
        assert track.exists()
        assert site.client.post(f"/delete/{job.id}").status_code == 204
        assert not track.exists()

    def test_the_tracks_of_a_job_that_has_not_ended_are_not_deleted(self, site: Site) -> None:
        job = site.shop.dub(make_talk(site.shop.videos / "Again.mkv"), "es").job
        track = site.shop.track(job)
        site.shop.store.jobs.amend(job.id, JobState.DONE_WITH_WARNINGS, "")
        site.shop.store.jobs.retry(job.id)
        assert site.client.post(f"/delete/{job.id}").status_code == 409
        assert track.exists()
        site.post(f"/api/v1/jobs/{job.id}/cancel")


class TestTracks:
    def test_are_taken_away(self, site: Site, job: JobRecord) -> None:
        path = f"/api/v1/videos/{job.video.id}/tracks/fr/sidecar"
        answer = site.client.get(path)
        assert answer.content == site.shop.track(job, "fr").read_bytes()
        assert "Film.Dubarr.fr.mka" in answer.headers["content-disposition"]

    def test_are_deleted_only_when_they_are_what_we_made(self, site: Site, job: JobRecord) -> None:
        path = f"/api/v1/videos/{job.video.id}/tracks/fr/sidecar"
        track = site.shop.track(job, "fr")
        made = track.read_bytes()
        track.write_bytes(made + b"more")
        assert site.problem(site.client.delete(path))["status"] == 409
        assert track.exists()
        track.write_bytes(made)
        assert site.client.delete(path).status_code == 204
        assert not track.exists()
        assert "fr" not in site.get(f"/api/v1/videos/{job.video.id}")["dubbed"]
        assert site.problem(site.client.delete(path))["status"] == 404

    def test_inside_a_video_are_not_deleted(self, site: Site, job: JobRecord) -> None:
        known = site.shop.store.outputs.for_video(job.video.id)[0]
        inside = replace(known, path=job.video.path, kind="mux", language="it")
        assert isinstance(inside, OutputRecord)
        site.shop.store.outputs.record(inside)
        path = f"/api/v1/videos/{job.video.id}/tracks/it/mux"
        assert site.problem(site.client.delete(path))["status"] == 409
        assert job.video.path.exists()
        site.shop.store.outputs.forget(job.video.path)


class TestTheQueue:
    def test_a_job_goes_first(self, site: Site) -> None:
        made = [make_talk(site.shop.videos / f"{name}.mkv") for name in "abc"]
        first, second, third = (site.shop.enqueue(path).id for path in made)
        site.client.put(f"/api/v1/jobs/{third}/priority", json={"priority": "high"})
        site.client.put(f"/api/v1/jobs/{first}/priority", json={"priority": "low"})
        order = [one["id"] for one in site.get("/api/v1/status")["queue"]]
        assert order == [third, second, first]
        claimed = site.shop.store.jobs.claim(site.shop.owner.id)
        assert claimed is not None
        assert claimed.id == third
        answer = site.client.put(f"/api/v1/jobs/{third}/priority", json={"priority": "low"})
        assert site.problem(answer)["status"] == 409
        site.shop.store.jobs.requeue(third)

    def test_a_job_that_ended_is_forgotten_with_its_files(self, site: Site) -> None:
        gone = site.shop.dub(make_talk(site.shop.videos / "Gone.mkv"), "es").job
        reports = site.shop.settings.reports_dir
        assert list(reports.glob(f"{gone.id}.*"))
        assert site.client.delete(f"/api/v1/jobs/{gone.id}?reports=true").status_code == 204
        assert site.client.get(f"/api/v1/jobs/{gone.id}").status_code == 404
        assert not list(reports.glob(f"{gone.id}.*"))
        assert not site.shop.work(gone).exists()
        assert Path(gone.video.path).exists()
