"""What speakers sound like: short lines given to whom they sound like, and how sure that is."""

from __future__ import annotations

import numpy as np
import pytest

from dubarr_watch.dubbing.speaker_report import (
    FAIRLY_SURE,
    SURE,
    SpeakerReport,
    overall_sure,
    told_speakers,
)
from dubarr_watch.dubbing.transcript import Line
from dubarr_watch.dubbing.voices import ENOUGH_S, SHORT_S, SpeakerVoice, Voices, know_voices
from dubarr_watch.engines.voice_prints import Print

ANNA, BERT, CLEO = 0.0, 80.0, 160.0


def at(degrees: float) -> Print:
    """Return a voice in some direction."""
    angle = np.radians(degrees)
    return (float(np.cos(angle)), float(np.sin(angle)))


def heard(*said: tuple[int, float, float | None]) -> Voices:
    """Return what is known of lines one after the other: speaker, length, direction of voice."""
    lines, prints, start_s = [], [], 0.0
    for i, (speaker, length_s, degrees) in enumerate(said):
        lines.append(Line(i, start_s, start_s + length_s, speaker, "What.", i))
        prints.append(() if degrees is None else at(degrees))
        start_s += length_s + 0.2
    return know_voices(lines, prints)


LONG = ((0, 4.0, ANNA), (1, 4.0, BERT), (0, 3.0, ANNA + 4), (1, 3.0, BERT + 4), (0, 2.0, ANNA))


def who(found: Voices) -> list[int]:
    return [line.speaker for line in found.lines]


class TestShortLines:
    def test_one_between_two_of_a_speaker_is_theirs_when_it_sounds_so(self) -> None:
        found = heard(*LONG, (1, 0.6, ANNA + 10), (0, 2.0, ANNA))
        assert (who(found)[5], found.moved) == (0, 1)

    def test_a_reply_that_sounds_like_who_it_was_given_to_stays_theirs(self) -> None:
        found = heard(*LONG, (1, 0.6, BERT - 10), (0, 2.0, ANNA))
        assert (who(found)[5], found.moved) == (1, 0)

    def test_one_that_sounds_half_like_each_is_who_talks_around_it(self) -> None:
        assert who(heard(*LONG, (1, 0.6, 42.0), (0, 2.0, ANNA)))[5] == 0

    @pytest.mark.parametrize(("length_s", "speaker"), [(SHORT_S - 0.01, 0), (SHORT_S, 1)])
    def test_a_line_of_a_second_is_not_short(self, length_s: float, speaker: int) -> None:
        found = heard(*LONG, (1, length_s, ANNA), (0, 2.0, ANNA))
        assert who(found)[5] == speaker

    def test_one_between_two_speakers_stays_as_it_was_heard(self) -> None:
        found = heard(*LONG, (1, 0.6, ANNA), (2, 2.0, CLEO))
        assert who(found)[5] == 1

    def test_one_too_short_to_hear_is_who_talks_around_it(self) -> None:
        assert who(heard(*LONG, (1, 0.2, None), (0, 2.0, ANNA)))[5] == 0

    def test_somebody_who_says_one_short_thing_is_kept_when_they_sound_like_nobody(self) -> None:
        assert who(heard(*LONG, (2, 0.6, CLEO), (0, 2.0, ANNA)))[5] == 2
        assert who(heard(*LONG, (2, 0.6, ANNA + 20), (0, 2.0, ANNA)))[5] == 0

    def test_who_talks_beside_another_is_left_where_they_are(self) -> None:
        """Two voices at once sound like neither."""
        lines = [Line(i, at_s, at_s + length_s, speaker, "What.", i)
                 for i, (at_s, length_s, speaker) in enumerate(
                     [(0.0, 4.0, 0), (5.0, 4.0, 1), (10.0, 3.0, 0), (12.0, 0.6, 1), (14.0, 2.0, 0)])
                 ]  # fmt: skip
        found = know_voices(lines, [at(ANNA), at(BERT), at(ANNA), at(ANNA), at(ANNA)])
        assert [line.speaker for line in found.lines] == [0, 1, 0, 1, 0]

    def test_who_keeps_no_line_is_counted_no_more(self) -> None:
        """Speakers stay numbered as they appear, and sentences as they are said."""
        found = heard((0, 4.0, ANNA), (1, 0.5, ANNA), (0, 3.0, ANNA), (2, 3.0, BERT))
        assert who(found) == [0, 0, 0, 1]
        assert [voice.speaker for voice in found.speakers] == [0, 1]


