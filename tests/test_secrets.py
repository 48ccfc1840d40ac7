"""Secrets do not get out of the program by way of a job, whatever an error quotes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from dubarr_watch.cli.status import status_document
from dubarr_watch.errors import CannotDub, DubarrError, EngineCrashed
from dubarr_watch.store.records import JobState
from tests.composing import Call, Shop, make_talk, open_shop
from tests.secrets_search import KINDS, OWN, search
from tests.secrets_search import NAMES as SECRETS

KEY = "sk-very-secret-key"
TOKEN = "tokentokentoken"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """A shop with a key and a notification service."""
    with open_shop(
        tmp_path,
        openai_api_key=SecretStr(KEY),
        notify_urls=SecretStr(f"json://127.0.0.1:9/{TOKEN}"),
    ) as opened:
        yield opened


@pytest.mark.parametrize(
    ("error", "attempts", "state"),
    [
        (ZeroDivisionError(f"at {KEY}"), 1, JobState.FAILED),
        (CannotDub(f"Refused {KEY}.", hint=f"Not {TOKEN}."), 1, JobState.FAILED),
        (EngineCrashed(f"It died with {KEY}.", hint=TOKEN), 3, JobState.QUEUED),
        (EngineCrashed(f"It died with {KEY}.", hint=TOKEN), 1, JobState.FAILED),
    ],
)
@pytest.mark.parametrize("where", ["transcribe", "synthesize"])
def test_an_error_that_quotes_a_secret_is_told_without_it(
    shop: Shop, where: str, error: Exception, attempts: int, state: JobState
) -> None:
    """In the database, in status, in reports, in a message and in what `dub` shows."""
    shop.set(max_attempts=attempts)

    def fail(call: Call) -> None:
        if call.method == where:
            raise error

    shop.spy.before = fail
    ended = shop.dub(make_talk(shop.videos / "Film.mkv"), "es")
    assert ended.job.state is state
    assert "***" in ended.job.reason
    told = [str(ended.error), json.dumps(status_document(shop.settings))]
    told += [file.read_text() for file in shop.settings.reports_dir.iterdir()]
    told += [one.reason for one in shop.store.jobs.results(ended.job.id)]
    assert ended.error is None or isinstance(ended.error, DubarrError)
    for text in [ended.job.reason, *told]:
        assert KEY not in text
        assert TOKEN not in text


def test_no_secret_is_anywhere_after_a_job_with_all_of_them_set(tmp_path: Path) -> None:
    """Neither in the log at `debug`, nor in any file, answer, argument or child's environment."""
    hunt = search(tmp_path)
    assert {name.upper() for name in SECRETS} >= {"API_PASS", "NOTIFY_URLS", "OPENAI_API_KEY"}
    assert hunt.found == []
    assert hunt.strangers == [], "they listen for this machine alone"
    assert {*OWN} <= {*hunt.secrets}, "their tokens were seen"
    assert {*KINDS} <= {*hunt.kinds}, hunt.kinds
    assert hunt.asked > 2, "neighbours were told secrets, so that there were some to lose"
