"""How long a text takes to say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dubarr_watch.dubbing.aloud import spoken_form
from dubarr_watch.dubbing.durations import CHARS_PER_S, DurationBook, Law
from dubarr_watch.dubbing.fitting import Outcome, Take

TEXT = "Una frase de las que se dicen en el cine."


def takes(voice: str, *lengths: int, start_s: float, per_char_s: float) -> list[Take]:
    return [
        Take(n, Path("x.wav"), "x" * chars, voice, start_s + per_char_s * chars, 1, Outcome.OK)
        for n, chars in enumerate(lengths)
    ]


def rate(law: Law) -> float:
    """Return the characters that an ordinary line has for each second."""
    return 45 / law.seconds("x" * 45)


@pytest.fixture
def book(tmp_path: Path) -> DurationBook:
    return DurationBook(tmp_path / "durations.json")


def test_nothing_learned_is_what_was_measured_for_the_language(book: DurationBook) -> None:
    """Without takes a text takes as long as the table says, and 15 characters a second else."""
    assert rate(book.law("es")) == pytest.approx(CHARS_PER_S["es"])
    assert book.law("xx").seconds("x" * 30) == pytest.approx(2.0)
    assert book.law("es", "anna").seconds(TEXT) == pytest.approx(book.law("es").seconds(TEXT))


def test_many_takes_teach_the_law_they_follow(book: DurationBook) -> None:
    """Four hundred takes of all lengths: start and slope come out to a few percent."""
    book.learn("es", takes("anna", *(list(range(10, 90, 4)) * 20), start_s=0.3, per_char_s=0.08))
    law = book.law("es", "anna")
    assert law.per_char_s == pytest.approx(0.08, rel=0.05)
    assert law.seconds("x" * 45) == pytest.approx(0.3 + 0.08 * 45, rel=0.02)


def test_few_takes_hardly_move_what_is_believed(book: DurationBook) -> None:
    """One take at half the speed moves the rate by no more than a seventh."""
    before = rate(book.law("es"))
    book.learn("es", takes("anna", 45, start_s=0, per_char_s=2 / CHARS_PER_S["es"]))
    assert 0.857 * before < rate(book.law("es")) < before


def test_takes_of_one_length_teach_the_pace_of_all(book: DurationBook) -> None:
    """Thirty lines of 28 letters by a voice of half the speed: longer ones take it longer too."""
    per_char_s = 2 / CHARS_PER_S["es"]
    book.learn("es", takes("anna", *[28] * 30, start_s=0, per_char_s=per_char_s))
    law = book.law("es", "anna")
    for chars in (20, 28, 45):
        assert law.seconds("x" * chars) == pytest.approx(per_char_s * chars, rel=0.15)


def test_voices_and_languages_are_told_apart(book: DurationBook) -> None:
    """A slow voice slows its language a little, itself more, and no other language."""
    french = book.law("fr")
    book.learn("es", takes("slow", *range(20, 80), start_s=0, per_char_s=0.09))
    book.learn("es", takes("quick", *range(20, 80), start_s=0, per_char_s=0.05))
    rates = [rate(book.law("es", voice)) for voice in ("slow", "", "quick")]
    assert rates == sorted(rates)
    assert rates[0] < 0.9 * rates[1]
    assert book.law("fr") == french


@pytest.mark.parametrize("lengths", [(5,), (45,) * 50, (1, 200)])
def test_the_law_is_one_that_speech_can_follow(book: DurationBook, lengths: tuple[int]) -> None:
    """Whatever was seen, longer texts take longer, and none takes less than nothing."""
    book.learn("es", takes("odd", *lengths, start_s=9.0, per_char_s=-0.04))
    law = book.law("es", "odd")
    assert law.start_s >= 0
    assert law.per_char_s > 0


def test_doubtful_and_empty_takes_teach_nothing(book: DurationBook) -> None:
    """What the engine doubts, and what has no text or length, is passed over."""
    (good,) = takes("anna", 45, start_s=0, per_char_s=1)
    doubtful = Take(0, good.path, good.text, "anna", 45.0, 1, Outcome.OK, suspect=True)
    empty = Take(0, good.path, "", "anna", 0.0, 1, Outcome.OK)
    before = book.law("es", "anna")
    book.learn("es", [doubtful, empty])
    assert book.law("es", "anna") == before


def test_it_is_kept_and_a_broken_file_is_forgotten(book: DurationBook, tmp_path: Path) -> None:
    """Another book on the same file knows the same; half a file is no error."""
    book.learn("es", takes("anna", *range(20, 80), start_s=0, per_char_s=0.1))
    path = tmp_path / "durations.json"
    assert DurationBook(path).law("es", "anna") == book.law("es", "anna")
    path.write_text(path.read_text("ascii")[:20], "ascii")
    assert rate(book.law("es")) == pytest.approx(CHARS_PER_S["es"])


def test_what_is_learned_is_what_is_said_aloud(book: DurationBook) -> None:
    """A figure is a sign or two to read and a word or more to say."""
    texts = ["Son 21 km.", "Cuesta 1.250 € al mes.", "A las 15:30."]
    spoken = [len(spoken_form(text, "es")) for text in texts]
    made = [
        Take(n, Path("x.wav"), text, "anna", 0.08 * chars, 1, Outcome.OK)
        for n, (text, chars) in enumerate(zip(texts * 99, spoken * 99, strict=True))
    ]
    book.learn("es", made)
    assert book.law("es", "anna").seconds("x" * 45) == pytest.approx(0.08 * 45, rel=0.03)


def test_languages_that_learn_at_a_time_lose_nothing(tmp_path: Path) -> None:
    """Each has a book of its own, and all are one file."""
    path, codes = tmp_path / "durations.json", [f"x{n}" for n in range(16)]

    def learn(code: str) -> None:
        DurationBook(path).learn(code, takes("anna", 20, 40, start_s=1.0, per_char_s=0.2))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(learn, codes))
    unknown = rate(DurationBook(path).law("yy"))
    assert all(rate(DurationBook(path).law(code)) < unknown for code in codes)
