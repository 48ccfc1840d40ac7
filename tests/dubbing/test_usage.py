"""What a job has spent."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.dubbing.usage import Spent, UsageBook
from dubarr_watch.engines.base import Usage
from dubarr_watch.engines.fakes import FakeSynthesizer, FakeTranslator
from dubarr_watch.errors import EngineError


class Counting(FakeTranslator):
    """A translator with a meter."""

    used = Usage(requests=2, tokens_in=100, tokens_out=50, busy_s=1.0, usd=0.5)

    def usage(self) -> Usage:
        return self.used


def test_only_what_a_block_adds_is_noted_even_when_it_fails(tmp_path: Path) -> None:
    """A translator that is kept warm has a past."""
    book, model = UsageBook(tmp_path / "usage.json"), Counting()

    def work() -> None:
        with book.translating("es", model):
            model.used = Usage(requests=5, tokens_in=400, tokens_out=150, busy_s=3.0, usd=0.75)
            raise EngineError("It broke.")

    with pytest.raises(EngineError):
        work()
    words = book.of("es").words
    assert words == Usage(requests=3, tokens_in=300, tokens_out=100, busy_s=2.0, usd=0.25)
    assert words.tokens_per_s == 50


def test_a_translator_that_was_started_anew_counts_from_nothing(tmp_path: Path) -> None:
    """Its figures never go down."""
    book, model = UsageBook(tmp_path / "usage.json"), Counting()
    with book.translating("es", model):
        model.used = Usage(requests=1, tokens_in=10)
    assert book.of("es").words == Usage(requests=1, tokens_in=10)


def test_figures_outlive_the_run_and_shared_ones_count_for_each_language(tmp_path: Path) -> None:
    """A job that goes on has spent what it spent."""
    first = UsageBook(tmp_path / "usage.json")
    first.add("es", Spent(speech_chars=10))
    first.add("", Spent(Usage(requests=1)))
    again = UsageBook(tmp_path / "usage.json")
    again.add("es", Spent(speech_chars=5))
    assert again.of("es") == Spent(Usage(requests=1), 15)
    assert again.of("fr") == Spent(Usage(requests=1), 0)


def test_a_note_that_was_lost_is_no_failure(tmp_path: Path) -> None:
    """It is only a figure."""
    (tmp_path / "usage.json").write_text("{half")
    assert UsageBook(tmp_path / "usage.json").of("es") == Spent()


def test_characters_that_are_spoken_are_counted(tmp_path: Path) -> None:
    """All of them, those of a take that is thrown away too."""
    book = UsageBook(tmp_path / "usage.json")
    with book.speaking("es", FakeSynthesizer()) as speaker:
        voice = speaker.voices("es")[0].id
        for text in ("hola", "adiós"):
            speaker.synthesize(
                text, language="es", voice=voice, speed=1.0, target=tmp_path / "take.wav"
            )
    assert book.of("es").speech_chars == 9
