"""The order of the queue as a person changes it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubarr_watch.errors import IllegalTransition, NotInStore
from dubarr_watch.store import Store
from dubarr_watch.store.records import JobOptions, Priority
from tests.store.conftest import a_video


@pytest.fixture
def jobs(store: Store) -> list[int]:
    """Four queued jobs, the first of high priority."""
    ranks = (Priority.HIGH, Priority.NORMAL, Priority.NORMAL, Priority.NORMAL)
    return [
        store.jobs.enqueue(a_video(store, f"{n}.mkv").id, ["es"], JobOptions(priority=rank)).id
        for n, rank in enumerate(ranks)
    ]


def order(store: Store) -> list[int]:
    return [job.id for job in store.jobs.queue()]


def test_a_job_is_moved_before_another_and_started_so(store: Store, jobs: list[int]) -> None:
    first, second, third, fourth = jobs
    store.jobs.move(fourth, before=second)
    assert order(store) == [first, fourth, second, third]
    started = [store.jobs.claim("me") for _ in jobs]
    assert [job.id for job in started if job] == [first, fourth, second, third]


def test_who_is_moved_takes_the_priority_of_the_place(store: Store, jobs: list[int]) -> None:
    first, second, third, fourth = jobs
    store.jobs.move(third, before=first)
    assert order(store) == [third, first, second, fourth]
    assert store.jobs.get(third).options.priority is Priority.HIGH
    store.jobs.move(first, before=None)
    assert order(store) == [third, second, fourth, first]
    assert store.jobs.get(first).options.priority is Priority.NORMAL


def test_one_step_up_and_down(store: Store, jobs: list[int]) -> None:
    first, second, third, fourth = jobs
    store.jobs.step(fourth, -1)
    assert order(store) == [first, second, fourth, third]
    store.jobs.step(second, 1)
    assert order(store) == [first, fourth, second, third]
    store.jobs.step(first, -1)
    store.jobs.step(third, 1)
    assert order(store) == [first, fourth, second, third]


def test_a_new_job_comes_behind_those_that_were_moved(store: Store, jobs: list[int]) -> None:
    store.jobs.move(jobs[3], before=jobs[1])
    new = store.jobs.enqueue(a_video(store, "new.mkv").id, ["es"], JobOptions()).id
    assert order(store)[-1] == new


def test_only_queued_jobs_have_an_order(store: Store, jobs: list[int]) -> None:
    store.jobs.claim_job(jobs[1], "me")
    for moved, before in ((jobs[1], jobs[2]), (jobs[2], jobs[1])):
        with pytest.raises(IllegalTransition, match="not queued"):
            store.jobs.move(moved, before)
    with pytest.raises(NotInStore):
        store.jobs.step(999, 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), max_size=12))
@settings(max_examples=25, deadline=None)
def test_any_moves_leave_the_order_that_was_asked_for(
    tmp_path_factory: pytest.TempPathFactory, moves: list[tuple[int, int]]
) -> None:
    with Store.open(tmp_path_factory.mktemp("order") / "dubarr.db") as store:
        ids = [
            store.jobs.enqueue(
                a_video(store, f"{n}.mkv").id, ["es"], JobOptions(priority=list(Priority)[n % 3])
            ).id
            for n in range(6)
        ]
        expected = order(store)
        assert sorted(expected) == sorted(ids)
        for which, to in moves:
            moved = ids[which]
            expected.remove(moved)
            before = expected[to] if to < len(expected) else None
            expected.insert(to, moved)
            store.jobs.move(moved, before)
            assert order(store) == expected
