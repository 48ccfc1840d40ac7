"""Asking for a video otherwise than by a marker beside it: by a webhook or the API."""

from __future__ import annotations

from dubarr_watch.library.intake import Library
from dubarr_watch.store.records import JobOptions, JobState, Priority
from tests.library.conftest import House, film
from tests.waiting import eventually


def test_a_video_that_nobody_wanted_is_queued_when_it_is_asked_for(house: House) -> None:
    """One that was there before the first start, at once and in the languages asked for."""
    old = house.root / "Old.mkv"
    old.write_bytes(film())
    library = house.start()
    assert house.jobs() == []
    request = library.ask(old, ["de", "fr"], JobOptions(mode="mux"))
    job = house.job(old)
    assert (job.languages, job.options.mode, job.request_id) == (("de", "fr"), "mux", request.id)


def test_a_video_that_is_done_is_queued_for_another_language(house: House) -> None:
    library = house.start()
    new = house.root / "New.mkv"
    new.write_bytes(film())
    house.finish(house.job(new))
    library.ask(new, ["de"], JobOptions())
    assert house.job(new).languages == ("de",)


def test_a_request_waits_for_a_video_that_has_not_come(house: House) -> None:
    """Across a restart too; what is asked for replaces what every new video gets."""
    coming = house.root / "Coming.mkv"
    house.start().ask(coming, ["de"], JobOptions(priority=Priority.HIGH))
    house.stop()
    library = house.start()
    house.pass_scans()
    assert house.jobs() == []
    coming.write_bytes(film())
    library.look_at(coming)
    job = house.job(coming)
    assert (job.languages, job.options.priority) == (("de",), Priority.HIGH)
    house.finish(job)
    eventually(lambda: not house.store.requests.all_open(), "request answered")


def test_the_same_asked_for_twice_is_one_job(house: House) -> None:
    def ask(library: Library) -> int:
        return library.ask(house.root / "Film.mkv", ["de"], JobOptions()).id

    library = house.start()
    (house.root / "Film.mkv").write_bytes(film())
    assert ask(library) == ask(library)
    house.job(house.root / "Film.mkv")
    assert ask(library) == 1
    house.pass_scans()
    assert [job.state for job in house.jobs()] == [JobState.QUEUED]
