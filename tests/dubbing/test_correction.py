"""Misheard words and the subtitles that know better."""

from __future__ import annotations

from collections.abc import Mapping

from dubarr_watch.dubbing.correction import correct_lines
from dubarr_watch.dubbing.subtitle_text import Cue
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import CorrectionRequest, Progress, no_progress
from dubarr_watch.engines.fakes import FakeTranslator

LINES = [
    Line(0, 0.0, 2.0, 0, "I met Ann at the see.", 0),
    Line(1, 3.0, 5.0, 1, "Where?", 1),
    Line(2, 6.0, 8.0, 0, "Never mined.", 2),
]


class Corrector(FakeTranslator):
    """Says what it is told to, and remembers what it was asked."""

    def __init__(self, answers: Mapping[int, str]) -> None:
        super().__init__()
        self.answers = answers
        self.asked: list[CorrectionRequest] = []

    def correct(
        self, request: CorrectionRequest, *, progress: Progress = no_progress
    ) -> Mapping[int, str]:
        self.asked.append(request)
        return self.answers


def test_lines_get_better_words_and_keep_their_times() -> None:
    """Each is asked with the cues that lie on it; the others are context."""
    model = Corrector({0: "I met Anne\nat the sea.", 2: "  "})
    cues = [Cue(0.1, 1.0, "I met Anne"), Cue(1.0, 2.1, "at the sea."), Cue(6.1, 8, "Never mind.")]
    found = correct_lines(LINES, cues, lambda: model, source="en")
    assert [text.reference for text in model.asked[0].texts] == [
        "I met Anne at the sea.", "", "Never mind.",
    ]  # fmt: skip
    assert [line.text for line in found] == ["I met Anne at the sea.", "Where?", "Never mined."]
    assert [(a.start_s, a.end_s, a.speaker) for a in found] == [
        (b.start_s, b.end_s, b.speaker) for b in LINES
    ]


def test_without_a_cue_on_any_line_nobody_is_asked() -> None:
    """The engine is not even started."""

    def start() -> FakeTranslator:
        raise AssertionError("nobody should be asked")

    assert correct_lines(LINES, [Cue(20, 22, "Credits")], start, source="en") == LINES
