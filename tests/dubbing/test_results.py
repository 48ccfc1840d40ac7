"""How the languages of a job add up."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.dubbing.results import LanguageResult, PublishedTrack, job_result
from dubarr_watch.languages import parse_language
from dubarr_watch.store.records import JobState

DONE, WARNED, FAILED, SKIPPED = (
    JobState.DONE,
    JobState.DONE_WITH_WARNINGS,
    JobState.FAILED,
    JobState.SKIPPED,
)


def result(code: str, state: JobState, reason: str = "") -> LanguageResult:
    return LanguageResult(parse_language(code), state, reason)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([DONE], DONE),
        ([DONE, WARNED], WARNED),
        ([FAILED, DONE, WARNED], FAILED),
        ([SKIPPED, DONE], DONE),
        ([SKIPPED, SKIPPED], SKIPPED),
    ],
)
def test_the_worst_language_is_the_state_of_the_job(
    states: list[JobState], expected: JobState
) -> None:
    """A language that was not needed spoils nothing; one that failed does."""
    results = [result(code, state) for code, state in zip(("es", "fr", "it"), states, strict=False)]
    assert job_result(results).state is expected


def test_a_reason_of_all_is_told_once() -> None:
    """No speech in three languages is one sentence."""
    results = [result(code, DONE, "No speech found.") for code in ("es", "fr")]
    assert job_result(results).reason == "No speech found."


def test_different_reasons_name_their_languages() -> None:
    """Who reads it knows which language is meant."""
    results = [
        result("es", FAILED, "No voice."),
        result("fr", DONE),
        result("it", FAILED, "No voice."),
        result("pl", SKIPPED, "Is there"),
    ]
    assert job_result(results).reason == "Spanish, Italian: No voice. Polish: Is there."


def test_one_reason_of_several_names_its_language() -> None:
    """A reason that holds for one language alone is not told of all."""
    results = [result("es", FAILED, "No voice."), result("fr", DONE)]
    assert job_result(results).reason == "Spanish: No voice."


def test_a_failure_names_what_went_well_beside_it(tmp_path: Path) -> None:
    spanish = parse_language("es")
    track = PublishedTrack(spanish, tmp_path / "Film.Dubarr.es.mka", "sidecar")
    done = LanguageResult(spanish, DONE, tracks=(track,))
    told = job_result([done, result("fr", FAILED, "No voice.")])
    assert told.state is FAILED
    assert told.reason == "French: No voice. Spanish: dubbed."


def test_all_is_well_needs_no_words() -> None:
    """A finished job has an empty reason and keeps its languages in order."""
    got = job_result([result("fr", DONE), result("es", DONE)])
    assert got.reason == ""
    assert [language.language.code for language in got.languages] == ["fr", "es"]
