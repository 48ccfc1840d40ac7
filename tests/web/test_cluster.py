"""What page, API and figures show of a cluster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dubarr_watch.engines.crew import Card, Crew, Member
from tests.web.sites import Site, Told, open_site
from tests.web.test_metrics import values

GPU = Member(
    "tcp://10.0.0.5:4711",
    "attic",
    (Card("GPU-1", "Made-up 12GB", 0, 12_288),),
    {"vram_mib": 11_776.0, "cpu": 1.0},
    ("synthesizer-job-7-ab", "printer-job-7-cd"),
)
CPU = Member("tcp://10.0.0.6:4711", "<b>cellar</b>", (), {"cpu": 2.0})


@pytest.fixture(scope="module")
def told() -> Told:
    return Told()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, told: Told) -> Iterator[Site]:
    with open_site(tmp_path_factory.mktemp("site"), told) as opened:
        yield opened


def test_without_a_cluster_nothing_is_said_of_one(site: Site, told: Told) -> None:
    told.crew = Crew()
    assert site.client.get("/api/v1/cluster").json()["scheduler"] == ""
    assert "dubarr_cluster" not in site.client.get("/metrics").text
    assert "Cluster" not in site.client.get("/machine").text


def test_workers_devices_and_tasks_are_shown(site: Site, told: Told) -> None:
    told.crew = Crew("tcp://10.0.0.1:8786", True, (GPU, CPU), wanted=3, lost=1)
    shown = site.client.get("/api/v1/cluster").json()
    assert [one["machine"] for one in shown["workers"]] == ["attic", "<b>cellar</b>"]
    assert shown["workers"][0]["cards"][0]["uuid"] == "GPU-1"
    assert values(site, "dubarr_cluster_workers") == {(): 2}
    assert values(site, "dubarr_cluster_workers_wanted") == {(): 3}
    assert values(site, "dubarr_cluster_workers_lost_total") == {(): 1}
    assert values(site, "dubarr_cluster_up") == {(): 1}
    assert values(site, "dubarr_cluster_tasks", "machine")["attic",] == 2
    offers = values(site, "dubarr_cluster_offers", "device", "kind")
    assert offers == {("GPU-1", "vram_mib"): 11_776, ("GPU-1", "cpu"): 1, ("cpu", "cpu"): 2}
    page = site.client.get("/machine").text
    for words in ("2 workers", "1 lost", "Made-up 12GB", "synthesizer-job-7-ab", "processor"):
        assert words in page, words
    assert "<b>cellar" not in page


def test_a_scheduler_that_does_not_answer_is_said(site: Site, told: Told) -> None:
    told.crew = Crew("tcp://10.0.0.1:8786", reachable=False)
    assert values(site, "dubarr_cluster_up") == {(): 0}
    assert "does not answer" in site.client.get("/machine").text
    told.crew = Crew("tcp://10.0.0.1:8786")
    assert "No worker is there" in site.client.get("/machine").text
