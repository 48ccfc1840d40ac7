"""What a diarizer found, laid over where there is voice."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubarr_watch.engines.base import Span, Turn
from dubarr_watch.engines.turns import Heard, cover

VOICE = [Span(1.0, 5.0), Span(6.0, 8.0)]


def test_what_matches_the_voice_is_taken_as_it_is() -> None:
    """Speakers are numbered as they first appear, whatever they were called."""
    found = cover(VOICE, [Heard(1.0, 5.0, "B"), Heard(6.0, 8.0, "A")])
    assert found == [Turn(1.0, 5.0, 0), Turn(6.0, 8.0, 1)]


def test_nobody_talks_outside_of_the_voice() -> None:
    """What was heard before, after and between spans is cut off."""
    found = cover(VOICE, [Heard(0.0, 5.5, "A"), Heard(5.5, 9.0, "B"), Heard(10.0, 12.0, "C")])
    assert found == [Turn(1.0, 5.0, 0), Turn(6.0, 8.0, 1)]


def test_a_gap_is_closed_half_way() -> None:
    """Two speakers with a second between them in one span share it."""
    found = cover(VOICE[:1], [Heard(1.5, 2.5, "A"), Heard(3.5, 5.0, "B")])
    assert found == [Turn(1.0, 3.0, 0), Turn(3.0, 5.0, 1)]


def test_one_speaker_who_pauses_has_one_turn() -> None:
    """Pieces of the same speaker in one span are joined."""
    found = cover(VOICE[:1], [Heard(1.0, 2.0, "A"), Heard(2.5, 3.0, "A"), Heard(3.5, 5.0, "A")])
    assert found == [Turn(1.0, 5.0, 0)]


@pytest.mark.parametrize(("name", "heard"), [("A", (0.2, 4.4, 9.2)), ("B", (0.2, 4.2, 8.6))])
def test_voice_in_which_nobody_was_heard_goes_to_the_nearest(
    name: str, heard: tuple[float, float, float]
) -> None:
    """Before or after, whoever is nearer in time; the other talks in the last span."""
    start, end, after = heard
    voice = [Span(1.0, 4.0), Span(6.0, 7.0), Span(10.0, 12.0)]
    turns = cover(voice, [Heard(start, end, "A"), Heard(after, 12.0, "B")])
    names = {"A": turns[0].speaker, "B": turns[-1].speaker}
    assert names["A"] != names["B"]
    assert turns[1].speaker == names[name]


def test_where_two_talk_the_first_goes_on() -> None:
    """An overlap belongs to who began earlier; the other talks beside."""
    found = cover(VOICE[:1], [Heard(3.0, 5.0, "B"), Heard(1.0, 4.0, "A")])
    assert found == [Turn(1.0, 4.0, 0), Turn(3.0, 4.0, 1, beside=True), Turn(4.0, 5.0, 1)]


def test_who_has_the_word_may_be_known_better() -> None:
    """A remark in the middle, and the one who talked on under it, in voice alone."""
    heard = [Heard(0.5, 5.5, "A"), Heard(2.0, 3.0, "B")]
    words = [Heard(0.5, 2.0, "A"), Heard(2.0, 3.0, "B"), Heard(3.0, 5.5, "A")]
    assert cover(VOICE[:1], heard, words) == [
        Turn(1.0, 2.0, 0), Turn(2.0, 3.0, 1), Turn(2.0, 3.0, 0, beside=True), Turn(3.0, 5.0, 0),
    ]  # fmt: skip


@pytest.mark.parametrize(("length_s", "beside"), [(0.19, 0), (0.21, 1)])
def test_a_sliver_beside_another_is_no_turn(length_s: float, beside: int) -> None:
    found = cover(VOICE[:1], [Heard(1.0, 4.0, "A"), Heard(4.0 - length_s, 5.0, "B")])
    assert sum(turn.beside for turn in found) == beside


@pytest.mark.parametrize(("length_s", "speakers"), [(0.19, 1), (0.21, 2)])
def test_a_sliver_is_no_turn(length_s: float, speakers: int) -> None:
    """Less than 0.2 s at an edge is another model's idea of where a word ends."""
    found = cover(VOICE[:1], [Heard(1.0, 1.0 + length_s, "B"), Heard(1.0 + length_s, 5.0, "A")])
    assert len({turn.speaker for turn in found}) == speakers


def test_a_short_span_keeps_its_speaker() -> None:
    """A word of 0.15 s is somebody's all the same: whose most of it is."""
    found = cover([Span(1.0, 1.15)], [Heard(0.5, 1.05, "A"), Heard(1.05, 2.0, "B")])
    assert found == [Turn(1.0, 1.15, 0)]
    both = cover([Span(0.0, 0.9), Span(1.0, 1.15)], [Heard(0, 1.05, "A"), Heard(1.05, 2.0, "B")])
    assert [turn.speaker for turn in both] == [0, 1]


def test_voice_of_nobody_known_is_one_speaker() -> None:
    """When nobody was heard at all, there still is a voice to dub."""
    assert cover(VOICE, []) == [Turn(1.0, 5.0, 0), Turn(6.0, 8.0, 0)]
    assert cover([], [Heard(0.0, 1.0, "A")]) == []


TENTHS = st.integers(0, 400).map(lambda n: n / 10)


@given(
    edges=st.lists(st.integers(0, 400), min_size=2, max_size=16, unique=True),
    heard=st.lists(st.tuples(TENTHS, TENTHS, st.sampled_from("ABC")), max_size=12),
)
def test_each_moment_of_voice_belongs_to_exactly_one_turn(
    edges: list[int], heard: list[tuple[float, float, str]]
) -> None:
    """Whatever was heard, turns are in order, do not overlap, and add up to each span.

    Who talks beside another is somebody else, within the voice, and in one turn at a time.
    """
    points = [edge / 10 for edge in sorted(edges)]
    voice = [Span(a, b) for a, b in zip(points[::2], points[1::2], strict=False)]
    everybody = cover(voice, [Heard(min(a, b), max(a, b), name) for a, b, name in heard])
    assert all(turn.end_s > turn.start_s for turn in everybody)
    assert [turn.start_s for turn in everybody] == sorted(turn.start_s for turn in everybody)
    for speaker in {turn.speaker for turn in everybody}:
        own = [turn for turn in everybody if turn.speaker == speaker]
        assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(own))
    turns = [turn for turn in everybody if not turn.beside]
    for turn in everybody:
        assert any(s.start_s <= turn.start_s and turn.end_s <= s.end_s for s in voice)
    assert all(a.end_s <= b.start_s for a, b in itertools.pairwise(turns))
    for span in voice:
        inside = [t for t in turns if t.start_s >= span.start_s and t.end_s <= span.end_s]
        assert (inside[0].start_s, inside[-1].end_s) == (span.start_s, span.end_s)
        assert all(a.end_s == b.start_s for a, b in itertools.pairwise(inside))
    speakers = [turn.speaker for turn in everybody]
    assert list(dict.fromkeys(speakers)) == list(range(len(set(speakers))))
