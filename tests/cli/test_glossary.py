"""`dubarr-watch glossary` on a real database."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.dubbing.series_memory import SeriesMemory
from dubarr_watch.store import Store
from tests.cli.conftest import Call, Home


@pytest.fixture
def episode(home: Home) -> Path:
    path = home.videos / "Show (2020)/Season 01/Show - S01E02.mkv"
    path.parent.mkdir(parents=True)
    path.touch()
    return path


def terms(call: Call, path: Path) -> list[tuple[str, str, str, bool]]:
    said = call("glossary", str(path), "--json")
    assert said.exit_code == 0
    return [tuple(one.values()) for one in said.document]


def test_a_term_is_set_shown_and_forgotten(call: Call, episode: Path, store: Store) -> None:
    """By a video or its series' folder; every episode has it then."""
    said = call("glossary", str(episode), "--lang", "es", "--set", "Winterfell = Invernalia")
    assert said.exit_code == 0
    assert "es  Winterfell = Invernalia  (set by a person)" in said.stdout
    for path in (episode, episode.parent, episode.parents[1]):
        assert terms(call, path) == [("es", "Winterfell", "Invernalia", True)]
    other = SeriesMemory.of(episode.with_name("Show - S01E09.mkv"), episode.parents[2],
                            store.glossary)  # fmt: skip
    assert [one.target for one in other.earlier("es").glossary] == ["Invernalia"]
    assert call("glossary", str(episode), "--forget", "winterfell").exit_code == 0
    assert terms(call, episode) == []


def test_a_film_has_terms_of_its_own(call: Call, home: Home, episode: Path) -> None:
    film = home.videos / "Film.mkv"
    film.touch()
    assert call("glossary", str(film), "-l", "fr", "-s", "Ann=Anne").exit_code == 0
    assert terms(call, film) == [("fr", "Ann", "Anne", True)]
    assert terms(call, episode) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--set", "Winterfell"], "is no term"),
        (["--set", "=x"], "is no term"),
        (["--lang", "xx-nonsense", "--set", "a=b"], "xx-nonsense"),
        (["--forget", "Nobody"], "There is no term 'Nobody'"),
    ],
)
def test_what_makes_no_sense_is_refused(
    call: Call, episode: Path, options: list[str], words: str
) -> None:
    said = call("glossary", str(episode), *options)
    assert said.exit_code != 0
    assert words in said.stderr


def test_a_folder_of_several_series_is_no_answer(call: Call, home: Home, episode: Path) -> None:
    (home.videos / "Film.mkv").touch()
    said = call("glossary", str(home.videos))
    assert said.exit_code == 2
    assert "several series or films" in said.stderr
