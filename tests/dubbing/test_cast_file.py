"""What people say in `cast.toml`, and how mistakes in it are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.dubbing.cast_file import (
    MOST_BYTES,
    CastFile,
    Entry,
    Match,
    find_cast_file,
    read_cast_file,
)
from dubarr_watch.engines.base import Gender


@pytest.fixture
def library(tmp_path: Path) -> Path:
    folder = tmp_path / "library"
    (folder / "Show" / "Season 1").mkdir(parents=True)
    (folder / "anna.wav").write_bytes(b"sound")
    (tmp_path / "outside.wav").write_bytes(b"sound")
    return folder


def read(library: Path, text: str) -> CastFile:
    path = library / "cast.toml"
    path.write_text(text, encoding="utf-8")
    return read_cast_file(path, library)


def test_everything_that_can_be_said(library: Path) -> None:
    found = read(
        library,
        """# who is who
[[person]]
name = "Anna"
match = "speaker 2 of S01E03"
voice = "ef_dora"
voices = { French = "ff_siwis", pt = "pf_dora" }
gender = "Female"

[[person]]
name = "The captain"
sample = "anna.wav"
reference = "./anna.wav"

[[ person ]]
name = "Bert"
match = "person 12"

[[person]]
name = "Cleo"
match = "Speaker 1"
""",
    )
    assert found.problems == []
    sound = (library / "anna.wav").resolve()
    assert found.entries == [
        Entry(2, "Anna", Match(speaker=1, season=1, episode=3),
              voices={"": "ef_dora", "fr": "ff_siwis", "pt": "pf_dora"}, gender=Gender.FEMALE),
        Entry(9, "The captain", sample=sound, reference=sound),
        Entry(14, "Bert", Match(person=12)),
        Entry(18, "Cleo", Match(speaker=0)),
    ]  # fmt: skip


GOOD = '[[person]]\nname = "Good"\nmatch = "speaker 1"\n\n'


@pytest.mark.parametrize(
    ("entry", "line", "says"),
    [
        ('name = "A"\nmatch = "speaker 2"\nvioces = "x"', 8, "did you mean 'voices'?"),
        ('match = "speaker 2"', 5, "every person needs a name"),
        ('name = "A"', 5, "say who it is"),
        ('name = "A"\nmatch = "speaker 2"\nsample = "anna.wav"', 5, "in one way"),
        ('name = "A"\nmatch = "the tall one"', 7, "'the tall one' says not who"),
        ('name = "A"\nmatch = "speaker 0"', 7, "says not who"),
        ('name = "A"\nmatch = "speaker 2"\ngender = "old"', 8, '"female" or "male"'),
        ('name = "A"\nmatch = "speaker 2"\nvoices = "x"', 8, "voices must be like"),
        ('name = "A"\nmatch = "speaker 2"\nvoices = { es = 3 }', 8, "voices must be like"),
        ('name = "A"\nmatch = "speaker 2"\nvoices = { spansh = "x" }', 8, "spansh"),
        ('name = "A"\nmatch = "speaker 2"\nvoice = 3', 8, "voice must be text in quotes"),
        ('name = "A"\nsample = "gone.wav"', 7, "there is no file 'gone.wav'"),
        ('name = "A"\nsample = "../outside.wav"', 7, "leads out of the library"),
        ('name = "A"\nsample = "/etc/hostname"', 7, "leads out of the library"),
        ('name = "A"\nmatch = "speaker 2"\nreference = "link.wav"', 8, "leads out of the library"),
        ('name = "A"\nsample = "a\\u0000.wav"', 7, "no file"),
    ],
)
def test_a_mistake_costs_its_entry_and_is_told_with_its_line(
    library: Path, entry: str, line: int, says: str
) -> None:
    (library / "link.wav").symlink_to(library.parent / "outside.wav")
    after = '\n\n[[person]]\nname = "Last"\nmatch = "speaker 3"\n'
    found = read(library, f"{GOOD}[[person]]\n{entry}{after}")
    assert [one.name for one in found.entries] == ["Good", "Last"]
    (problem,) = found.problems
    assert problem.startswith(f"cast.toml, line {line}: ")
    assert says in problem


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[person]]\nname = "A\n', "line 2"),
        ('[person]\nname = "A"\n', "[[person]], in double brackets"),
        ("people = 3\n", "cast.toml, line 1: 'people' means nothing"),
        ("#" * (MOST_BYTES + 1), "larger than 256 KiB"),
    ],
)
def test_a_file_that_cannot_be_used_is_told(library: Path, text: str, says: str) -> None:
    found = read(library, text)
    assert found.entries == []
    assert len(found.problems) == 1
    assert says in found.problems[0]


def test_a_file_that_is_no_text_and_one_from_elsewhere_are_told(library: Path) -> None:
    path = library / "cast.toml"
    path.write_bytes(b'[[person]]\nname = "\xff"')
    assert "UTF-8" in read_cast_file(path, library).problems[0]
    path.unlink()
    (library.parent / "cast.toml").write_text(GOOD)
    path.symlink_to(library.parent / "cast.toml")
    assert "out of the library" in read_cast_file(path, library).problems[0]


def test_it_lies_beside_a_film_or_in_the_folders_of_a_series(library: Path) -> None:
    episode = library / "Show" / "Season 1" / "S01E01.mkv"
    film = library / "Film" / "Film.mkv"
    assert find_cast_file(episode, library) is None
    for folder in (library, library / "Show", library / "Show" / "Season 1"):
        (folder / "cast.toml").touch()
        expected = None if folder == library else folder / "cast.toml"
        assert find_cast_file(episode, library) == expected, "the nearest, not the library's"
    assert find_cast_file(film, library) is None
    assert find_cast_file(library / "Loose.mkv", library) == library / "cast.toml"
