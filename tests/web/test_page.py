"""The page as it is sent: without a browser, and without its scripts."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator

import httpx
import pytest

from dubarr_watch.store.records import JobState
from dubarr_watch.web.desk.tasks import Report
from tests.waiting import eventually
from tests.web.household import furnish, house_with_a_card
from tests.web.sites import Site, open_site

PAGE = {"accept": "text/html"}
PATHS = (
    "/", "/library", "/library/1", "/history", "/jobs/1", "/jobs/5", "/machine", "/logs",
    "/settings", "/settings/findings", "/nothing",
)  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site"), house_with_a_card()) as made:
        furnish(made.shop)
        yield made


def seen(site: Site, path: str, **headers: str) -> str:
    return site.client.get(path, headers={**PAGE, **headers}).text


def sent(site: Site, path: str, *, script: bool = False, **fields: str) -> httpx.Response:
    accept = "application/json" if script else "text/html"
    headers = {"accept": accept, "referer": f"{site.url}/library?search=x"}
    return site.client.post(path, data=fields, headers=headers)


@pytest.mark.parametrize("path", PATHS)
def test_nothing_runs_but_our_own_files(site: Site, path: str) -> None:
    """No script, style or handler stands in a page, and nothing comes from elsewhere."""
    text = seen(site, path)
    assert re.findall(r"<style|\sstyle=|\son\w+=|<script(?![^>]* src=)", text) == []
    sources = re.findall(r'(?:src|<link[^>]* href)="([^"]+)"', text)
    assert sources
    assert [one for one in sources if not one.startswith("/static/")] == []
    for one in sources:
        answer = site.client.get(one)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-cache"


def test_scripts_and_styles_name_nothing_elsewhere(site: Site) -> None:
    """No other host, and each module that one imports is there."""
    todo, done = ["page.js", "page.css"], set[str]()
    while todo:
        name = todo.pop()
        done.add(name)
        answer = site.client.get(f"/static/{name}")
        assert answer.status_code == 200, name
        assert re.findall(r"(?:https?:)?//[a-z]+\.", answer.text) == []
        named = re.findall(r'"\./(\w+\.js)"|url\("([\w.]+)"\)', answer.text)
        todo += [found for pair in named for found in pair if found and found not in done]
    assert done >= {"live.js", "morph.js", "order.js", "upload.js", "player.js", "tokens.css"}


@pytest.mark.parametrize("path", PATHS)
def test_each_region_can_be_asked_for_alone(site: Site, path: str) -> None:
    """What is kept up to date is a block of the template that has the region's id."""
    whole = seen(site, path)
    regions = re.findall(r'id="([\w-]+)" data-live="', whole)
    for region in regions:
        part = seen(site, path, **{"x-regions": region})
        assert re.match(rf'\s*<\w+[^>]* id="{region}"', part), region
        assert "<html" not in part
    if path in ("/", "/library", "/jobs/1", "/machine"):
        assert regions


def test_the_queue_shows_what_runs(site: Site) -> None:
    text = seen(site, "/")
    for words in ("Speaking: Spanish", "517 of 1206", "about 21 min", "43 %", "4 jobs"):
        assert words in text


def test_lines_to_check_come_first(site: Site) -> None:
    lines = re.findall(r"<h3>Line (\d+)</h3>", seen(site, "/jobs/1"))
    assert lines == ["2", "0", "1", "3", "4", "5", "6", "7"]
    assert re.findall(r"<h3>Line (\d+)</h3>", seen(site, "/jobs/1?only=check")) == ["2"]
    assert "1 of 8 lines to check" in seen(site, "/history")


def test_what_waits_for_its_turn_says_how_many_are_before_it(site: Site) -> None:
    """A line that is to be made anew, and a model that is to be fetched."""
    go_on, tasks = threading.Event(), site.desk.tasks
    models = [one.name for one in site.desk.machine.models()][:2]

    def work(report: Report) -> None:
        go_on.wait(30)

    for kind, abouts in (("redo", ["1/es/0", "1/es/1"]), ("pull", models)):
        started = [tasks.start(kind, about, work) for about in abouts]
        eventually(lambda: tasks.get(started[0].id).state == "running")  # noqa: B023 - waited here
    try:
        lines = seen(site, "/jobs/1", **{"x-regions": "lines"})
        assert lines.count("It is made anew") == 1
        assert lines.count("It waits to be made anew; before it 1 line.") == 1
        shown = seen(site, "/machine", **{"x-regions": "models"})
        assert shown.count("It waits; before it 1 model.") == 1
        assert not [name for name in models if f"/do/models/{name}/pull" in shown]
    finally:
        go_on.set()
    eventually(lambda: {one.state for one in tasks.all()} == {"done"})
    assert "It waits" not in seen(site, "/jobs/1") + seen(site, "/machine")


def test_a_form_leads_back_to_where_it_was(site: Site) -> None:
    """And a script is told in words."""
    job = site.post("/api/v1/jobs", {"video_id": 4, "languages": ["it"]})["id"]
    answer = sent(site, f"/do/jobs/{job}/cancel")
    assert (answer.status_code, answer.headers["location"]) == (303, "/library")
    assert site.shop.store.jobs.get(job).state is JobState.CANCELLED
    told = sent(site, f"/do/jobs/{job}/retry", script=True).json()
    assert told["told"].endswith("is queued again.")


@pytest.mark.parametrize("referer", ["//elsewhere.example/x", "https://elsewhere.example//x", ""])
def test_a_form_leads_nowhere_else(site: Site, referer: str) -> None:
    answer = site.client.post(
        "/do/videos/4/dub", data={"languages": "de"}, headers={**PAGE, "referer": referer}
    )
    assert answer.headers["location"] in ("/", "/x")


def test_a_page_of_another_site_changes_nothing(site: Site) -> None:
    headers = {**PAGE, "origin": "https://elsewhere.example"}
    before = site.get("/api/v1/jobs")["total"]
    answer = site.client.post("/do/videos/9/dub", data={"languages": "fr"}, headers=headers)
    assert answer.status_code == 403
    assert site.get("/api/v1/jobs")["total"] == before


def test_deleting_asks_first_even_without_scripts(site: Site) -> None:
    track = site.shop.videos / "Films" / "The Lighthouse Keeper (2019)"
    track /= "The Lighthouse Keeper (2019).Dubarr.fr.srt"
    asked = sent(site, "/do/videos/1/delete", language="fr", kind="subtitles")
    assert "Delete the French subtitles" in asked.text
    assert track.exists()
    sure = sent(site, "/do/videos/1/delete", language="fr", kind="subtitles", sure="yes")
    assert sure.status_code == 303
    assert not track.exists()


def test_problems_are_words_for_people_and_json_for_programs(site: Site) -> None:
    page = site.client.get("/jobs/999", headers=PAGE)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert "There is no job 999." in page.text
    assert site.problem(site.client.get("/jobs/999"))["detail"] == "There is no job 999."
    refused = sent(site, "/do/videos/4/dub", script=True, languages="Germn")
    assert "German" in str(site.problem(refused))


def test_a_job_is_put_before_another(site: Site) -> None:
    waiting = [job.id for job in site.shop.store.jobs.queue()]
    sent(site, f"/do/jobs/{waiting[-1]}/move", before=str(waiting[0]))
    now = [job.id for job in site.shop.store.jobs.queue()]
    assert now == [waiting[-1], *waiting[:-1]]
    site.post(f"/api/v1/jobs/{waiting[-1]}/move", {"before": None})
    assert [job.id for job in site.shop.store.jobs.queue()] == waiting
