"""How like the original cloned voices are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing.fitting import Outcome, Take
from dubarr_watch.dubbing.similarity import CEILING, similarities
from dubarr_watch.dubbing.studio import Part
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import EngineSpec, Gender, Progress, Span, Voice, no_progress
from dubarr_watch.engines.dvector_prints import DVectorPrinter
from dubarr_watch.engines.host import EngineHost
from dubarr_watch.engines.voice_prints import Print, Singing, VoicePrinter, likeness
from dubarr_watch.settings import load_settings

CLONED = Voice("speaker", "es", Gender.FEMALE, "xtts", 1.0, cloned=True)
READY = Voice("anna", "es", Gender.FEMALE, "kokoro", 1.0)


def at(degrees: float) -> Print:
    """Return a voice in some direction."""
    angle = np.radians(degrees)
    return (float(np.cos(angle)), float(np.sin(angle)))


VOICES = {"a0": at(0), "a1": at(30), "take0": at(60), "take1": at(15), "short": ()}


class Ears:
    """Knows voices by the names of files."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []

    def prints(self, recordings: Sequence[Path]) -> list[Print]:
        self.asked.append([path.stem for path in recordings])
        return [VOICES[path.stem] for path in recordings]

    def voices(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Print]:
        raise AssertionError("recordings are compared, not stretches")

    def singing(
        self, audio: Path, spans: Sequence[Span], *, progress: Progress = no_progress
    ) -> list[Singing]:
        raise AssertionError("takes are not sung")

    @contextmanager
    def __call__(self) -> Iterator[VoicePrinter]:
        yield self


def part(index: int, *references: str, voice: Voice = CLONED) -> Part:
    line = Line(index, index * 3.0, index * 3 + 2.0, 0, "What.", index)
    paths = tuple(Path(f"{name}.wav") for name in references)
    return Part(line, "Qué.", Span(line.start_s, line.end_s), voice, paths)


def take(index: int, name: str, voice: Voice = CLONED) -> Take:
    return Take(index, Path(f"{name}.wav"), "Qué.", voice.id, 1.0, 1, Outcome.OK)


def test_it_is_a_share_of_how_like_the_speaker_is_to_themselves() -> None:
    """Recordings of two of their lines are 30 degrees apart: no take is asked to be nearer."""
    ears = Ears()
    parts = [part(0, "a0"), part(1, "a1")]
    found = similarities(parts, {0: take(0, "take0"), 1: take(1, "take1")}, ears)
    assert found == {0: pytest.approx(0.5 / np.cos(np.pi / 6), abs=1e-3), 1: 1.0}
    assert ears.asked == [["a0", "a1", "take0", "take1"]], "every file once, all in one call"


def test_of_one_recording_the_usual_likeness_of_a_person_is_taken() -> None:
    found = similarities([part(0, "a0")], {0: take(0, "take0")}, Ears())
    assert found == {0: pytest.approx(0.5 / CEILING, abs=1e-3)}


def test_what_is_not_cloned_is_not_compared() -> None:
    """A ready voice, one that stepped in, a line without a take, and what is too short to tell."""
    ears = Ears()
    parts = [part(0, voice=READY), part(1, "a1"), part(2, "a1")]
    takes = {0: take(0, "take0", READY), 1: take(1, "take1", READY)}
    assert similarities(parts, takes, ears) == {}
    assert ears.asked == []
    assert similarities([part(0, "a0")], {0: take(0, "short")}, ears) == {}


def tone(path: Path, seconds: float, pitch_hz: float) -> Path:
    times = np.arange(round(16_000 * seconds)) / 16_000
    voice = sum(np.sin(2 * np.pi * pitch_hz * n * times) / n for n in range(1, 12))
    soundfile.write(path, 0.1 * np.asarray(voice), 16_000)
    return path


@pytest.mark.models
def test_the_small_model_in_its_process_knows_a_voice_again(tmp_path: Path) -> None:
    """Vectors of length 1; nothing of a recording that is too short."""
    settings = load_settings(config_dir=tmp_path)
    model = settings.models_dir / "d-vector" / "embedder.int8.onnx"
    target = f"{DVectorPrinter.__module__}:{DVectorPrinter.__name__}"
    songs = settings.models_dir / "speech-music" / "speech_music_cnn.hdf5"
    spec = EngineSpec(target, {"model": model, "songs": songs, "threads": 1})
    made = {"low": (3, 110), "again": (2, 112), "high": (3, 260), "short": (0.5, 110)}
    files = [tone(tmp_path / f"{name}.wav", *made[name]) for name in made]
    host = EngineHost(settings)
    with host.engine("printer", spec) as printer:
        low, again, high, short = printer.prints(files)
    assert np.linalg.norm(low) == pytest.approx(1, abs=1e-4)
    assert short == ()
    assert likeness(low, short) is None
    same, other = likeness(low, again), likeness(low, high)
    assert same is not None
    assert other is not None
    assert same > other + 0.1


def test_a_part_of_another_speaker_has_a_ceiling_of_its_own() -> None:
    other = replace(part(1, "a1"), line=replace(part(1).line, speaker=1))
    found = similarities([part(0, "a0"), other], {0: take(0, "take0"), 1: take(1, "take1")}, Ears())
    assert found[0] == pytest.approx(0.5 / CEILING, abs=1e-3)
