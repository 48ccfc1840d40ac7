"""The quality report."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.dubbing.fitting import Fit, Outcome, Take
from dubarr_watch.dubbing.levels import Loudness
from dubarr_watch.dubbing.report import (
    Costs,
    LineReport,
    Report,
    Summary,
    count_overlaps,
    intersection_over_union,
    line_reports,
    report_path,
    summarize,
)
from dubarr_watch.dubbing.speaking import FittedTake, Part
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Gender, Span, Voice

VOICE = Voice("anna", "es", Gender.FEMALE, "fake", 1.0)
LINE = LineReport(0, 1.0, 2.0, 1.0, 3.0, 2.0, 1.0, 1, 0, "Hello.", "Hola.", "ok")
WHY = ("gap borrowed", "sped up")
COSTS = Costs({"extract": 2.0, "synthesize": 28.004}, 60, 900)


def summary_of(*lines: LineReport) -> Summary:
    loudness = Loudness(-23.1, -1.9)
    return summarize(lines, original=[], dub=[], loudness=loudness, costs=COSTS)


def test_the_names_are_the_public_ones() -> None:
    """Changing one of these names breaks those who read reports."""
    report = Report(1, "Film.mkv", "es", "done", [LINE], summary_of(LINE)).as_dict()
    assert list(report) == ["job", "video", "language", "state", "lines", "summary"]
    found = json.loads(json.dumps(report))
    assert list(found["lines"][0]) == [
        "index", "start_s", "end_s", "placed_s", "slot_s", "take_s", "speed", "attempts",
        "speaker", "source_text", "text", "outcome", "wer", "heard", "similarity", "check", "why",
    ]  # fmt: skip
    assert list(found["summary"]) == [
        "lines", "within_slot", "speed_p50", "speed_p95", "speed_max", "overlaps", "speech_iou",
        "loudness_lufs", "true_peak_dbtp", "speakers", "stage_seconds", "real_time_factor",
        "peak_rss_mib", "notes", "llm", "speech_chars", "wer_median", "lines_to_check",
        "starts_within", "takes_per_line", "depth_lu", "overlaps_kept",
        "speakers_sure", "speakers_told", "cast",
    ]  # fmt: skip
    assert {str(outcome) for outcome in Outcome} == {
        "ok", "retried", "fallback_voice", "trimmed", "silent", "misspoken", "song",
    }  # fmt: skip


def test_a_line_says_what_was_done_to_it() -> None:
    """The original's span, the take's place, its length after fitting and its wording."""
    line = Line(4, 1.0, 2.5, 1, "Hello there.", 4)
    take = Take(4, Path("4.wav"), "Hola.", "anna", 2.2, 2, Outcome.RETRIED)
    parts = [Part(line, "Hola a todos.", Span(1.0, 3.0), VOICE)] * 2
    fitted = [
        FittedTake(take, Path("4-fit.wav"), 1.0, Fit(1.1, 2.0, False, 0.0, WHY), Outcome.RETRIED),
        FittedTake(None, None, 1.0, Fit(1.0, 0.0, trimmed=False), Outcome.SILENT),
    ]
    said, silent = line_reports(parts, fitted)
    assert said == LineReport(
        4, 1.0, 2.5, 1.0, 2.0, 2.0, 1.1, 2, 1, "Hello there.", "Hola.", "retried", why=[*WHY]
    )
    assert (silent.take_s, silent.attempts, silent.outcome) == (0.0, 0, "silent")
    assert silent.text == "Hola a todos."


class TestFigures:
    def test_percentiles_are_those_of_the_heard_takes(self) -> None:
        """Speeds 1.0, 1.0, 1.1, 1.2: by hand 1.05, 1.185 and 1.2; a silent line has none."""
        lines = [replace(LINE, speed=speed) for speed in (1.2, 1.0, 1.1, 1.0)]
        got = summary_of(*lines, replace(LINE, speed=9, outcome="silent"))
        assert (got.speed_p50, got.speed_p95, got.speed_max) == (1.05, 1.185, 1.2)

    def test_cut_and_silent_lines_are_not_within_their_slot(self) -> None:
        """Of four lines two are spoken whole: half of them are within."""
        lines = [
            LINE, replace(LINE, take_s=3.05), replace(LINE, take_s=3.0, outcome="trimmed"),
            replace(LINE, outcome="silent"),
        ]  # fmt: skip
        assert summary_of(*lines).within_slot == 0.5

    @pytest.mark.parametrize(("take_s", "share"), [(3.05, 1.0), (3.051, 0.0)])
    def test_fifty_milliseconds_over_the_slot_are_within(self, take_s: float, share: float) -> None:
        """The share counts a take up to 50 ms longer than its slot."""
        assert summary_of(replace(LINE, take_s=take_s)).within_slot == share

    def test_the_real_time_factor_is_all_stages_by_the_length(self) -> None:
        """Thirty seconds of work for a minute of film are 0.5."""
        got = summary_of(LINE)
        assert got.real_time_factor == 0.5
        assert got.stage_seconds == {"extract": 2.0, "synthesize": 28.0}

    def test_no_lines_are_no_failure(self) -> None:
        """A film in which nobody speaks has a report too."""
        got = summary_of()
        assert (got.lines, got.within_slot, got.speed_max, got.overlaps) == (0, 1.0, 1.0, 0)

    def test_speakers_are_counted_once(self) -> None:
        """Two voices in three lines are two speakers."""
        assert summary_of(LINE, replace(LINE, speaker=1), LINE).speakers == 2

    def test_starts_are_held_against_the_tolerance(self) -> None:
        """45 ms early and 125 ms late are within; what is silent does not count."""
        moved = [
            replace(LINE, placed_s=LINE.start_s + by_s, outcome=outcome)
            for by_s, outcome in (
                (-0.045, "ok"), (0.125, "ok"), (-0.05, "ok"), (0.13, "ok"), (0.9, "silent"),
            )
        ]  # fmt: skip
        assert summary_of(*moved).starts_within == 0.5

    def test_takes_are_counted_by_lines_that_have_one(self) -> None:
        """One line with one take, one with two, one with none: one and a half."""
        lines = [replace(LINE, attempts=n) for n in (1, 2, 0)]
        assert summary_of(*lines).takes_per_line == 1.5


class TestOverlaps:
    @staticmethod
    def count(*placed: tuple[float, float]) -> int:
        wrong, kept = count_overlaps(
            [replace(LINE, placed_s=at, take_s=long) for at, long in placed]
        )
        assert kept == 0
        return wrong

    def test_takes_that_touch_do_not_overlap(self) -> None:
        """One ends where the next starts."""
        assert self.count((0, 1), (1, 1), (2.5, 1)) == 0

    def test_a_take_under_a_long_one_is_counted_wherever_it_lies(self) -> None:
        """Two short takes under one long one are two overlaps, in whatever order they come."""
        assert self.count((6, 1), (0, 10), (2, 1), (10, 1)) == 2

    @pytest.mark.parametrize(
        ("speaker", "placed_s", "take_s", "wrong"),
        [
            (1, 3.0, 2.0, 0), (0, 3.0, 2.0, 1), (1, 2.95, 2.0, 1), (1, 3.0, 0.5, 0),
            (1, 3.0, 0.9, 0), (1, 3.0, 3.0, 0),
        ],
        ids=["as the originals", "the same speaker", "early", "within", "less", "past the first"],
    )  # fmt: skip
    def test_who_talked_at_the_same_time_may(
        self, speaker: int, placed_s: float, take_s: float, wrong: int
    ) -> None:
        """One from 1 to 4 s, the other from 3 to 5 s."""
        first = replace(LINE, start_s=1, end_s=4, placed_s=1, take_s=3)
        second = replace(LINE, start_s=3, end_s=5, placed_s=placed_s, take_s=take_s)
        second = replace(second, speaker=speaker)
        assert count_overlaps([second, first]) == (wrong, 1 - wrong)
        longer = replace(first, take_s=3.1)
        assert count_overlaps([longer, replace(second, take_s=5)]) == (1, 0)


class TestIntersectionOverUnion:
    @pytest.mark.parametrize(
        ("first", "second", "expected"),
        [
            ([], [], 1.0),
            ([Span(0, 1)], [], 0.0),
            ([Span(0, 2)], [Span(0, 2)], 1.0),
            ([Span(0, 2)], [Span(1, 3)], 1 / 3),
            ([Span(0, 1)], [Span(1, 2)], 0.0),
            ([Span(0, 1), Span(2, 3)], [Span(0.5, 2.5)], 1 / 3),
            ([Span(0, 10)], [Span(1, 2), Span(3, 4), Span(11, 12)], 2 / 11),
        ],
    )
    def test_by_hand(self, first: list[Span], second: list[Span], expected: float) -> None:
        """What both cover by what either covers, the same both ways round."""
        assert intersection_over_union(first, second) == pytest.approx(expected)
        assert intersection_over_union(second, first) == pytest.approx(expected)


def test_a_hostile_file_name_leaves_valid_json(tmp_path: Path) -> None:
    """Quotes, line breaks, emoji and bytes that are no text come back as they were."""
    name = os.fsdecode(b'a"b\\c\n\x1b[31m\xff \xf0\x9f\x8e\xac.mkv')
    target = report_path(tmp_path / "reports", 7, "es")
    Report(7, name, "es", "done", [LINE], summary_of(LINE)).write(target)
    assert target.name == "7.es.json"
    assert json.loads(target.read_bytes())["video"] == name
