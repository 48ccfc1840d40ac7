"""`dubarr-watch plan` on real databases and described cards."""

from __future__ import annotations

import json

import pytest

from dubarr_watch.store import Store
from dubarr_watch.store.records import JobState
from tests.cli.conftest import Call, Home
from tests.cli.test_status import a_job


@pytest.fixture
def dubbed(home: Home, store: Store) -> None:
    """A track whose half hour took 360 s: 90 to hear, 270 to speak."""
    job = a_job(store, home.videos)
    summary = {"stage_seconds": {"transcribe": 90.0, "synthesize": 270.0}, "real_time_factor": 0.2}
    store.jobs.set_result(job.id, "es", JobState.DONE, summary=json.dumps(summary))


def test_described_cards_are_planned_for_without_one_being_there(call: Call) -> None:
    said = call("plan", "--cards", "12GB,8GB")
    assert said.exit_code == 0
    assert "Profile full" in said.stdout
    assert "GPU 1 (8 GB)" in said.stdout
    assert "side by side" in said.stdout
    assert "No film was dubbed here yet" in said.stdout


def test_times_are_those_of_films_dubbed_here(call: Call, dubbed: None) -> None:
    document = call("plan", "--cards", "8GB", "--json").document
    assert document["tracks_measured"] == 1
    assert document["hour"]["film_s"] == pytest.approx(720)
    assert document["hour"]["next_language_s"] == pytest.approx(540)
    said = call("plan", "--cards", "8GB").stdout
    assert "an hour of film takes 12 min, each further language 9 min" in said
    assert "with one more card:" in said


def test_this_machine_is_planned_for_as_the_daemon_would(
    call: Call, dubbed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROFILE", "embedded")
    said = call("plan")
    assert said.exit_code == 0
    assert "Profile embedded" in said.stdout
    assert "12 min" in said.stdout


def test_a_wrong_description_is_wrong_usage(call: Call) -> None:
    said = call("plan", "--cards", "large")
    assert said.exit_code == 2
    assert '--cards "12GB,8GB"' in said.stderr
