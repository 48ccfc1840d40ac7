"""/metrics, and the dashboard that draws it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from dubarr_watch.store.records import JobState
from dubarr_watch.web.metrics import MOST_REASONS, short_reason
from tests.composing import make_talk
from tests.web.sites import Site, Told, open_site

DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "dubarr-watch.json"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    told = Told()
    with open_site(tmp_path_factory.mktemp("site"), told) as opened:
        shop = opened.shop
        shop.dub(make_talk(shop.videos / "Film.mkv"), "es")
        failed = shop.enqueue(make_talk(shop.videos / "Bad.mkv"), "fr")
        shop.store.jobs.finish(failed.id, JobState.FAILED, "The video has no audio to dub.")
        shop.enqueue(make_talk(shop.videos / "Next.mkv"), "it")
        shop.store.notifications.record(None, "done", "sent", "", 1)
        told.working = False
        yield opened


def families(site: Site) -> dict[str, Metric]:
    answer = site.client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {one.name: one for one in text_string_to_metric_families(answer.text)}


def values(site: Site, name: str, *labels: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in families(site).values()
        for sample in family.samples
        if sample.name == name
    }


def test_jobs_are_told_by_state_and_reason(site: Site) -> None:
    jobs = values(site, "dubarr_jobs", "state", "reason")
    assert jobs["done", ""] == 1
    assert jobs["failed", "The video has no audio to dub."] == 1
    assert jobs["queued", ""] == 1
    assert {state for state, _ in jobs} == set(JobState)


def test_what_a_track_took_and_became_is_told(site: Site) -> None:
    seconds = values(site, "dubarr_stage_seconds_sum", "stage")
    assert seconds[("mix",)] > 0
    assert values(site, "dubarr_stage_seconds_count", "stage")[("mix",)] == 1
    assert values(site, "dubarr_real_time_factor_count")[()] == 1
    lines = values(site, "dubarr_lines", "outcome")
    report = site.get("/api/v1/jobs/1/reports/es")
    assert sum(lines.values()) == len(report["lines"])
    assert lines[("silent",)] == 0


def test_the_queue_and_the_messages_are_told(site: Site) -> None:
    assert values(site, "dubarr_queue_age_seconds")[()] > 0
    assert values(site, "dubarr_notifications", "outcome")[("sent",)] == 1


def test_what_is_not_well_is_told(site: Site) -> None:
    assert values(site, "dubarr_up", "part") == {
        ("worker",): 0, ("database",): 1, ("watcher",): 1,
    }  # fmt: skip


def test_reasons_without_number_do_not_make_labels_without_number(site: Site) -> None:
    film = site.shop.videos / "Film.mkv"
    for number in range(MOST_REASONS + 10):
        job = site.shop.enqueue(film, "de")
        reason = f"Kind {chr(65 + number)} of '{number}' in /a/{number}.mkv: 12.5 s. Rest {number}."
        site.shop.store.jobs.finish(job.id, JobState.SKIPPED, reason)
    reasons = {reason for _, reason in values(site, "dubarr_jobs", "state", "reason")}
    assert len(reasons) <= MOST_REASONS + 2
    assert "other" in reasons
    assert short_reason("Line 17 of '/a b/c.mkv' took 3.5 s. Wait.") == "Line N of … took N s."


def test_the_dashboard_asks_for_what_there_is(site: Site) -> None:
    told = {sample.name for family in families(site).values() for sample in family.samples}
    told |= set(families(site))  # those without a sample yet
    dashboard = json.loads(DASHBOARD.read_text())
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    names = {name for query in asked for name in re.findall(r"\bdubarr_\w+", query)}
    assert names <= told
    drawn = {re.sub(r"_(?:sum|count)$", "", name) for name in names}
    assert drawn == set(families(site)), "each figure is drawn"
