"""Rooms that are heard in real speech, and a dub that sounds as if it were said in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dubarr_watch.dubbing.acoustics import (
    AUDIBLE_S,
    LEAST_DECAYS,
    Room,
    find_rooms,
    in_rooms,
    rooms_note,
)
from dubarr_watch.dubbing.balance import MixLine
from dubarr_watch.dubbing.reverberation import (
    WET_DB,
    decay_times,
    room_response,
    telling,
    with_tail,
)
from dubarr_watch.dubbing.timeline import SAMPLE_RATE, PlacedTake, SpeechLine
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.engines.base import Span
from dubarr_watch.errors import JobCancelled
from tests.dubbing.rooms import RATE, Samples, decay_after, in_room, music, sentences, spoken


def lines_of(spans: list[tuple[float, float]], later_s: float = 0.0) -> list[Line]:
    return [
        Line(number, start_s + later_s, end_s + later_s, number % 2, "Said.", number)
        for number, (start_s, end_s) in enumerate(spans)
    ]


def stem(folder: Path, sound: Samples) -> Path:
    soundfile.write(folder / "voices.wav", sound, RATE, subtype="PCM_16")
    return folder / "voices.wav"


class TestDecayTimes:
    @pytest.mark.parametrize("direct_db", [0.0, 6.0])
    @pytest.mark.parametrize("decay_s", [0.6, 0.8, 1.0])
    def test_a_room_is_measured_to_a_quarter(self, decay_s: float, direct_db: float) -> None:
        found = decay_times(in_room(spoken()[0], decay_s, direct_db), RATE)
        assert len(found) >= LEAST_DECAYS
        assert telling(found) == pytest.approx(decay_s, rel=0.25)

    def test_speech_in_no_room_dies_away_faster_than_any_that_counts(self) -> None:
        """So it does in one that is as quick as espeak-ng's own voice, 0.3 s."""
        assert telling(decay_times(spoken()[0], RATE)) < 0.42
        assert telling(decay_times(in_room(spoken()[0], 0.3), RATE)) < AUDIBLE_S

    @pytest.mark.parametrize("samples", [0, 10, RATE])
    def test_in_silence_nothing_does(self, samples: int) -> None:
        assert decay_times(np.zeros(samples, dtype=np.float32), RATE) == []


class TestFindRooms:
    @pytest.mark.parametrize("decay_s", [0.3, 0.6, 1.0])
    def test_only_what_rings_audibly_is_a_room(self, decay_s: float, tmp_path: Path) -> None:
        sound, spans = spoken()
        found = find_rooms(stem(tmp_path, in_room(sound, decay_s)), lines_of(spans))
        assert [room.decay_s for room in found] == (
            [pytest.approx(decay_s, rel=0.25)] if decay_s > 0.5 else []
        )

    def test_dry_speech_is_in_none(self, tmp_path: Path) -> None:
        sound, spans = spoken()
        assert find_rooms(stem(tmp_path, sound), lines_of(spans)) == []

    @pytest.mark.parametrize("below_db", [0, 10, 20, 30])
    def test_music_left_in_the_voice_is_not_taken_for_one(
        self, below_db: float, tmp_path: Path
    ) -> None:
        sound, spans = spoken()
        sound = sound + music(len(sound) / RATE) * 10 ** (-below_db / 20)
        assert find_rooms(stem(tmp_path, sound), lines_of(spans)) == []

    def test_nor_is_music_alone(self, tmp_path: Path) -> None:
        assert (
            find_rooms(stem(tmp_path, music(40)), lines_of([(n, n + 1) for n in range(38)])) == []
        )

    def test_each_scene_has_its_own(self, tmp_path: Path) -> None:
        """A dry scene between two rooms, with nothing said for six seconds before and after it."""
        sound, spans = spoken()
        gap = np.zeros(6 * RATE, dtype=np.float32)
        each_s = (len(sound) + len(gap)) / RATE
        parts = [in_room(sound, 0.6), gap, sound, gap, in_room(sound, 1.0), gap]
        lines = [line for n in range(3) for line in lines_of(spans, n * each_s)]
        found = find_rooms(stem(tmp_path, np.concatenate(parts)), lines)
        assert [room.decay_s for room in found] == [
            pytest.approx(0.6, rel=0.25), pytest.approx(1.0, rel=0.25),
        ]  # fmt: skip
        assert found[0].span == Span(lines[0].start_s, lines[9].end_s)
        assert found[1].span == Span(lines[20].start_s, lines[29].end_s)

    def test_few_words_tell_nothing(self, tmp_path: Path) -> None:
        """So do pauses that are too short for a room to be heard in."""
        sound, spans = spoken()
        voice = stem(tmp_path, in_room(sound, 0.6))
        assert find_rooms(voice, lines_of(spans)[:2]) == []

    def test_it_can_be_stopped(self, tmp_path: Path) -> None:
        sound, spans = spoken()
        with pytest.raises(JobCancelled):
            find_rooms(stem(tmp_path, sound), lines_of(spans), lambda: True)


def mix_lines(folder: Path, *starts_s: float, sound: Samples | None = None) -> list[MixLine]:
    """Return lines of two speakers in turn, all with one take."""
    sound = sentences()[0] if sound is None else sound
    soundfile.write(folder / "take.wav", sound, RATE, subtype="PCM_16")
    seconds = len(sound) / RATE
    return [
        MixLine(
            PlacedTake(folder / "take.wav", start_s, seconds),
            Span(start_s, start_s + seconds),
            n % 2,
        )
        for n, start_s in enumerate(starts_s)
    ]


