"""Words and turns into lines."""

from __future__ import annotations

import time
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dubarr_watch.dubbing.transcript import (
    LONG_LINE_S,
    PAUSE_S,
    SAME_SENTENCE_GAP_S,
    VOICE_REACH_S,
    Line,
    make_lines,
    untranscribed_voice,
)
from dubarr_watch.engines.base import Span, Transcript, Turn, Word


def words(text: str, start_s: float = 0.0, *, every_s: float = 0.4) -> list[Word]:
    """Say a text evenly, without gaps between its words."""
    return [
        Word(round(start_s + n * every_s, 3), round(start_s + (n + 1) * every_s, 3), word, 0.9)
        for n, word in enumerate(text.split())
    ]


def heard(said: list[Word], voice: list[Span] | None = None) -> Transcript:
    """Return a transcript; by default there is voice exactly where words are."""
    if voice is None:
        voice = []
        for word in said:
            if voice and word.start_s - voice[-1].end_s < 0.01:
                voice[-1] = Span(voice[-1].start_s, word.end_s)
            else:
                voice.append(Span(word.start_s, word.end_s))
    end_s = max([*(w.end_s for w in said), *(s.end_s for s in voice), 1.0])
    return Transcript("en", 1.0, end_s, tuple(said), tuple(voice))


def lines_of(said: list[Word], *turns: Turn, voice: list[Span] | None = None) -> list[Line]:
    return make_lines(heard(said, voice), turns)


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]


class TestSplitting:
    @pytest.mark.parametrize(("gap_s", "count"), [(PAUSE_S - 0.01, 1), (PAUSE_S + 0.01, 2)])
    def test_a_pause_starts_a_line(self, gap_s: float, count: int) -> None:
        """A silence of PAUSE_S inside a sentence starts a new line, a shorter one does not."""
        first = words("he said nothing")
        second = words("but he stayed", first[-1].end_s + gap_s)
        assert len(lines_of([*first, *second])) == count

    def test_a_change_of_speaker_starts_a_line(self) -> None:
        """Two people who follow each other without a pause are two lines."""
        said = words("who are you my friend I am the one you called")
        found = lines_of(said, Turn(0, 2.0, 7), Turn(2.0, 9, 3))
        assert texts(found) == ["who are you my friend", "I am the one you called"]
        assert [line.speaker for line in found] == [0, 1]

    def test_speakers_are_numbered_by_first_appearance(self) -> None:
        """Whatever numbers the diarizer gives, the first to speak is 0."""
        said = [*words("one two three."), *words("four five six.", 3), *words("seven eight.", 6)]
        found = lines_of(said, Turn(0, 2, 9), Turn(3, 5, 2), Turn(6, 8, 9))
        assert [line.speaker for line in found] == [0, 1, 0]

    def test_short_sentences_stay_together_and_long_ones_part(self) -> None:
        """A sentence end parts lines unless what stands before it is short and no gap follows."""
        assert len(lines_of(words("Yes. I know that."))) == 1
        assert len(lines_of(words("I have always known that of you. And so have they."))) == 2

    def test_a_title_ends_no_sentence(self) -> None:
        """`Mr. Smith` is never torn apart."""
        found = lines_of(words("Yesterday in the garden I saw old Mr. Smith and his wife."))
        assert len(found) == 1

    def test_long_lines_are_split(self) -> None:
        """A line longer than LONG_LINE_S falls into parts, at a comma where one is near."""
        half = " ".join(["word"] * 19)
        found = lines_of(words(f"{half} then, {half} last"))
        assert len(found) >= 2
        assert all(line.duration_s <= LONG_LINE_S for line in found)
        assert found[0].text.endswith("then,")
        assert len({line.sentence for line in found}) == 1

    @pytest.mark.parametrize(("count", "parts"), [(30, 1), (31, 2)])
    def test_a_line_just_long_enough_stays_whole(self, count: int, parts: int) -> None:
        """Twelve seconds are one line, more are two."""
        assert len(lines_of(words(" ".join(["w"] * count)))) == parts

    def test_only_punctuation_is_no_line(self) -> None:
        """A line must hold something to say."""
        assert lines_of(words("... - !")) == []


