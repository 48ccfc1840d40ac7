"""Takes into slots."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubarr_watch.dubbing.fit_planner import GUARD_S, FitLine, plan_in_slots
from dubarr_watch.dubbing.fitting import best_first, fitting_chars, make_slots, overlong
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Span


def lines_at(*spans: tuple[float, float]) -> list[Line]:
    return [Line(n, start, end, 0, "text", n) for n, (start, end) in enumerate(spans)]


class TestSlots:
    def test_a_slot_ends_just_before_the_next_line(self) -> None:
        """A slot runs from its line's start to 50 ms before the next."""
        assert GUARD_S == 0.05
        slots = make_slots(lines_at((1, 3), (4, 5)), 6)
        assert [(slot.start_s, slot.end_s) for slot in slots] == [(1, 3.95), (4, 6)]

    def test_a_slot_goes_two_seconds_past_its_line_at_most(self) -> None:
        """A long silence after a line is not talked into."""
        slots = make_slots(lines_at((1, 2), (4.05, 5), (9, 9.5)), 60)
        assert [slot.end_s for slot in slots] == [4, 7, 11.5]

    def test_lines_close_together_leave_no_negative_slot(self) -> None:
        """A line within the guard of the next, or behind the video's end, has an empty slot."""
        slots = make_slots(lines_at((1, 1.01), (1.02, 2), (9, 9.5)), 8)
        assert [slot.duration_s for slot in slots][::2] == [0, 0]

    def test_no_lines_have_no_slots(self) -> None:
        """Nothing said, nothing to fill."""
        assert make_slots([], 10) == []

    @given(st.lists(st.floats(0.1, 9), max_size=30), st.floats(0, 300))
    def test_slots_never_overlap(self, gaps_s: list[float], end_s: float) -> None:
        """Whatever the starts, every slot ends before the next starts."""
        starts = [sum(gaps_s[: n + 1]) for n in range(len(gaps_s))]
        lines = lines_at(*((start, start + 0.1) for start in starts))
        slots = make_slots(lines, end_s)
        assert len(slots) == len(lines)
        assert all(slot.duration_s >= 0 for slot in slots)
        assert all(a.end_s <= max(b.start_s - GUARD_S, a.start_s) for a, b in pairwise(slots))


class TestRewording:
    @pytest.mark.parametrize(("take_s", "needed"), [(10.0, False), (10.04, False), (10.06, True)])
    def test_wording_comes_before_speed(self, take_s: float, needed: bool) -> None:
        """Whatever would be sped up is reworded first; half a percent is no speed."""
        assert overlong(take_s, 10) is needed
        (plan,) = plan_in_slots([FitLine(0, 10, take_s)], [Span(0, 10)], 1.25)
        assert (plan.speed > 1.0) is needed

    def test_the_wanted_length_is_in_proportion(self) -> None:
        """Thirty letters in three seconds are twenty in two; never less than a word."""
        assert fitting_chars("x" * 30, 3, 2) == 20
        assert fitting_chars("x" * 30, 3, 0.01) == 4
        assert fitting_chars("x" * 30, 0, 1) == 30


class TestBestFirst:
    """Forty letters in four seconds: ten letters a second."""

    @pytest.mark.parametrize(
        ("lengths", "slot_s", "expected"),
        [
            ((15, 30, 25), 3.0, [30, 25]),
            ((20, 30, 25), 2.6, [25, 20]),
            ((30, 35), 2.0, [30]),
            ((10, 20), 3.5, []),
            ((10, 21), 3.5, [21]),
            ((10, 15), 3.0, [15, 10]),
            ((40, 50), 2.0, []),
            ((), 2.0, []),
        ],
        ids=[
            "the longest that fits, then the next", "what is too long is left out",
            "none fits: the shortest", "too little is said: the take is sped up instead",
            "just enough is said", "else it would be cut: little said is better",
            "none is shorter", "none",
        ],
    )  # fmt: skip
    def test_the_longest_that_fits_says_most(
        self, lengths: tuple[int, ...], slot_s: float, expected: list[int]
    ) -> None:
        """Two are worth speaking at most, and one that leaves most of the slot empty is not."""
        got = best_first(["x" * n for n in lengths], "y" * 40, 4.0, slot_s, 1.25)
        assert [len(text) for text in got] == expected
