"""Takes into slots."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubarr_watch.dubbing.fitting import (
    GUARD_S,
    Fit,
    fit,
    fitting_chars,
    make_slots,
    overlong,
)
from dubarr_watch.dubbing.transcript import Line

SECONDS = st.floats(0.1, 60)


def lines_at(*spans: tuple[float, float]) -> list[Line]:
    return [Line(n, start, end, 0, "text", n) for n, (start, end) in enumerate(spans)]


class TestSlots:
    def test_a_slot_ends_just_before_the_next_line(self) -> None:
        """A slot runs from its line's start to 50 ms before the next; the last to the end."""
        assert GUARD_S == 0.05
        slots = make_slots(lines_at((1, 2), (4, 5)), 10)
        assert [(slot.start_s, slot.end_s) for slot in slots] == [(1, 3.95), (4, 10)]

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


class TestFit:
    @pytest.mark.parametrize(
        ("take_s", "expected"),
        [
            (3.0, Fit(1.0, 3.0, trimmed=False)),
            (10.0, Fit(1.0, 10.0, trimmed=False)),
            (10.049, Fit(1.0, 10.0, trimmed=False)),
            (10.06, Fit(1.006, 10.0, trimmed=False)),
            (12.5, Fit(1.25, 10.0, trimmed=False)),
            (12.51, Fit(1.25, 10.0, trimmed=True)),
        ],
        ids=["short", "exact", "half a percent", "more", "the limit", "above the limit"],
    )
    def test_the_gentlest_change_is_chosen(self, take_s: float, expected: Fit) -> None:
        """Nothing, then speed, then a cut: in a slot of ten seconds with a limit of 1.25."""
        assert fit(take_s, 10, 1.25) == expected

    def test_rounding_never_passes_the_limit(self) -> None:
        """A take exactly at a limit with many decimals is spoken at the limit, not above."""
        assert fit(12.3456, 10, 1.23456).speed == 1.23456

    @given(SECONDS, SECONDS, st.floats(1, 2))
    def test_no_take_is_longer_than_its_slot_or_faster_than_allowed(
        self, take_s: float, slot_s: float, max_speedup: float
    ) -> None:
        """Both limits hold for every length, and only a cut loses more than half a percent."""
        got = fit(take_s, slot_s, max_speedup)
        assert got.duration_s <= slot_s
        assert 1.0 <= got.speed <= max_speedup
        assert got.trimmed == (take_s > slot_s * 1.005 and take_s > slot_s * max_speedup)
        if not got.trimmed:
            assert take_s / got.speed - got.duration_s <= 0.0051 * slot_s


class TestRewording:
    @pytest.mark.parametrize(("take_s", "needed"), [(10.0, False), (10.04, False), (10.06, True)])
    def test_wording_comes_before_speed(self, take_s: float, needed: bool) -> None:
        """Whatever would be sped up is reworded first; half a percent is no speed."""
        assert overlong(take_s, 10) is needed
        assert (fit(take_s, 10, 1.25).speed > 1.0) is needed

    def test_the_wanted_length_is_in_proportion(self) -> None:
        """Thirty letters in three seconds are twenty in two; never less than a word."""
        assert fitting_chars("x" * 30, 3, 2) == 20
        assert fitting_chars("x" * 30, 3, 0.01) == 4
        assert fitting_chars("x" * 30, 0, 1) == 30