class TestSpans:
    def test_the_span_comes_from_the_voice(self) -> None:
        """Cue ends are loose: a line starts and ends where its voice does."""
        found = lines_of(words("hello there", 1.0), voice=[Span(1.13, 1.62)])
        assert (found[0].start_s, found[0].end_s) == (1.13, 1.62)

    @pytest.mark.parametrize(("more_s", "end_s"), [(0.49, 1.29), (0.51, 0.8)])
    def test_voice_that_goes_on_for_long_is_a_laugh(self, more_s: float, end_s: float) -> None:
        """Up to half a second after the last word is still that word, more is none of it."""
        (line,) = lines_of(words("hello there"), voice=[Span(0, 0.8 + more_s)])
        assert line.end_s == pytest.approx(end_s)

    def test_a_word_stretched_over_a_silence_is_cut_to_its_voice(self) -> None:
        """A word that is said to last until the next sentence hides no pause."""
        said = [Word(0, 0.4, "the", 1), Word(0.4, 4.9, "door,", 1), Word(4.9, 5.4, "then", 1)]
        found = lines_of(said, voice=[Span(0, 0.9), Span(4.9, 5.4)])
        assert texts(found) == ["the door,", "then"]
        assert found[0].end_s == 0.9

    def test_a_line_ends_with_its_own_voice(self) -> None:
        """The voice of the next line, close behind, does not stretch this one."""
        said = [*words("I have known it for all my life.", 0.0), *words("No.", 3.45)]
        voice = [Span(0.0, 3.0), Span(3.45, 3.85)]
        first, second = lines_of(said, voice=voice)
        assert (first.end_s, second.start_s, second.end_s) == (3.0, 3.45, 3.85)

    def test_a_word_at_the_end_of_the_voice_keeps_its_own_line(self) -> None:
        """One voice, two people: the first does not swallow the short answer of the second."""
        said = [*words("have you seen my dog?", 0.0), Word(2.0, 2.25, "No.", 1)]
        found = lines_of(said, Turn(0, 2.0, 0), Turn(2.0, 2.5, 1), voice=[Span(0, 2.25)])
        assert texts(found) == ["have you seen my dog?", "No."]
        assert (found[0].end_s, found[1].start_s, found[1].end_s) == (2.0, 2.0, 2.25)

    def test_words_in_no_voice_are_dropped(self) -> None:
        """What was heard in silence was hallucinated."""
        said = [*words("real words", 0), *words("Thank you for watching", 10)]
        assert texts(lines_of(said, voice=[Span(0, 0.8)])) == ["real words"]

    @pytest.mark.parametrize(("away_s", "count"), [(-0.02, 1), (0.02, 0)])
    def test_the_voice_reaches_a_little(self, away_s: float, count: int) -> None:
        """A word whose middle is within 0.3 s of the voice is heard, one farther off is not."""
        middle_s = 1.0 + VOICE_REACH_S + away_s
        said = [Word(middle_s - 0.05, middle_s + 0.05, "so", 1)]
        assert len(lines_of(said, voice=[Span(0, 1.0)])) == count

    def test_silence_has_no_lines(self) -> None:
        """Without any voice there is nothing to dub, whatever was transcribed."""
        assert make_lines(Transcript("en", 1, 9, tuple(words("you you you")), ()), []) == []


