"""Languages that the chosen voice does not speak: refused when they are asked for."""

from __future__ import annotations

from dubarr_watch.languages import Language
from dubarr_watch.store.records import JobState
from tests.library.conftest import House, film
from tests.waiting import eventually

REASON = "The voice does not speak Welsh. It speaks Spanish."


def refusal(language: Language) -> str:
    return REASON if language.code == "cy" else ""


def test_a_marker_is_answered_at_once_with_the_list(house: House) -> None:
    """Nobody waits for an hour of listening to be told so."""
    house.start(refusal=refusal)
    video = house.root / "Film.mkv"
    (house.root / "Film.mkv.dub").write_text("cy\n")
    video.write_bytes(film())
    job = house.job(video, JobState.FAILED)
    assert job.reason == REASON
    failed = house.root / "Film.mkv.dub.failed"
    eventually(lambda: failed.exists() and REASON in failed.read_text(), "the answer")
    house.pass_scans()
    assert len(house.jobs()) == 1


def test_the_other_languages_are_dubbed_and_the_marker_tells_what_was_not(house: House) -> None:
    """One that cannot be had does not keep the others."""
    house.start(refusal=refusal)
    video = house.root / "Film.mkv"
    (house.root / "Film.mkv.dub").write_text("es, cy\n")
    video.write_bytes(film())
    job = house.job(video)
    assert job.languages == ("es",)
    house.finish(job)
    failed = house.root / "Film.mkv.dub.failed"
    eventually(lambda: failed.exists() and REASON in failed.read_text(), "the answer")
    house.pass_scans()
    assert [one.languages for one in house.jobs()] == [("cy",), ("es",)]


def test_what_nobody_asked_for_by_name_is_passed_over(house: House) -> None:
    """TARGET_LANGS of a voice that does not speak them fail no video."""
    house.start(refusal=lambda language: f"No voice speaks {language.name}.")
    video = house.root / "Film.mkv"
    video.write_bytes(film())
    job = house.job(video, JobState.SKIPPED)
    assert job.reason.startswith("No voice speaks ")
    house.pass_scans()
    assert len(house.jobs()) == 1
