"""Speakers to voices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

from dubarr_watch.dubbing.casting import (
    FEMALE_ABOVE_HZ,
    Speaker,
    cast_voices,
    fallback_voice,
    find_speakers,
    frame_pitches,
    stand_ins,
)
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Gender, Voice

RATE = 16_000


def voice_like(pitch_hz: float, seconds: float, *, noise: float = 0.0) -> NDArray[np.float32]:
    """Return harmonics that fall off and move like a vowel, the fundamental not the loudest."""
    times = np.arange(round(seconds * RATE)) / RATE
    wobble = pitch_hz * (1 + 0.02 * np.sin(2 * np.pi * 5 * times))
    phase = 2 * np.pi * np.cumsum(wobble) / RATE
    strengths = (0.5, 1.0, 0.7, 0.4, 0.3, 0.15)
    sound = sum(s * np.sin(n * phase) for n, s in enumerate(strengths, 1))
    sound = sound + noise * np.random.default_rng(1).standard_normal(times.size)
    return np.asarray(0.1 * sound, dtype=np.float32)


def voice(name: str, gender: Gender, quality: float = 0.5) -> Voice:
    return Voice(name, "es", gender, "fake", quality)


WOMEN = [voice("ana", Gender.FEMALE, 0.9), voice("eva", Gender.FEMALE, 0.8)]
MEN = [voice("bob", Gender.MALE, 0.9), voice("dan", Gender.MALE, 0.8)]


class TestPitch:
    @pytest.mark.parametrize("pitch_hz", [75, 90, 120, 160, 170, 210, 260, 350])
    @pytest.mark.parametrize("noise", [0.0, 0.2], ids=["clean", "noisy"])
    def test_it_is_that_of_the_voice(self, pitch_hz: float, noise: float) -> None:
        """The median is within 2 % of the fundamental, no octave off, clean or in noise."""
        found = frame_pitches(voice_like(pitch_hz, 1.5, noise=noise), RATE)
        assert found.size > 30
        assert float(np.median(found)) == pytest.approx(pitch_hz, rel=0.02)

    def test_a_pure_tone_is_measured_too(self) -> None:
        """A sine has only its fundamental."""
        tone = np.sin(2 * np.pi * 200 * np.arange(RATE) / RATE).astype(np.float32)
        assert float(np.median(frame_pitches(tone, RATE))) == pytest.approx(200, rel=0.02)

    @pytest.mark.parametrize(
        "sound",
        [
            np.zeros(RATE),
            np.full(RATE, 0.5),
            0.1 * np.random.default_rng(2).standard_normal(RATE),
            np.zeros(10),
            np.zeros(0),
        ],
        ids=["silence", "constant", "noise", "too short", "empty"],
    )
    def test_what_is_no_voice_has_none(self, sound: NDArray[np.float64]) -> None:
        """Silence and noise have hardly a voiced frame."""
        assert frame_pitches(sound.astype(np.float32), RATE).size < 5


class TestSpeakers:
    @pytest.fixture
    def audio(self, tmp_path: Path) -> Path:
        """Two people in turns, then a hiss, then nothing."""
        low, high = voice_like(FEMALE_ABOVE_HZ * 0.96, 2), voice_like(FEMALE_ABOVE_HZ * 1.04, 1)
        hiss = 0.05 * np.random.default_rng(3).standard_normal(RATE)
        path = tmp_path / "source.wav"
        soundfile.write(path, np.concatenate([low, high, low, high, hiss]), RATE, subtype="PCM_16")
        return path

    def test_the_register_is_told_on_both_sides_of_the_limit(self, audio: Path) -> None:
        """4 % below the limit is a man, 4 % above a woman, and who speaks most comes first."""
        spans = [(0, 2, 1), (2, 3, 0), (3, 5, 1), (5, 6, 0)]
        lines = [Line(n, a, b, who, "x", n) for n, (a, b, who) in enumerate(spans)]
        first, second = find_speakers(audio, lines)
        assert (first.number, first.gender, first.seconds) == (1, Gender.MALE, 4)
        assert (second.number, second.gender, second.seconds) == (0, Gender.FEMALE, 2)

    def test_a_speaker_who_cannot_be_heard_has_no_pitch(self, audio: Path) -> None:
        """Hiss, and a line behind the end of the file, give no pitch and no failure."""
        lines = [Line(0, 6, 7, 0, "x", 0), Line(1, 50, 52, 1, "x", 1)]
        assert [speaker.pitch_hz for speaker in find_speakers(audio, lines)] == [None, None]

    @pytest.mark.parametrize(
        ("pitch_hz", "gender"),
        [
            (FEMALE_ABOVE_HZ - 0.1, Gender.MALE),
            (FEMALE_ABOVE_HZ, Gender.FEMALE),
            (None, Gender.FEMALE),
        ],
    )
    def test_the_limit_itself_is_female(self, pitch_hz: float | None, gender: Gender) -> None:
        """At the limit and where nothing is known a speaker counts as a woman."""
        assert Speaker(0, pitch_hz, 1).gender is gender


class TestCast:
    def test_voices_are_distinct_while_there_are_enough(self) -> None:
        """Two men and two women get four voices, the best to those who speak most."""
        speakers = [Speaker(n, hz, 9 - n) for n, hz in enumerate((210, 110, 230, 100))]
        cast = cast_voices(speakers, [*MEN, *WOMEN])
        assert [cast[n].id for n in range(4)] == ["ana", "bob", "eva", "dan"]

    def test_then_they_are_shared_within_the_register(self) -> None:
        """The third and fourth man share men's voices, though a woman's is free."""
        speakers = [Speaker(n, 110, 9 - n) for n in range(4)]
        cast = cast_voices(speakers, [*MEN, *WOMEN])
        assert [cast[n].id for n in range(4)] == ["bob", "dan", "bob", "dan"]

    def test_a_register_without_voices_takes_any(self) -> None:
        """Where there are only women's voices a man gets one, distinct too."""
        cast = cast_voices([Speaker(0, 110, 2), Speaker(1, 100, 1)], WOMEN)
        assert [cast[0].id, cast[1].id] == ["ana", "eva"]

    def test_the_cast_is_the_same_every_time(self) -> None:
        """The order in which voices are offered does not matter."""
        speakers = [Speaker(n, 110 + 50 * n, 3 - n) for n in range(3)]
        offered = [*WOMEN, *MEN]
        assert cast_voices(speakers, offered) == cast_voices(speakers, offered[::-1])

    def test_no_voice_at_all_is_an_error(self) -> None:
        """A language that nobody speaks cannot be cast."""
        with pytest.raises(ValueError, match="no voice"):
            cast_voices([Speaker(0, 110, 1)], [])


