"""Texts in pieces, and how long they may take to say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubarr_watch.engines.speech_text import halves, is_implausible, split_text


@given(st.text(alphabet="ab .,!?\n。、é", max_size=300), st.integers(1, 60))
def test_no_piece_is_too_long_and_no_word_is_lost(text: str, max_chars: int) -> None:
    """Pieces are within the limit, never blank, and hold everything but spaces between them."""
    pieces = split_text(text, max_chars)
    assert all(0 < len(piece) <= max_chars for piece in pieces)
    assert all(piece == piece.strip() for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One two three. Four five.", ["One two three.", "Four five."]),
        ("One two three, four five six", ["One two three,", "four five six"]),
        ("One two three four five six", ["One two three four", "five six"]),
        ("«One two.» Three four five", ["«One two.»", "Three four five"]),
        ("一二三四五六七八九。" * 3, ["一二三四五六七八九。" * 2, "一二三四五六七八九。"]),
        ("x" * 45, ["x" * 20, "x" * 20, "x" * 5]),
        ("A. " + "x" * 18 + " y", ["A.", "x" * 18 + " y"]),
    ],
)  # fmt: skip
def test_it_is_parted_where_a_speaker_pauses(text: str, pieces: list[str]) -> None:
    """After a sentence, else a clause, else a word, else anywhere."""
    assert split_text(text, 20) == pieces


@given(st.text(alphabet="ab .", min_size=2, max_size=60))
def test_halves_are_shorter(text: str) -> None:
    """Each is shorter than the whole, so that parting comes to an end."""
    assert all(len(half) < len(text) for half in halves(text))
    assert "".join("".join(halves(text)).split()) == "".join(text.split())


def test_one_character_cannot_be_parted() -> None:
    """It stays what it is."""
    assert halves("a") == ["a"]


@pytest.mark.parametrize(
    ("text", "duration_s", "implausible"),
    [
        ("No.", 0.3, False),
        ("No.", 3.0, False),
        ("No.", 3.2, True),
        ("a" * 150, 2.4, False),
        ("a" * 150, 2.2, True),
        ("a" * 150, 32.0, False),
        ("a" * 150, 33.0, True),
        ("今天天气很好我们去公园", 2.5, False),
    ],
)
def test_what_nobody_would_take_so_long_for(
    text: str, duration_s: float, implausible: bool
) -> None:
    """Both sides of each limit; a Chinese character counts as three letters."""
    assert is_implausible(text, duration_s) is implausible
