"""Recordings that voices are cloned from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from dubarr_watch.dubbing.casting import Speaker
from dubarr_watch.dubbing.references import (
    ENOUGH_S,
    LONGEST_S,
    MIN_DBFS,
    OWN_LINE_S,
    Reference,
    borrowed_from,
    can_be_cloned,
    make_references,
    references_of,
)
from dubarr_watch.dubbing.separation import CLEAN_RATE
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Turn
from tests.dubbing.test_casting import voice_like

RATE = 16_000


def line(index: int, start_s: float, end_s: float, speaker: int = 0) -> Line:
    return Line(index, start_s, end_s, speaker, f"Line {index}.", index)


def turns_of(lines: list[Line]) -> list[Turn]:
    """Return the turns of a diarizer that numbers speakers its own way."""
    return [Turn(one.start_s, one.end_s, 7 - one.speaker) for one in lines]


def talk(seconds: float, pitch_hz: float = 120.0) -> NDArray[np.float32]:
    """Return a voice with the pauses between words that speech has."""
    times = np.arange(round(seconds * RATE)) / RATE
    words = (np.sin(2 * np.pi * 1.5 * times) > -0.5).astype(np.float32)
    return voice_like(pitch_hz, seconds) * words


def sound_of(folder: Path, seconds: float, **spoken: NDArray[np.float32]) -> Path:
    """Write a recording; keywords are `at_12` for what starts at 12 s."""
    sound = np.zeros(round(seconds * RATE), dtype=np.float32)
    for key, samples in spoken.items():
        start = round(float(key.removeprefix("at_").replace("_", ".")) * RATE)
        sound[start : start + samples.size] += samples
    path = folder / "voices.flac"
    soundfile.write(path, sound, RATE, subtype="PCM_16")
    return path


def own(references: list[Reference]) -> list[int | None]:
    return [one.line for one in references if one.line is not None]


def best(references: list[Reference], speaker: int = 0) -> Reference:
    return next(one for one in references if one.line is None and one.speaker == speaker)


class TestLines:
    @pytest.mark.parametrize(("seconds", "counts"), [(OWN_LINE_S, True), (2.99, False)])
    def test_a_line_long_enough_is_its_own_reference(
        self, tmp_path: Path, seconds: float, counts: bool
    ) -> None:
        """Three seconds are enough, less are not."""
        lines = [line(0, 1, 1 + seconds)]
        sound = sound_of(tmp_path, 20, at_1=talk(seconds))
        found = make_references(sound, lines, turns_of(lines), tmp_path / "refs")
        assert own(found) == ([0] if counts else [])
        paths = references_of(lines[0], found)
        assert len(paths) == (2 if counts else 1)
        assert paths[-1] == best(found).path

    def test_it_is_cut_to_what_a_voice_is_cloned_from(self, tmp_path: Path) -> None:
        """24 kHz mono, at most ten seconds, at one level, unclipped."""
        lines = [line(0, 0, 12)]
        sound = sound_of(tmp_path, 12, at_0=0.2 * talk(12))
        found = make_references(sound, lines, turns_of(lines), tmp_path / "refs")
        samples, rate = soundfile.read(references_of(lines[0], found)[0])
        assert (rate, samples.ndim) == (CLEAN_RATE, 1)
        assert len(samples) / rate == pytest.approx(LONGEST_S, abs=0.01)
        assert 20 * np.log10(np.sqrt((samples**2).mean())) == pytest.approx(-23, abs=0.5)
        assert np.abs(samples).max() < 1

    @pytest.mark.parametrize("fault", ["quiet", "clipped", "noisy", "two talk"])
    def test_what_is_not_clean_is_not_used(self, tmp_path: Path, fault: str) -> None:
        """Too quiet, clipped, music under it, or somebody else in it."""
        samples = talk(5)
        lines = [line(0, 1, 6), line(1, 8, 13)]
        turns = turns_of(lines)
        if fault == "quiet":
            samples = samples * np.float32(10 ** ((MIN_DBFS - 3 + 20) / 20))
        elif fault == "clipped":
            samples = np.clip(samples * 20, -1, 1)
        elif fault == "noisy":
            samples = samples + voice_like(440, 5)
        else:
            turns = [Turn(1, 5, 7), Turn(5, 6, 3), *turns[1:]]
        sound = sound_of(tmp_path, 14, at_1=samples, at_8=talk(5))
        found = make_references(sound, lines, turns, tmp_path / "refs")
        assert own(found) == [1]
        assert best(found).usable


class TestSpeakers:
    def test_the_best_pieces_are_joined(self, tmp_path: Path) -> None:
        """Short lines together make six seconds and no more than ten."""
        lines = [line(i, 3 * i, 3 * i + 2) for i in range(8)]
        sound = sound_of(tmp_path, 25, **{f"at_{3 * i}": talk(2) for i in range(8)})
        found = make_references(sound, lines, turns_of(lines), tmp_path / "refs")
        assert own(found) == []
        assert ENOUGH_S - 0.2 <= best(found).seconds <= LONGEST_S
        assert can_be_cloned(found) == {0}

    def test_each_speaker_has_their_own(self, tmp_path: Path) -> None:
        """Nobody is cloned from somebody else's line."""
        lines = [line(0, 0, 4, 0), line(1, 5, 9, 1)]
        sound = sound_of(tmp_path, 10, at_0=talk(4, 110), at_5=talk(4, 220))
        found = make_references(sound, lines, turns_of(lines), tmp_path / "refs")
        assert own(found) == [0, 1]
        assert {one.speaker for one in found} == {0, 1}
        assert references_of(lines[0], found) != references_of(lines[1], found)

    def test_too_little_is_kept_and_called_unusable(self, tmp_path: Path) -> None:
        """Two seconds are better than nobody's voice, where there is no other."""
        lines = [line(0, 0, 2)]
        sound = sound_of(tmp_path, 3, at_0=talk(2))
        found = make_references(sound, lines, turns_of(lines), tmp_path / "refs")
        assert not best(found).usable
        assert can_be_cloned(found) == set()

    def test_who_cannot_be_heard_borrows_from_who_is_nearest_in_pitch(self, tmp_path: Path) -> None:
        """A silent speaker has no reference."""
        lines = [line(0, 0, 4, 0), line(1, 5, 9, 1), line(2, 10, 13, 2)]
        sound = sound_of(tmp_path, 14, at_0=talk(4, 110), at_5=talk(4, 220))
        found = make_references(sound, lines, turns_of(lines), tmp_path / "refs")
        assert {one.speaker for one in found} == {0, 1}
        speakers = [Speaker(0, 110, 4), Speaker(1, 220, 4), Speaker(2, 200, 3)]
        lent = borrowed_from(speakers, found)
        assert lent == {2: 1}
        assert references_of(lines[2], found, lent) == (best(found, 1).path,)

    def test_nobody_to_borrow_from(self, tmp_path: Path) -> None:
        """Silence has no voice at all."""
        lines = [line(0, 0, 4)]
        sound = sound_of(tmp_path, 5)
        found = make_references(sound, lines, turns_of(lines), tmp_path / "refs")
        assert found == []
        assert borrowed_from([Speaker(0, None, 4)], found) == {}


class TestFiles:
    def test_the_name_is_the_content(self, tmp_path: Path) -> None:
        """The same voice has the same name anywhere, another one another."""
        lines = [line(0, 0, 4)]
        names = []
        for run, pitch_hz in enumerate([120, 120, 130]):
            folder = tmp_path / str(run)
            folder.mkdir()
            sound = sound_of(folder, 5, at_0=talk(4, pitch_hz))
            found = make_references(sound, lines, turns_of(lines), folder / "refs")
            names.append(best(found).path.name)
        assert names[0] == names[1] != names[2]

    def test_without_turns_there_is_one_speaker(self, tmp_path: Path) -> None:
        """Stereo at another rate is read as well."""
        stereo = np.stack([np.repeat(talk(4), 3)] * 2, axis=1)
        path = tmp_path / "bed.flac"
        soundfile.write(path, stereo, 48_000, subtype="PCM_16")
        found = make_references(path, [line(0, 0, 4)], [], tmp_path / "refs")
        assert own(found) == [0]