def heard(lines: list[MixLine], seconds: float) -> Samples:
    block = np.zeros((round(seconds * SAMPLE_RATE), 1), dtype=np.float32)
    SpeechLine([line.take for line in lines], len(block)).add_to(block, 0)
    return block[:, 0]


class TestInRooms:
    @pytest.mark.parametrize("decay_s", [0.5, 0.6, 1.0])
    def test_a_take_rings_as_long_as_its_room(self, decay_s: float, tmp_path: Path) -> None:
        """Measured back behind its end, and as loud as it was, to half a decibel."""
        lines = mix_lines(tmp_path, 1.0)
        wet = in_rooms(lines, [Room(Span(0.5, 1.5), decay_s)])
        end_s = 1.0 + lines[0].take.duration_s
        dry_sound, wet_sound = heard(lines, 8), heard(wet, 8)
        assert not dry_sound[round(end_s * SAMPLE_RATE) + 1 :].any()
        assert decay_after(wet_sound, end_s, SAMPLE_RATE) == pytest.approx(decay_s, rel=0.25)
        change = float((wet_sound**2).sum() / (dry_sound**2).sum())
        assert abs(10 * np.log10(change)) < 0.5

    def test_it_is_light_and_starts_when_the_take_does(self) -> None:
        """The voice itself is there at once; all of the room is well below it."""
        for rate in (16_000, 22_050, 24_000, 48_000):
            response = room_response(0.8, rate).astype(np.float64)
            assert int(np.abs(response).argmax()) == 0
            spectrum = np.abs(np.fft.rfft(response[1:], 1 << 17)) ** 2
            hz = np.fft.rfftfreq(1 << 17, 1 / rate)
            within = spectrum[(hz > 500) & (hz < 4000)].mean() / response[0] ** 2
            assert 10 * np.log10(within) == pytest.approx(WET_DB, abs=1.0)

    def test_the_same_room_sounds_the_same_each_time(self) -> None:
        sound = sentences()[1]
        first = with_tail(sound, RATE, 0.6)
        room_response.cache_clear()
        assert np.array_equal(first, with_tail(sound, RATE, 0.6))
        assert len(with_tail(sound[:0], RATE, 0.6)) == 0

    def test_lines_in_no_room_stay_as_they_are_to_the_sample(self, tmp_path: Path) -> None:
        lines = mix_lines(tmp_path, 1.0, 8.0)
        changed = in_rooms(lines, [Room(Span(0.5, 1.5), 0.8)])
        assert changed[1] is lines[1]
        assert np.array_equal(heard(lines, 12)[7 * 48_000 :], heard(changed, 12)[7 * 48_000 :])
        assert in_rooms(lines, []) == lines

    def test_a_tail_has_ended_when_somebody_else_speaks(self, tmp_path: Path) -> None:
        lines = mix_lines(tmp_path, 1.0)
        end_s = 1.0 + lines[0].take.duration_s
        for speaker, rings in ((1, False), (0, True)):
            start_s = end_s + 0.15
            answer = MixLine(replace(lines[0].take, start_s=start_s), Span(start_s, 9), speaker)
            wet = in_rooms([*lines, answer], [Room(Span(0.5, 1.5), 1.0)])
            alone = heard(wet[:1], 8)
            assert np.abs(alone[round((end_s + 0.02) * SAMPLE_RATE) :]).max() > 1e-3
            assert alone[round(start_s * SAMPLE_RATE) + 1 :].any() == rings

    def test_it_does_not_take_from_a_take_that_another_talks_into(self, tmp_path: Path) -> None:
        lines = mix_lines(tmp_path, 1.0, 1.5)
        wet = heard(in_rooms(lines, [Room(Span(0.5, 1.2), 1.0)])[:1], 8)
        end = round((1.0 + lines[0].take.duration_s) * SAMPLE_RATE)
        part = slice(end - SAMPLE_RATE // 5, end - SAMPLE_RATE // 50)
        assert np.abs(wet[part]).max() > 0.5 * np.abs(heard(lines[:1], 8)[part]).max()
        assert not wet[end + 1 :].any()

    def test_takes_that_ring_themselves_get_nothing_more(self, tmp_path: Path) -> None:
        """A voice that is cloned from a room may bring it along."""
        rooms, roomy = [Room(Span(0.0, 9.0), 0.6)], in_room(spoken()[0], 0.6)
        assert not any(
            line.take.room_s for line in in_rooms(mix_lines(tmp_path, 1.0, sound=roomy), rooms)
        )
        assert all(
            line.take.room_s
            for line in in_rooms(mix_lines(tmp_path, 1.0, sound=spoken()[0]), rooms)
        )

    def test_the_report_says_how_many(self, tmp_path: Path) -> None:
        lines = mix_lines(tmp_path, 1.0, 2.0, 20.0)
        assert rooms_note(lines) == []
        (note,) = rooms_note(in_rooms(lines, [Room(Span(0, 3), 0.6), Room(Span(19, 21), 1.1)]))
        assert note == (
            "3 lines are lightly reverberant, as the original is there "
            "(its rooms ring for 0.6 to 1.1 s)."
        )
        (note,) = rooms_note(in_rooms(lines, [Room(Span(0.5, 1.5), 0.62)]))
        assert note.startswith("1 line is")
        assert note.endswith("(its rooms ring for 0.6 s).")