class TestSentences:
    def test_parts_of_one_sentence_share_a_number(self) -> None:
        """A sentence that pauses is translated as a whole."""
        said = [*words("It was the age,"), *words("of wisdom.", 2.5), *words("It ended.", 4)]
        assert [line.sentence for line in lines_of(said)] == [0, 0, 1]

    @pytest.mark.parametrize(("gap_s", "sentences"), [(2.9, [0, 0]), (3.1, [0, 1])])
    def test_a_long_pause_ends_a_sentence(self, gap_s: float, sentences: list[int]) -> None:
        """Three seconds of silence end a sentence, whatever the punctuation says."""
        assert SAME_SENTENCE_GAP_S == 3.0
        said = [*words("and so"), *words("it goes", 0.8 + gap_s)]
        assert [line.sentence for line in lines_of(said)] == sentences

    def test_an_interruption_ends_a_sentence(self) -> None:
        """What another speaker says belongs to no sentence of the first."""
        said = [*words("I think that"), *words("no you do not", 1.9), *words("we should", 4.2)]
        turns = [Turn(0, 1.2, 0), Turn(1.9, 3.5, 1), Turn(4.2, 5, 0)]
        assert [line.sentence for line in lines_of(said, *turns)] == [0, 1, 2]


class TestSmoothing:
    def test_a_stray_word_goes_with_its_sentence(self) -> None:
        """A diarizer that slips for one word does not cut a sentence in three."""
        said = words("I never wanted to be here at all.")
        found = lines_of(said, Turn(0, 1.2, 0), Turn(1.2, 1.6, 1), Turn(1.6, 4, 0))
        assert texts(found) == ["I never wanted to be here at all."]

    def test_a_stray_word_of_three_goes_with_the_other_two(self) -> None:
        """Short sentences are smoothed too."""
        found = lines_of(words("I know you."), Turn(0, 0.8, 0), Turn(0.8, 1.3, 1))
        assert len(found) == 1

    def test_a_reply_is_no_slip(self) -> None:
        """Three words of another speaker in a long sentence without punctuation are theirs."""
        said = words(" ".join(["on"] * 12) + " yes of course")
        found = lines_of(said, Turn(0, 4.8, 0), Turn(4.8, 6.1, 1))
        assert [line.speaker for line in found] == [0, 1]

    def test_two_words_of_two_speakers_stay_apart(self) -> None:
        """Where nobody has the majority nothing is smoothed."""
        assert len(lines_of(words("hey what"), Turn(0, 0.4, 0), Turn(0.4, 0.8, 1))) == 2

    def test_a_word_between_turns_goes_to_the_nearest(self) -> None:
        """A word in no turn belongs to whoever speaks next to it."""
        said = [*words("well", 4.6), *words("you", 5.2), *words("here", 6.5)]
        found = lines_of(said, Turn(0, 4.9, 0), Turn(7, 9, 1), Turn(9, 10, 2))
        assert texts(found) == ["well you", "here"]


