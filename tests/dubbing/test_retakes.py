"""Further takes of a line that was not heard as written: each made in another way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.retakes import retake
from dubarr_watch.dubbing.speaking import Part, Studio
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Gender, Span, Speech, Translator, Voice
from dubarr_watch.engines.fakes import FakeSynthesizer
from dubarr_watch.errors import SynthesisFailed
from tests.dubbing.test_foresight import Kept

BUILT_IN = FakeSynthesizer().voices("es")
CLONED = Voice("clone", "es", Gender.FEMALE, "fake", 1.0, cloned=True)
ONE, TWO = Path("own-line.wav"), Path("best-pieces.wav")
PLAIN, CLAUSES = "Una frase sin pausa ninguna", "Aquí viene la segunda, dicha con calma"


@dataclass(frozen=True)
class Asked:
    """What a synthesizer was asked."""

    text: str
    voice: str
    speed: float
    references: tuple[Path, ...]


class Noting(FakeSynthesizer):
    """Speaks in any voice, and notes what it is asked; refuses when told so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Asked] = []
        self.refuses = False

    def synthesize(
        self,
        text: str,
        *,
        language: str,
        voice: str,
        speed: float,
        target: Path,
        references: Sequence[Path] = (),
    ) -> Speech:
        if self.refuses:
            raise SynthesisFailed("No.")
        self.asked.append(Asked(text, voice, speed, tuple(references)))
        known = BUILT_IN[0].id
        return super().synthesize(text, language=language, voice=known, speed=speed, target=target)


@pytest.fixture
def engine() -> Noting:
    return Noting()


@pytest.fixture
def studio(tmp_path: Path, engine: Noting) -> Studio:
    def never() -> Translator:
        raise AssertionError("it says the same")

    return Studio("es", tmp_path, [*BUILT_IN, CLONED], engine, never, Kept(), 1.25)


def part(voice: Voice, text: str, slot_s: float = 9.0) -> Part:
    line = Line(0, 1.0, 1.0 + slot_s, 0, "What it says.", 0)
    recordings = (ONE, TWO) if voice.cloned else ()
    span = Span(1.0, 1.0 + slot_s)
    return Part(line, text, span, voice, references=recordings, fallback=BUILT_IN[2])


def before(of: Part, seconds: float = 2.0) -> Take:
    return Take(0, Path("before.wav"), of.text, of.voice.id, seconds, 1, Outcome.OK)


def test_a_cloned_voice_takes_its_sound_from_another_recording(
    studio: Studio, engine: Noting
) -> None:
    """It may be the recording that it stumbles over; the text stays whole."""
    line = part(CLONED, CLAUSES)
    take = retake(line, before(line), 0, studio)
    assert engine.asked == [Asked(CLAUSES, "clone", 1.0, (TWO,))]
    assert take is not None
    assert (take.attempts, take.outcome, take.text) == (2, Outcome.RETRIED, CLAUSES)


@pytest.mark.parametrize("voice", [BUILT_IN[0], replace(CLONED, id="clone")], ids=str)
def test_without_another_recording_the_text_is_split(
    voice: Voice, studio: Studio, engine: Noting
) -> None:
    """Its halves are spoken one by one and joined with a short pause."""
    line = replace(part(voice, CLAUSES), references=(ONE,) if voice.cloned else ())
    take = retake(line, before(line), 0, studio)
    halves = ["Aquí viene la segunda,", "dicha con calma"]
    assert [(one.text, one.voice) for one in engine.asked] == [(t, voice.id) for t in halves]
    assert take is not None
    assert take.duration_s == pytest.approx(0.06 * sum(map(len, halves)) + 0.12, abs=0.01)
    samples, rate = soundfile.read(take.path)
    assert len(samples) / rate == pytest.approx(take.duration_s)
    joint = round(0.06 * len(halves[0]) * rate)
    assert np.abs(samples[joint + 10 : joint + round(0.11 * rate)]).max() == 0
    assert [path.name for path in take.path.parent.iterdir()] == [take.path.name]


@pytest.mark.parametrize(("slot_s", "speed"), [(2.2, 0.94), (2.1, 1.06)])
def test_what_cannot_be_split_is_said_at_another_rate(
    studio: Studio, engine: Noting, slot_s: float, speed: float
) -> None:
    """Slower where two seconds at 0.94 find room, else faster."""
    line = part(BUILT_IN[0], PLAIN, slot_s)
    retake(line, before(line), 0, studio)
    assert engine.asked == [Asked(PLAIN, BUILT_IN[0].id, speed, ())]


def test_the_second_time_another_voice_speaks(studio: Studio, engine: Noting) -> None:
    line = part(CLONED, CLAUSES)
    take = retake(line, before(line), 1, studio)
    assert engine.asked == [Asked(CLAUSES, BUILT_IN[2].id, 1.0, ())]
    assert take is not None
    assert (take.voice, take.outcome) == (BUILT_IN[2].id, Outcome.FALLBACK_VOICE)


def test_what_the_engine_refuses_is_no_take(studio: Studio, engine: Noting) -> None:
    engine.refuses = True
    line = part(BUILT_IN[0], CLAUSES)
    assert retake(line, before(line), 0, studio) is None