def test_the_fallback_is_another_voice_of_the_register() -> None:
    """The best other voice of the same register, else of the other, else none."""
    assert fallback_voice(MEN[0], [*WOMEN, *MEN]) == MEN[1]
    assert fallback_voice(MEN[0], [MEN[0], *WOMEN]) == WOMEN[0]
    assert fallback_voice(MEN[0], MEN[:1]) is None


class TestCloning:
    CLONE = Voice("clone", "es", Gender.FEMALE, "xtts", 1.0, cloned=True)

    def test_who_has_clean_recordings_is_cloned_and_others_are_cast_by_pitch(self) -> None:
        """Any number of people share the voice that clones."""
        speakers = [Speaker(0, 210, 30), Speaker(1, 110, 20), Speaker(2, 120, 10)]
        cast = cast_voices(speakers, [self.CLONE, *WOMEN, *MEN], {0, 2})
        assert [cast[n].id for n in range(3)] == ["clone", "bob", "clone"]

    def test_without_built_in_voices_everybody_is_cloned(self) -> None:
        """A bad likeness is better than silence."""
        assert cast_voices([Speaker(0, 110, 5)], [self.CLONE])[0] is self.CLONE

    def test_where_cloning_fails_a_voice_of_the_same_register_speaks(self) -> None:
        """The register of the voice that clones means nothing."""
        speakers = [Speaker(0, 210, 30), Speaker(1, 110, 20)]
        voices = [self.CLONE, *WOMEN, *MEN]
        cast = cast_voices(speakers, voices, {0, 1})
        found = stand_ins(speakers, voices, cast)
        assert (found[0].id, found[1].id) == ("ana", "bob")
        assert stand_ins(speakers, [self.CLONE], cast) == {}