class TestTalkingTogether:
    """Whisper writes what is said at the same time one after the other."""

    def test_a_line_begins_where_its_speaker_does(self) -> None:
        """The second speaks from 2.5 s, under the end of the first."""
        said = [*words("I have never seen such a dog."), *words("You have not looked.", 2.85)]
        turns = [Turn(0, 2.9, 0), Turn(2.5, 2.9, 1, beside=True), Turn(2.9, 5, 1)]
        first, second = lines_of(said, *turns, voice=[Span(0, 4.8)])
        assert (first.start_s, first.end_s) == (0, 2.8)
        assert (second.start_s, second.end_s, second.index) == (2.5, 4.8, 1)

    def test_a_line_ends_where_its_speaker_does(self) -> None:
        """The first goes on for 0.4 s under the second, who is louder."""
        said = [*words("I have never seen such a dog."), *words("You have not looked.", 2.8)]
        turns = [Turn(0, 2.8, 0), Turn(2.8, 5, 1), Turn(2.8, 3.2, 0, beside=True)]
        first, second = lines_of(said, *turns)
        assert (first.end_s, second.start_s) == (3.2, 2.8)

    def test_a_remark_lies_within_the_line_that_goes_on(self) -> None:
        """And the line after it by the same speaker starts where the first one ends."""
        said = [*words("You see that I have always", 0), *words("known it well, mind.", 2.0),
                *words("Yes, yes, yes.", 3.6), *words("So there we are.", 4.8)]  # fmt: skip
        turns = [Turn(0, 3.6, 0), Turn(3.6, 4.8, 1), Turn(3.6, 4.8, 0, beside=True),
                 Turn(4.8, 6.4, 0)]  # fmt: skip
        first, remark, after = lines_of(said, *turns)
        assert (first.speaker, remark.speaker, after.speaker) == (0, 1, 0)
        assert (first.end_s, remark.start_s, remark.end_s) == (4.6, 3.6, 4.8)
        assert after.start_s == 4.8

    @pytest.mark.parametrize(("from_s", "start_s"), [(1.5, 1.85), (1.9, 1.9), (2.95, 2.85)])
    def test_it_reaches_no_farther_than_a_second(self, from_s: float, start_s: float) -> None:
        """Who talked beside another for longer said words that nobody wrote."""
        said = [*words("I have never seen such a dog."), *words("You have not looked.", 2.85)]
        turns = [Turn(0, 3.2, 0), Turn(from_s, 3.2, 1, beside=True), Turn(3.2, 5, 1)]
        second = next(line for line in lines_of(said, *turns) if line.text.startswith("You"))
        assert second.start_s == pytest.approx(start_s)

    def test_who_talks_beside_others_elsewhere_changes_nothing(self) -> None:
        """More than a tenth of a second away from any word of theirs."""
        said = [*words("I have never seen such a dog."), *words("You have not looked.", 3.2)]
        turns = [Turn(0, 2.8, 0), Turn(1.0, 3.05, 1, beside=True), Turn(3.2, 5, 1)]
        assert [line.start_s for line in lines_of(said, *turns)] == [0, 3.2]


def test_two_hours_take_a_moment() -> None:
    """The work grows with the words, not with words times turns: five times more, not 25."""

    def seconds_for(count: int) -> float:
        said, voice, turns = [], [], []
        for n in range(count):
            said += words("these are some six spoken words.", n * 3.5)
            voice.append(Span(n * 3.5, n * 3.5 + 2.4))
            turns.append(Turn(n * 3.5, n * 3.5 + 2.4, n % 4))
        transcript = heard(said, voice)
        started = time.process_time()
        assert len(make_lines(transcript, turns)) == count
        return time.process_time() - started

    def best_for(count: int) -> float:
        return min(seconds_for(count) for _ in range(3))  # other work only ever adds to it

    seconds_for(50)
    assert best_for(2000) < 12 * max(best_for(400), 0.01)


TIMES = st.floats(0, 60, allow_nan=False).map(lambda x: round(x, 2))


@st.composite
def spans(draw: st.DrawFn) -> list[Span]:
    edges = sorted(draw(st.sets(st.integers(0, 6000), max_size=24)))
    return [Span(a / 100, b / 100) for a, b in zip(edges[::2], edges[1::2], strict=False)]


@st.composite
def spoken(draw: st.DrawFn) -> list[Word]:
    starts = sorted(draw(st.lists(TIMES, max_size=40)))
    texts = st.sampled_from(["so", "yes.", "well,", "Mr.", "…", "no!", "ok"])
    lengths = st.sampled_from([0.0, 0.05, 0.3, 1.0, 5.0])
    return [Word(s, round(s + draw(lengths), 2), draw(texts), 0.5) for s in starts]


