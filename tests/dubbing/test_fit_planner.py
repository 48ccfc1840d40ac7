"""The fit planner: written-down plans, and what holds for any lines."""

from __future__ import annotations

from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import tomllib
from hypothesis import given
from hypothesis import strategies as st

from dubarr_watch.dubbing.fit_planner import (
    BORROW_S,
    CLOSE_ENOUGH,
    EARLY_S,
    GUARD_S,
    KEPT_PAUSE_S,
    LATE_S,
    SLOWEST,
    FitLine,
    FitPlan,
    Why,
    plan_in_slots,
    slots_of,
)
from dubarr_watch.engines.base import Span

CASES = tomllib.loads(Path(__file__).with_name("fit_plans.toml").read_text("utf-8"))["case"]
TINY_S = 1e-6


class Limits(NamedTuple):
    video_end_s: float
    max_speedup: float


def plan_fits(lines: list[FitLine], limits: Limits) -> list[FitPlan]:
    """Return the plans of all lines in their slots."""
    return plan_in_slots(lines, slots_of(lines, limits.video_end_s), limits.max_speedup)


@pytest.mark.parametrize("case", CASES, ids=[case["says"] for case in CASES])
def test_plans_as_written_down(case: dict[str, Any]) -> None:
    """Each case of fit_plans.toml gets the plan that stands there."""
    limits = Limits(case.get("video_end_s", 60), case.get("max_speedup", 1.25))
    got = plan_fits([a_line(**line) for line in case["lines"]], limits)
    assert [shown(plan) for plan in got] == [expected(**plan) for plan in case["plans"]]


def a_line(
    line: list[float],
    predicted_s: float = 0,
    pauses: list[list[float]] | None = None,
    words: list[float] | None = None,
    lane: int = 0,
) -> FitLine:
    return FitLine(
        line[0],
        line[1],
        line[2] if len(line) > 2 else None,
        predicted_s,
        tuple(Span(*pair) for pair in pauses or []),
        tuple(words or []),
        lane,
    )


def shown(plan: FitPlan) -> dict[str, Any]:
    cuts = [[round(cut.start_s, 4), round(cut.end_s, 4)] for cut in plan.cuts]
    heard = [round(plan.start_s, 4), round(plan.duration_s, 4), plan.speed]
    wanted_s = None if plan.wanted_s is None else round(plan.wanted_s, 4)
    return expected(heard, [*plan.why], wanted_s, cuts, plan.trimmed)


def expected(
    plan: list[float],
    why: list[str],
    wanted_s: float | None = None,
    cuts: list[list[float]] | None = None,
    trimmed: bool = False,
) -> dict[str, Any]:
    return {
        "plan": plan,
        "why": why,
        "wanted_s": wanted_s,
        "cuts": cuts or [],
        "trimmed": trimmed,
    }


