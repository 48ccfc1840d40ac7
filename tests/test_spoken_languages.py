"""What a listener hears about languages that the small models speak badly, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from dubarr_watch.store.records import JobState
from tests.composing import Shop, make_talk, names, open_shop, states


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop whose fakes pass for the small models."""
    with open_shop(tmp_path) as opened:
        opened.specs = replace(opened.specs, embedded=True)
        yield opened


@pytest.fixture
def film(shop: Shop) -> Path:
    """A video that talks."""
    return make_talk(shop.videos / "Film.mkv")


def test_a_language_that_nobody_speaks_is_refused_before_anything_is_heard(
    shop: Shop, film: Path
) -> None:
    """The reason names the command that lists those that can be spoken."""
    ended = shop.dub(film, "ja")
    assert ended.job.state is JobState.FAILED
    assert ended.job.reason == "No voice speaks Japanese. See `dubarr-watch languages`."
    assert not shop.spy.calls
    assert names(shop.videos) == ["Film.mkv"]


def test_the_other_languages_of_its_job_are_dubbed(shop: Shop, film: Path) -> None:
    """In whatever order they were asked for."""
    ended = shop.dub(film, "tlh", "es", "ja")
    assert states(ended) == {"tlh": JobState.FAILED, "es": JobState.DONE, "ja": JobState.FAILED}
    assert ended.job.reason == (
        "Klingon: No voice speaks Klingon. See `dubarr-watch languages`. "
        "Japanese: No voice speaks Japanese. See `dubarr-watch languages`. Spanish: dubbed."
    )
    assert "Film.Dubarr.es.mka" in names(shop.videos)


def test_a_robotic_voice_is_told_in_the_log_and_in_the_report(shop: Shop, film: Path) -> None:
    """Of Polish; Spanish has a natural one."""
    with capture_logs() as logs:
        ended = shop.dub(film, "es", "pl")
    assert ended.result is not None
    told = {
        one.language.code: " ".join(one.report.summary.notes)
        for one in ended.result.languages
        if one.report
    }
    assert told["es"] == ""
    assert "robotic" in told["pl"]
    assert [log["note"] for log in logs if log["event"] == "language"] == [told["pl"]]


def test_fakes_are_told_to_be_neither_good_nor_bad(shop: Shop, film: Path) -> None:
    """MOCK_MODE speaks every language."""
    shop.specs = replace(shop.specs, embedded=False)
    assert shop.dub(film, "ja").job.state is JobState.DONE