class TestAnything:
    @settings(max_examples=200, deadline=None)
    @given(spoken(), spans(), spans(), st.integers(1, 3))
    def test_lines_are_in_order_and_apart(
        self, said: list[Word], voice: list[Span], turns: list[Span], speakers: int
    ) -> None:
        """Whatever comes in, lines are numbered, in order, not empty and never overlap."""
        who = [Turn(span.start_s, span.end_s, n % speakers) for n, span in enumerate(turns)]
        found = make_lines(Transcript("en", 1, 65, tuple(said), tuple(voice)), who)
        assert [line.index for line in found] == list(range(len(found)))
        assert all(line.duration_s >= 0.0999 for line in found)
        assert all(a.end_s <= b.start_s for a, b in pairwise(found))
        assert all(0 <= b.sentence - a.sentence <= 1 for a, b in pairwise(found))

    @settings(max_examples=200, deadline=None)
    @given(spoken(), spans(), spans(), spans())
    def test_lines_overlap_only_where_somebody_talks_beside_another(
        self, said: list[Word], voice: list[Span], turns: list[Span], beside: list[Span]
    ) -> None:
        """In order of start; never two of one speaker."""
        who = [Turn(span.start_s, span.end_s, n % 3) for n, span in enumerate(turns)]
        also = [Turn(s.start_s, s.end_s, n % 2, beside=True) for n, s in enumerate(beside)]
        everybody = sorted([*who, *also], key=lambda turn: turn.start_s)
        transcript = Transcript("en", 1, 65, tuple(said), tuple(voice))
        found = make_lines(transcript, everybody)
        assert [line.index for line in found] == list(range(len(found)))
        assert [line.start_s for line in found] == sorted(line.start_s for line in found)
        assert {line.text for line in found} == {line.text for line in make_lines(transcript, who)}
        for n, line in enumerate(found):
            for later in found[n + 1 :]:
                start_s, end_s = later.start_s, min(line.end_s, later.end_s)
                if end_s > start_s:
                    assert line.speaker != later.speaker
                    assert any(t.start_s < end_s and t.end_s > start_s for t in also)

    @settings(max_examples=200, deadline=None)
    @given(spoken(), spans())
    def test_no_word_is_lost_where_there_is_voice(
        self, said: list[Word], voice: list[Span]
    ) -> None:
        """All that is spoken within the voice is in the lines, once, in its order."""
        everywhere = make_lines(Transcript("en", 1, 70, tuple(said), (Span(0, 70),)), [])
        kept = " ".join(line.text for line in everywhere).replace("…", "").split()
        assert kept == [word.text for word in said if word.text != "…"]
        some = make_lines(Transcript("en", 1, 70, tuple(said), tuple(voice)), [])
        remaining = iter(word.text for word in said)
        assert all(word in remaining for line in some for word in line.text.split())


class TestUntranscribed:
    @staticmethod
    def found(voice: Sequence[tuple[float, float]], *lines: tuple[float, float]) -> list[object]:
        known = Transcript("en", 1.0, 60, (), tuple(Span(*pair) for pair in voice))
        spans = untranscribed_voice(
            known, [Line(n, *pair, 0, "x", n) for n, pair in enumerate(lines)]
        )
        return [pytest.approx((span.start_s, span.end_s)) for span in spans]

    def test_a_laugh_between_lines_is_found(self) -> None:
        """Voice that no line has is left, whole where nothing is near."""
        assert self.found([(1, 2), (3, 3.5), (5, 6)], (1, 2), (5, 6)) == [(3, 3.5)]

    def test_a_laugh_right_after_words_is_found_from_their_end(self) -> None:
        """Voice goes on for a second after the line, and before it: less its edges."""
        assert self.found([(0, 5)], (1, 2), (2.5, 4)) == [(0, 0.9), (2.1, 2.4), (4.1, 5)]

    def test_edges_of_lines_are_no_sounds(self) -> None:
        """A quarter of a second after a line is left but for its edge; less is nothing."""
        assert self.found([(1, 2.26), (3, 4.24)], (1, 2), (3, 4)) == [(2.1, 2.26)]

    def test_no_lines_leave_all_voice_and_no_voice_nothing(self) -> None:
        """A film in which somebody only hums, and one in which nobody does."""
        assert self.found([(1, 2)]) == [(1, 2)]
        assert self.found([], (1, 2)) == []
