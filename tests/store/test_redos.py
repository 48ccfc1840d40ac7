"""Lines that are to be made anew, kept."""

from __future__ import annotations

from dubarr_watch.store import Store
from dubarr_watch.store.redos import RedoRecord
from tests.store.conftest import a_job


def test_a_line_is_kept_until_it_is_settled(store: Store) -> None:
    """What was asked last counts; attempts are counted until it is given back."""
    job = a_job(store).id
    redos = store.redos
    redos.ask(job, "es", 3, "Hola.")
    redos.ask(job, "es", 1, None)
    redos.begin(job, "es", 3)
    redos.begin(job, "es", 1)
    redos.begin(job, "es", 1)
    assert redos.open() == [RedoRecord(job, "es", 1, None, 2), RedoRecord(job, "es", 3, "Hola.", 1)]
    redos.ask(job, "es", 3, "Buenas.")
    redos.give_back(job, "es", 1)
    assert redos.open() == [
        RedoRecord(job, "es", 1, None, 0), RedoRecord(job, "es", 3, "Buenas.", 0),
    ]  # fmt: skip
    redos.settle(job, "es", 1)
    redos.settle(job, "fr", 3)
    assert [one.line for one in redos.open()] == [3]


def test_lines_of_a_job_that_is_forgotten_are_forgotten_with_it(store: Store) -> None:
    job = a_job(store).id
    store.redos.ask(job, "es", 3, None)
    store.jobs.cancel(job)
    store.jobs.forget(job)
    assert store.redos.open() == []
