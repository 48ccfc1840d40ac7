"""A file has settled when it has not changed for long enough."""

from __future__ import annotations

from pathlib import Path

from dubarr_watch.library.stability import StabilityTracker

A, B = Path("/a"), Path("/b")


def test_a_file_is_stable_after_the_settling_time_and_not_before() -> None:
    tracker = StabilityTracker(10)
    tracker.seen(A, 1, 1, now_s=100)
    assert not tracker.is_stable(A, 109.9)
    assert tracker.is_stable(A, 110)
    assert tracker.next_look_s() == 110


def test_each_change_of_size_or_time_starts_the_wait_anew() -> None:
    tracker = StabilityTracker(10)
    tracker.seen(A, 1, 1, now_s=0)
    tracker.seen(A, 2, 1, now_s=9)
    tracker.seen(A, 2, 1, now_s=15)  # unchanged
    assert not tracker.is_stable(A, 18.9)
    tracker.seen(A, 2, 2, now_s=18.9)
    assert not tracker.is_stable(A, 28)
    assert tracker.is_stable(A, 28.9)
    assert tracker.unchanged_for_s(A, 30.9) == 12


def test_a_file_is_never_given_up_however_slowly_it_grows() -> None:
    tracker = StabilityTracker(10)
    for step in range(10_000):
        tracker.seen(A, step, step, now_s=step * 9.0)
        assert not tracker.is_stable(A, step * 9.0 + 8.9)
    assert A in tracker


def test_due_files_come_longest_unchanged_first() -> None:
    tracker = StabilityTracker(10)
    tracker.seen(B, 1, 1, now_s=1)
    tracker.seen(A, 1, 1, now_s=0)
    assert tracker.due(9.9) == []
    assert tracker.due(10.5) == [A]
    assert tracker.due(11) == [A, B]


def test_a_postponed_file_is_looked_at_later_and_sooner_when_it_changes() -> None:
    tracker = StabilityTracker(10)
    tracker.seen(A, 1, 1, now_s=0)
    tracker.postpone(A, 60)
    assert tracker.due(59) == []
    tracker.seen(A, 1, 1, now_s=20)
    assert tracker.next_look_s() == 60
    tracker.seen(A, 2, 1, now_s=30)
    assert tracker.next_look_s() == 40


def test_a_file_known_to_be_settled_is_due_at_once() -> None:
    tracker = StabilityTracker(10)
    tracker.seen_settled(A, 1, 1, now_s=5)
    assert tracker.due(5) == [A]
    assert tracker.is_stable(A, 5)


def test_forgotten_files_are_followed_no_more() -> None:
    tracker = StabilityTracker(10)
    tracker.seen(A, 1, 1, now_s=0)
    tracker.forget(A)
    tracker.forget(A)
    tracker.postpone(A, 5)
    assert (len(tracker), tracker.next_look_s(), tracker.is_stable(A, 99)) == (0, None, False)
