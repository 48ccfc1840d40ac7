"""Lines that are made anew, over the end of the program that was asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import pytest

from dubarr_watch.errors import DubarrError, JobCancelled
from dubarr_watch.store.redos import RedoRecord
from dubarr_watch.web.desk.jobs import MOST_ATTEMPTS
from dubarr_watch.web.desk.tasks import Task
from tests.composing import make_talk
from tests.waiting import eventually
from tests.web.sites import Site, Told, open_site


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def site(tmp_path: Path, told: Told) -> Iterator[Site]:
    with open_site(tmp_path, told) as made:
        made.shop.dub(make_talk(made.shop.videos / "Film.mkv"), "es")
        yield made


def ended(site: Site) -> Task:
    """Return the last task once it has ended."""
    eventually(lambda: site.desk.tasks.all()[0].finished_at)
    return site.desk.tasks.all()[0]


def asked(site: Site, text: str | None = "Otra vez.") -> Task:
    return site.desk.jobs.redo(1, "es", 0, text)


def raising(error: BaseException) -> Callable[..., object]:
    def redo(*values: object) -> object:
        raise error

    return redo


def test_one_that_was_made_is_not_made_again(site: Site) -> None:
    asked(site)
    assert ended(site).state == "done"
    assert site.shop.store.redos.open() == []
    site.desk.jobs.resume()
    assert len(site.desk.tasks.all()) == 1


def test_one_that_cannot_be_made_is_told_and_not_tried_again(site: Site, told: Told) -> None:
    told.redo = raising(DubarrError("No voice."))
    asked(site)
    assert ended(site).error == "No voice."
    assert site.shop.store.redos.open() == []


def test_one_that_ended_with_the_program_is_made_after_the_next_start(
    site: Site, told: Told
) -> None:
    """As often as the program is asked to stop; and the page says that it will be."""
    redos = site.shop.store.redos
    told.redo = raising(JobCancelled("The program stops."))
    asked(site)
    assert ended(site).hint == "It is made when the program runs again."
    for _ in range(MOST_ATTEMPTS + 1):
        assert redos.open() == [RedoRecord(1, "es", 0, "Otra vez.", 0)]
        site.desk.jobs.resume()
        ended(site)
    spoken = list[object]()
    told.redo = lambda job, language, line, text, report: spoken.append((job.id, line, text))
    site.desk.jobs.resume()
    assert ended(site).state == "done"
    assert spoken == [(1, 0, "Otra vez.")]
    assert redos.open() == []


def test_one_that_ends_the_program_each_time_is_given_up_with_the_reason(
    site: Site, told: Told
) -> None:
    spoken = list[object]()
    told.redo = lambda *values: spoken.append(values)
    redos = site.shop.store.redos
    for attempts, state in ((MOST_ATTEMPTS - 1, "done"), (MOST_ATTEMPTS, "failed")):
        redos.ask(1, "es", 0, None)
        for _ in range(attempts):
            redos.begin(1, "es", 0)
        site.desk.jobs.resume()
        task = ended(site)
        assert task.state == state
        assert redos.open() == []
    assert len(spoken) == 1
    assert task.error == f"The program ended {MOST_ATTEMPTS} times while it made this line."


def test_one_of_a_job_of_which_nothing_is_kept_here_is_left(site: Site) -> None:
    """It may be another machine's."""
    site.shop.store.redos.ask(1, "es", 0, None)
    shutil.rmtree(site.shop.work(site.shop.store.jobs.get(1)))
    site.desk.jobs.resume()
    assert site.desk.tasks.all() == []
    assert len(site.shop.store.redos.open()) == 1


def test_one_that_is_refused_is_not_kept(site: Site, told: Told) -> None:
    with held(told) as go_on:
        asked(site, "Primera.")
        answer = site.client.post("/api/v1/jobs/1/lines/0/redo", json={"language": "es"})
        assert answer.status_code == 409
        assert [one.text for one in site.shop.store.redos.open()] == ["Primera."]
        go_on()
        assert ended(site).state == "done"


@contextmanager
def held(told: Told) -> Iterator[Callable[[], None]]:
    """Let lines wait, until what is given is called."""
    go_on = Event()
    told.redo = lambda *values: go_on.wait(60)
    try:
        yield go_on.set
    finally:
        go_on.set()