class TestSureness:
    def test_who_is_like_themselves_and_nobody_else_is_sure(self) -> None:
        found = heard(*LONG)
        assert [voice.sure for voice in found.speakers] == [1.0, 1.0]
        assert [voice.seconds for voice in found.speakers] == [9.0, 7.0]
        assert told(found) == "2 speakers, sure"

    def test_who_rests_on_little_speech_is_not_and_is_named(self) -> None:
        found = heard(*LONG, (2, 2.0, CLEO))
        assert found.speakers[2].sure == pytest.approx(2.0 / ENOUGH_S)
        assert told(found) == "3 speakers, fairly sure; speaker 3 rests on 2 s of speech"

    def test_two_who_sound_alike_may_be_one(self) -> None:
        found = heard((0, 6.0, ANNA), (1, 6.0, BERT), (2, 6.0, ANNA + 20), (0, 6.0, ANNA))
        assert [voice.like for voice in found.speakers] == [2, None, 0]
        assert "speaker 1 and speaker 3 sound alike" in told(found)
        assert "not sure" in told(found) or "fairly sure" in told(found)

    def test_one_who_sounds_like_two_may_be_two(self) -> None:
        """Each half has speech enough; of a few words nobody could say so."""
        found = heard((0, 6.0, ANNA), (0, 5.0, BERT), (0, 3.0, ANNA + 5), (0, 3.0, BERT + 5))
        assert found.speakers[0].torn
        assert found.speakers[0].sure <= 0.5
        brief = heard((0, 6.0, ANNA), (0, 3.0, BERT), (0, 3.0, ANNA + 5))
        assert not brief.speakers[0].torn
        anna = SpeakerReport(0, "Anna", 1, "ef_dora", 4, 17.0, 0.5, torn=True)
        assert told_speakers([anna], 0.5) == "1 speaker, not sure; Anna may be two people"

    def test_lines_that_sound_like_another_count_against_it(self) -> None:
        mixed = heard((0, 5.0, ANNA), (0, 5.0, ANNA), (1, 6.0, BERT), (0, 3.0, BERT))
        assert mixed.speakers[0].sure == pytest.approx(10 / 13, abs=0.01)

    def test_a_voice_alone_is_sure(self) -> None:
        assert told(heard((0, 6.0, ANNA), (0, 5.0, ANNA + 5))) == "1 speaker, sure"

    def test_nobody_heard_is_not_known(self) -> None:
        found = heard((0, 0.2, None))
        assert found.speakers == [SpeakerVoice(0, (), 0.0, 0.0)]
        assert overall_sure(found.speakers) is None
        assert told(found) == "1 speaker"

    @pytest.mark.parametrize(
        ("sure", "words"),
        [
            (SURE, "sure"),
            (SURE - 0.01, "fairly sure"),
            (FAIRLY_SURE, "fairly sure"),
            (FAIRLY_SURE - 0.01, "not sure"),
        ],
    )
    def test_it_is_told_in_plain_words(self, sure: float, words: str) -> None:
        anna = SpeakerReport(0, "Anna", 1, "ef_dora", 9, 30.0, 1.0)
        assert told_speakers([anna], sure) == f"1 speaker, {words}"

    def test_people_are_called_by_their_names(self) -> None:
        anna = SpeakerReport(0, "Anna", 1, "ef_dora", 1, 2.0, 0.4, like=1)
        bert = SpeakerReport(1, "", 2, "em_alex", 9, 30.0, 1.0, like=0)
        assert told_speakers([anna, bert], 0.7) == (
            "2 speakers, fairly sure; Anna rests on 2 s of speech; Anna and speaker 2 sound alike"
        )


def told(found: Voices) -> str:
    reports = [
        SpeakerReport(v.speaker, "", None, "voice", 1, v.seconds, v.sure, v.like)
        for v in found.speakers
    ]
    return told_speakers(reports, overall_sure(found.speakers))