@st.composite
def films(draw: st.DrawFn, lanes: int = 1) -> tuple[list[FitLine], Limits]:
    """Lines of a film in order of start, those on one lane not overlapping."""
    lines: list[FitLine] = []
    for lane in range(lanes):
        start_s = 0.0
        for _ in range(draw(st.integers(0, 12 // lanes))):
            start_s += draw(st.floats(0, 4))
            length_s = draw(st.floats(0.1, 8))
            lines.append(draw(lines_with_takes(start_s, start_s + length_s, lane)))
            start_s += length_s
    lines.sort(key=lambda line: line.start_s)
    return lines, Limits(draw(st.floats(0.1, 60)), draw(st.floats(1, 2)))


@st.composite
def lines_with_takes(draw: st.DrawFn, start_s: float, end_s: float, lane: int) -> FitLine:
    take_s = draw(st.floats(0, 20))
    edges = sorted(draw(st.lists(st.floats(0, take_s), max_size=6, unique=True)))
    pauses = tuple(Span(a, b) for a, b in zip(edges[::2], edges[1::2], strict=False))
    words = tuple(sorted(draw(st.lists(st.floats(0, take_s), max_size=5))))
    return FitLine(start_s, end_s, take_s, 0.0, pauses, words, lane)


class TestAlways:
    @given(films(lanes=3))
    def test_only_what_overlapped_overlaps(self, film: tuple[list[FitLine], Limits]) -> None:
        """Two takes are heard together only while their originals were, on different lanes."""
        lines, limits = film
        heard = [
            (line, plan)
            for line, plan in zip(lines, plan_fits(lines, limits), strict=True)
            if plan.duration_s > 0
        ]
        for n, (line, plan) in enumerate(heard):
            for later, after in heard[n + 1 :]:
                if line.lane == later.lane or later.start_s >= line.end_s:
                    assert plan.end_s <= after.start_s - GUARD_S + TINY_S
                    continue
                from_s, until_s = max(plan.start_s, after.start_s), min(plan.end_s, after.end_s)
                if until_s > from_s + TINY_S:
                    assert from_s >= later.start_s - TINY_S
                    assert until_s <= min(line.end_s, later.end_s) + TINY_S

    @given(films(lanes=3))
    def test_who_talked_at_the_same_time_still_does(
        self, film: tuple[list[FitLine], Limits]
    ) -> None:
        """Takes exactly as long as their originals, and nothing else near: the same overlaps."""
        lines = [FitLine(x.start_s, x.end_s, x.end_s - x.start_s, lane=x.lane) for x in film[0]]
        plans = plan_fits(lines, Limits(100, 1.25))
        for line, plan in zip(lines, plans, strict=True):
            near = [
                other for other in lines
                if other is not line
                and line.start_s <= other.start_s < line.end_s + 2 * GUARD_S
                and (other.lane == line.lane or other.start_s >= line.end_s)
            ]  # fmt: skip
            if not near:
                assert (plan.start_s, plan.speed) == (line.start_s, 1.0)
                assert plan.end_s == pytest.approx(line.end_s)

    @given(films(lanes=2))
    def test_no_limit_is_passed(self, film: tuple[list[FitLine], Limits]) -> None:
        """Not MAX_SPEEDUP, not the slowest speed, not the video's start or end."""
        lines, limits = film
        for line, plan in zip(lines, plan_fits(lines, limits), strict=True):
            assert SLOWEST <= plan.speed <= limits.max_speedup
            if plan.duration_s > 0:
                assert plan.start_s >= 0
                assert plan.end_s <= limits.video_end_s + TINY_S
                assert plan.end_s <= line.end_s + BORROW_S + TINY_S

    @given(films(lanes=2))
    def test_every_start_is_anchored(self, film: tuple[list[FitLine], Limits]) -> None:
        """Each starts within the tolerance around the original's start, and says why."""
        lines, limits = film
        for line, plan in zip(lines, plan_fits(lines, limits), strict=True):
            moved_s = plan.start_s - line.start_s
            assert -EARLY_S - TINY_S <= moved_s <= LATE_S + TINY_S
            assert plan.why or moved_s == 0

    @given(films(lanes=2))
    def test_everything_that_deviates_says_why(self, film: tuple[list[FitLine], Limits]) -> None:
        """Each of a start, an end, a speed, a cut and a lost end that is not the plain one."""
        lines, limits = film
        for line, plan in zip(lines, plan_fits(lines, limits), strict=True):
            assert (plan.start_s < line.start_s) == (Why.EARLY in plan.why)
            assert plan.start_s <= line.start_s or Why.CENTRED in plan.why
            assert plan.end_s <= line.end_s + TINY_S or Why.BORROWED in plan.why
            assert (plan.speed > 1) == bool({Why.FASTER, Why.HURRIED} & {*plan.why})
            assert (plan.speed > 1.15) == (Why.HURRIED in plan.why)
            assert plan.speed >= 1 or Why.SLOWED in plan.why
            assert bool(plan.cuts) == (Why.PAUSES in plan.why)
            assert plan.trimmed == bool({Why.CUT, Why.CUT_INSIDE} & {*plan.why})

    @given(films())
    def test_starts_stay_in_order(self, film: tuple[list[FitLine], Limits]) -> None:
        """No take is moved past the one after it."""
        lines, limits = film
        heard = [plan for plan in plan_fits(lines, limits) if plan.duration_s > 0]
        assert all(a.start_s < b.start_s for a, b in pairwise(heard))

    @given(films())
    def test_nothing_is_lost_unflagged(self, film: tuple[list[FitLine], Limits]) -> None:
        """What is heard is the take, without its cuts, at its speed; or it is flagged."""
        lines, limits = film
        for line, plan in zip(lines, plan_fits(lines, limits), strict=True):
            whole_s = (line.length_s - plan.cut_s) / plan.speed
            assert plan.duration_s <= whole_s + TINY_S
            if plan.duration_s > 0 and not plan.trimmed:
                assert whole_s <= plan.duration_s * (CLOSE_ENOUGH + 0.001)
            assert plan.trimmed <= (plan.speed == limits.max_speedup)

    @given(films())
    def test_cuts_stay_inside_pauses(self, film: tuple[list[FitLine], Limits]) -> None:
        """Each cut leaves enough of its pause to be heard as one."""
        lines, limits = film
        for line, plan in zip(lines, plan_fits(lines, limits), strict=True):
            for cut in plan.cuts:
                (own,) = [p for p in line.pauses if p.start_s < cut.start_s < p.end_s]
                assert own.start_s < cut.start_s <= cut.end_s < own.end_s
                assert own.duration_s - cut.duration_s >= KEPT_PAUSE_S - TINY_S

    @given(st.lists(st.floats(0.1, 12), min_size=2, max_size=8), st.floats(0.2, 6))
    def test_a_longer_take_is_never_spoken_slower(self, takes: list[float], slot_s: float) -> None:
        """Speed only grows with length, and so does what is asked of another wording."""
        plans = [
            plan_fits([FitLine(0, slot_s, take_s)], Limits(slot_s, 1.25))[0]
            for take_s in sorted(takes)
        ]
        assert all(a.speed <= b.speed for a, b in pairwise(plans))
        assert all((a.wanted_s is not None) <= (b.wanted_s is not None) for a, b in pairwise(plans))

    @given(films(), st.floats(0.1, 20))
    def test_one_take_never_moves_later_ones(
        self, film: tuple[list[FitLine], Limits], take_s: float
    ) -> None:
        """However long the first take is, the others start where they did, to the tolerance."""
        lines, limits = film
        if not lines:
            return
        changed = [FitLine(lines[0].start_s, lines[0].end_s, take_s), *lines[1:]]
        both = zip(plan_fits(lines, limits)[1:], plan_fits(changed, limits)[1:], strict=True)
        assert all(abs(a.start_s - b.start_s) <= EARLY_S + TINY_S for a, b in both)


def test_slots_of_equal_starts_are_empty_but_the_last() -> None:
    """Lines of one lane that start together leave room for one of them."""
    starts = list(accumulate([1.0, 0.0, 0.0]))
    slots = slots_of([FitLine(start_s, start_s + 1, 1) for start_s in starts], 10)
    assert [slot.duration_s > 0 for slot in slots] == [False, False, True]
