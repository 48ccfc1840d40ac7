"""What XTTS is given to read at once, and how long it should take."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dubarr_watch.engines.xtts_languages import XTTS_LANGUAGES
from tts_sidecar.engines.xtts_text import (
    LANGUAGES,
    LIMITS,
    bounds_of,
    pause_after,
    room_for,
    split,
    without_quotes,
)
from tts_sidecar.engines.xtts_voices import CLONE, GENDERS, voices_of

FILM = "Nadie lo ha visto desde entonces, y eso que lo hemos buscado por todas partes. "


def test_daemon_and_process_know_the_same_languages() -> None:
    assert set(XTTS_LANGUAGES) == set(LANGUAGES)
    assert len(LANGUAGES) == 17
    assert list(LANGUAGES) == sorted(LANGUAGES)


@pytest.mark.parametrize(("language", "limit"), [("es", 239), ("zh", 82)])
def test_the_limit_itself_still_fits(language: str, limit: int) -> None:
    assert room_for(language, "a" * limit, "a" * limit) == 0
    assert room_for(language, "a" * (limit + 1), "a") == -1


def test_numbers_count_as_the_words_they_are_read_as() -> None:
    assert room_for("es", "1" * 200, "uno" * 100) < 0
    assert room_for("zh", "一" * 80, "yi1" * 80) > 0


def test_a_text_that_fits_stays_whole() -> None:
    assert split("Hola. Adiós.", lambda text: True) == ["Hola. Adiós."]


def test_sentences_are_better_than_clauses_and_those_than_spaces() -> None:
    text = "Uno dos tres, cuatro cinco. Seis siete ocho nueve diez once."
    assert split(text, lambda part: len(part) <= 40) == [
        "Uno dos tres, cuatro cinco.",
        "Seis siete ocho nueve diez once.",
    ]
    assert split("Uno dos tres, cuatro cinco", lambda part: len(part) <= 20) == [
        "Uno dos tres,",
        "cuatro cinco",
    ]
    assert split("Uno dos tres cuatro", lambda part: len(part) <= 12) == ["Uno dos", "tres cuatro"]


def test_pieces_are_even_rather_than_full() -> None:
    """A text a little too long does not leave a rest of a few letters."""
    text = (FILM * 4).strip()[:250]
    pieces = split(text, lambda part: len(part) <= 239)
    assert len(pieces) == 2
    assert min(map(len, pieces)) > 60


def test_numbers_and_times_stay_whole() -> None:
    pieces = split("Son las 10:30 y cuesta 3.50 o bien 12,75 euros en total", lambda p: len(p) < 20)
    assert any("10:30" in piece for piece in pieces)
    assert any("3.50" in piece for piece in pieces)
    assert any("12,75" in piece for piece in pieces)


def test_chinese_is_cut_at_its_own_marks_and_without_any() -> None:
    assert split("你好吗。我很好，谢谢你。", lambda part: len(part) <= 8) == [
        "你好吗。",
        "我很好，谢谢你。",
    ]
    assert "".join(split("好" * 50, lambda part: len(part) <= 20)) == "好" * 50


@given(
    st.text(st.sampled_from("ab .,!?。，¿é1"), max_size=120).map(
        lambda text: " ".join(text.split())
    ),
    st.integers(1, 40),
)
def test_every_piece_fits_and_nothing_is_lost(text: str, limit: int) -> None:
    pieces = split(text, lambda part: len(part) <= limit)
    assert "".join("".join(pieces).split()) == "".join(text.split())
    assert all(len(piece) <= limit for piece in pieces)


def test_quotation_marks_go_and_nothing_else() -> None:
    assert without_quotes("«Hola», dijo. „Tak!“") == "Hola , dijo. Tak!"
    assert without_quotes("L'amour, don’t") == "L'amour, don’t"


@pytest.mark.parametrize(
    ("piece", "pause_s"),
    [("Hola.", 0.25), ("¿Qué?", 0.25), ("你好。", 0.25), ("Hola,", 0.12), ("Hola", 0.03)],
)
def test_pauses_follow_the_marks(piece: str, pause_s: float) -> None:
    assert pause_after(piece) == pause_s


@pytest.mark.parametrize("language", LANGUAGES)
def test_bounds_are_in_order_and_grow_with_the_text(language: str) -> None:
    short, long = bounds_of(language, "a" * 5), bounds_of(language, "a" * 150)
    for bounds in (short, long):
        assert 0 < bounds.least_s < bounds.expected_s < bounds.most_s
    assert long.expected_s > 5 * short.expected_s
    assert 5 < long.expected_s < 16
    assert set(LIMITS) == set(LANGUAGES)


def test_built_in_voices_come_first_and_the_cloned_one_last() -> None:
    voices = voices_of("es", ["Nobody Known", "Viktor Menelaos", "Ana Florence"])
    assert [(voice.id, voice.gender) for voice in voices[:2]] == [
        ("Viktor Menelaos", "male"),
        ("Ana Florence", "female"),
    ]
    assert [voice.id for voice in voices if voice.cloned] == [CLONE]
    assert voices[-1].id == CLONE
    assert len(GENDERS) == 58
    assert list(GENDERS.values()).count("male") == 29
