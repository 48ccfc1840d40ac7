"""Another take of one line: what it changes for the lines after it, and nothing else."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import pytest

from dubarr_watch.dubbing.fit_planner import EARLY_S
from dubarr_watch.dubbing.fitting import Outcome, Take, make_slots
from dubarr_watch.dubbing.proof import Proof
from dubarr_watch.dubbing.speaking import FittedTake, Part, Studio, fit_again, fit_takes
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Translator
from dubarr_watch.engines.fakes import FakeSynthesizer
from tests.dubbing.test_foresight import Kept

VOICES = FakeSynthesizer().voices("es")
VIDEO_S = 100.0


def never() -> Translator:
    raise AssertionError("nothing is worded anew")


def studio_in(folder: Path) -> Studio:
    folder.mkdir(parents=True)
    return Studio("es", folder, VOICES, FakeSynthesizer(), never, Kept(), 1.25)


def parts_of(*spans: tuple[float, float, int]) -> list[Part]:
    lines = [Line(n, start, end, who, "x", n) for n, (start, end, who) in enumerate(spans)]
    slots = make_slots(lines, VIDEO_S)
    return [Part(line, "x", slot, VOICES[0]) for line, slot in zip(lines, slots, strict=True)]


def a_take(part: Part, seconds: float, studio: Studio, name: str = "1") -> Take:
    path = studio.folder / f"{part.line.index:05d}-{name}.wav"
    text = "x" * round(seconds / 0.06)
    speech = FakeSynthesizer().synthesize(
        text, language="es", voice=VOICES[0].id, speed=1.0, target=path
    )
    voice, length_s = VOICES[0].id, speech.duration_s
    return Take(part.line.index, path, text, voice, length_s, 1, Outcome.OK)


def places(fitted: list[FittedTake]) -> list[object]:
    return [(done.take, done.placed_s, done.fit, done.outcome) for done in fitted]


def test_the_line_after_it_gives_back_the_time_that_it_had_borrowed(tmp_path: Path) -> None:
    """It started early because the take before it was short; now that one fills its slot."""
    studio = studio_in(tmp_path / "takes")
    parts = parts_of((1, 3, 0), (3, 4, 0), (4, 6, 0))
    takes = {n: a_take(parts[n], s, studio) for n, s in enumerate((1.2, 1.0, 1.8))}
    before = fit_takes(parts, takes, studio)
    assert before[1].placed_s == pytest.approx(3 - EARLY_S)
    fresh = studio_in(tmp_path / "redo")
    after = fit_again(parts, before, 0, a_take(parts[0], 2.4, fresh, "2"), fresh)
    assert after[0].end_s <= 2.95 + 1e-9
    assert after[1].placed_s == 3
    assert after[1].path != before[1].path, "what is kept stays as it is until all is published"
    assert after[2] == before[2]


def test_what_was_heard_in_other_lines_is_kept(tmp_path: Path) -> None:
    studio = studio_in(tmp_path / "takes")
    parts = parts_of((1, 3, 0), (3, 4, 0))
    takes = {n: a_take(parts[n], s, studio) for n, s in enumerate((1.2, 1.0))}
    wrong = Proof(0.9, 0.9, "y")
    before = fit_takes(parts, takes, studio, {0: wrong, 1: wrong})
    before = [replace(done, similarity=0.7) for done in before]
    right = Proof(0.0, 0.0, "x")
    after = fit_again(parts, before, 0, a_take(parts[0], 1.95, studio, "2"), studio, right)
    assert [(done.proof, done.similarity) for done in after] == [(right, None), (wrong, 0.7)]
    assert [done.outcome for done in after] == [Outcome.OK, Outcome.MISSPOKEN]


@pytest.mark.parametrize("seed", range(12))
def test_it_is_what_planning_everything_again_would_give(tmp_path: Path, seed: int) -> None:
    """Lines close together, two people who talk over each other, takes of all lengths."""
    chance = random.Random(seed)
    spans: list[tuple[float, float, int]] = []
    at_s = 1.0
    for _ in range(12):
        length_s = chance.uniform(0.6, 2.5)
        over = bool(spans) and chance.random() < 0.3 and spans[-1][2] == 0
        start_s = max(at_s - 0.5, spans[-1][0] + 0.1) if over else at_s
        spans.append((start_s, start_s + length_s, int(over)))
        at_s = max(at_s, start_s + length_s) + chance.choice((0.0, 0.02, 0.08, 0.4))
    studio = studio_in(tmp_path / "takes")
    parts = parts_of(*spans)
    takes = {
        part.line.index: a_take(part, part.line.duration_s * chance.uniform(0.5, 1.3), studio)
        for part in parts
    }
    before = fit_takes(parts, takes, studio)
    for place in range(0, len(parts), 3):
        fresh = studio_in(tmp_path / f"redo-{place}")
        seconds = parts[place].line.duration_s * chance.uniform(0.4, 1.4)
        take = a_take(parts[place], seconds, fresh, "2")
        again = fit_again(parts, before, place, take, fresh)
        whole = fit_takes(parts, {**takes, place: take}, studio_in(tmp_path / f"all-{place}"))
        assert places(again) == places(whole)
        assert again[:place] == before[:place]
        for (a, first), (b, second) in combinations(enumerate(again), 2):
            if first.path and second.path and parts[a].line.speaker == parts[b].line.speaker:
                assert first.end_s <= second.placed_s
