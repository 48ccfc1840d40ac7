"""One wording of one line: which takes are made of it, and which is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dubarr_watch.dubbing.attempts import speak
from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.speaking import Part, Studio
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Gender, Span, Speech, Translator, Voice
from dubarr_watch.engines.fakes import FakeSynthesizer
from dubarr_watch.errors import SynthesisFailed

VOICES = FakeSynthesizer().voices("es")
CLONED = Voice("clone", "es", Gender.FEMALE, "xtts", 1.0, cloned=True)
OWN, BEST = Path("/refs/own.wav"), Path("/refs/best.wav")
FINE, DOUBTFUL, NOTHING = "fine", "doubtful", "nothing"


class Actor(FakeSynthesizer):
    """Gives takes of the given kinds, in order, and remembers voice and recordings of each."""

    def __init__(self, *kinds: str) -> None:
        super().__init__()
        self._kinds = list(kinds)
        self.asked: list[tuple[str, tuple[Path, ...]]] = []

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
        self.asked.append((voice, tuple(references)))
        kind = self._kinds.pop(0)
        if kind == NOTHING:
            raise SynthesisFailed("No.")
        target.write_bytes(b"")
        return Speech(target, 1.0, 24_000, suspect=kind == DOUBTFUL)


class Nobody:
    def load(self, index: int, key: str) -> tuple[Take, bool] | None:
        return None

    def save(self, key: str, take: Take, *, settled: bool) -> None:
        raise AssertionError("an attempt is not remembered by itself")


def no_translator() -> Translator:
    raise AssertionError("an attempt needs no translator")


PLAIN = Part(Line(3, 0, 2, 0, "Hello.", 3), "Hola.", Span(0, 2), VOICES[0])
LIKE_THE_ORIGINAL = replace(PLAIN, voice=CLONED, references=(OWN, BEST), fallback=VOICES[1])


def attempt(actor: Actor, part: Part, folder: Path, number: int = 1) -> Take | None:
    studio = Studio("es", folder, VOICES, actor, no_translator, Nobody(), 1.25)
    return speak(part, part.text, number, studio)


def test_a_take_without_doubt_is_the_only_one(tmp_path: Path) -> None:
    """One call, the voice that was cast, no recordings for a voice that is not cloned."""
    actor = Actor(FINE)
    take = attempt(actor, replace(PLAIN, references=(OWN,)), tmp_path)
    assert actor.asked == [(VOICES[0].id, ())]
    assert take == Take(
        3, tmp_path / "00003-1.wav", "Hola.", VOICES[0].id, 1.0, 1, Outcome.OK, suspect=False
    )


def test_a_doubtful_take_is_made_again_with_the_next_recording(tmp_path: Path) -> None:
    """The cloned voice is asked once more, without the recording that came first."""
    actor = Actor(DOUBTFUL, FINE)
    take = attempt(actor, LIKE_THE_ORIGINAL, tmp_path)
    assert actor.asked == [("clone", (OWN, BEST)), ("clone", (BEST,))]
    assert take is not None
    assert (take.attempts, take.outcome, take.path.name) == (2, Outcome.RETRIED, "00003-2.wav")


@pytest.mark.parametrize("part", [PLAIN, replace(LIKE_THE_ORIGINAL, references=(BEST,))])
def test_with_no_other_recording_another_voice_steps_in(tmp_path: Path, part: Part) -> None:
    """The one that was cast to step in, else the best of the same register."""
    actor = Actor(DOUBTFUL, FINE)
    take = attempt(actor, part, tmp_path)
    assert take is not None
    assert (take.attempts, take.outcome) == (2, Outcome.FALLBACK_VOICE)
    assert actor.asked[1] == ((part.fallback or VOICES[2]).id, ())
    assert take.voice == actor.asked[1][0]


@pytest.mark.parametrize("second", [DOUBTFUL, NOTHING])
def test_when_nothing_is_without_doubt_the_first_take_is_kept(tmp_path: Path, second: str) -> None:
    """It stays marked, counts every take that there is, and its file is not overwritten."""
    actor = Actor(DOUBTFUL, second)
    take = attempt(actor, PLAIN, tmp_path)
    assert take is not None
    assert (take.voice, take.path.name) == (VOICES[0].id, "00003-1.wav")
    assert take.suspect
    assert take.attempts == (2 if second is DOUBTFUL else 1)


def test_it_is_tried_once_more_and_not_again(tmp_path: Path) -> None:
    """Two doubtful takes are enough, though a third voice would be there."""
    actor = Actor(DOUBTFUL, DOUBTFUL, FINE)
    take = attempt(actor, LIKE_THE_ORIGINAL, tmp_path)
    assert len(actor.asked) == 2
    assert take is not None
    assert take.suspect


def test_a_voice_that_fails_is_replaced(tmp_path: Path) -> None:
    """First the next recording, then the voice that steps in."""
    actor = Actor(NOTHING, NOTHING, FINE)
    take = attempt(actor, LIKE_THE_ORIGINAL, tmp_path)
    assert [voice for voice, _ in actor.asked] == ["clone", "clone", VOICES[1].id]
    assert take is not None
    assert (take.outcome, take.attempts) == (Outcome.FALLBACK_VOICE, 1)


def test_a_cloned_voice_does_not_step_in_without_recordings(tmp_path: Path) -> None:
    """However good it would sound, there is nothing to take its sound from."""
    actor = Actor(NOTHING, FINE)
    studio = Studio("es", tmp_path, [CLONED, *VOICES], actor, no_translator, Nobody(), 1.25)
    take = speak(PLAIN, PLAIN.text, 1, studio)
    assert take is not None
    assert take.voice == VOICES[2].id


def test_nothing_comes_of_it_when_all_fail(tmp_path: Path) -> None:
    """No take, no error: the line stays silent."""
    assert attempt(Actor(NOTHING, NOTHING), PLAIN, tmp_path) is None


def test_a_later_attempt_is_numbered_as_such(tmp_path: Path) -> None:
    """The second wording's take is the second of the line, in a file of its own."""
    take = attempt(Actor(FINE), PLAIN, tmp_path, number=2)
    assert take is not None
    assert (take.attempts, take.outcome, take.path.name) == (2, Outcome.RETRIED, "00003-2.wav")


def test_other_recordings_make_another_take() -> None:
    """Recordings are named by their content; in another order they sound different, too."""
    keys = {
        part.key
        for part in (
            PLAIN,
            LIKE_THE_ORIGINAL,
            replace(LIKE_THE_ORIGINAL, references=(BEST, OWN)),
            replace(LIKE_THE_ORIGINAL, references=(OWN,)),
        )
    }
    assert len(keys) == 4
    moved = replace(LIKE_THE_ORIGINAL, references=(Path("/else/own.wav"), Path("/else/best.wav")))
    assert moved.key == LIKE_THE_ORIGINAL.key
