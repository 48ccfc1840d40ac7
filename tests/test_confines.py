"""Symbolic links do not lead out of the library, unless FOLLOW_LINKS says that they may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dubarr_watch.errors import LeadsOut
from dubarr_watch.store.records import JobState
from tests.composing import Call, Shop, eventually, make_talk, names, open_shop, sha256
from tests.programs import Program


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    with open_shop(tmp_path, max_attempts=1) as opened:
        yield opened


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that is none of the library's, with a film in it."""
    folder = tmp_path / "private"
    folder.mkdir()
    make_talk(folder / "Film.mkv", 4.0)
    return folder


@pytest.mark.parametrize("mode", ["sidecar", "mux"])
@pytest.mark.parametrize("which", ["the file", "its folder"])
def test_what_lies_behind_a_link_is_neither_read_nor_written(
    shop: Shop, outside: Path, which: str, mode: str
) -> None:
    before = sha256(outside / "Film.mkv")
    if which == "the file":
        film = shop.videos / "Film.mkv"
        film.symlink_to(outside / "Film.mkv")
    else:
        (shop.videos / "link").symlink_to(outside)
        film = shop.videos / "link" / "Film.mkv"
    ended = shop.dub(film, mode=mode)
    assert isinstance(ended.error, LeadsOut)
    assert "FOLLOW_LINKS=true" in ended.job.reason
    assert shop.spy.calls == []
    assert names(outside) == ["Film.mkv"]
    assert sha256(outside / "Film.mkv") == before

    shop.set(follow_links=True)
    assert shop.dub(film, mode=mode).job.state is JobState.DONE


def test_a_link_that_stays_inside_is_the_file_that_it_names(shop: Shop) -> None:
    make_talk(shop.videos / "Film.mkv", 4.0)
    (shop.videos / "Other.mkv").symlink_to("Film.mkv")
    assert shop.dub(shop.videos / "Other.mkv").job.state is JobState.DONE


def test_a_file_that_was_named_openly_may_lie_anywhere(shop: Shop, outside: Path) -> None:
    assert shop.dub(outside / "Film.mkv").job.state is JobState.DONE


@pytest.mark.parametrize("mode", ["sidecar", "mux"])
@pytest.mark.parametrize("which", ["the file", "its folder"])
def test_a_link_that_is_put_in_the_film_s_place_meanwhile_gets_nothing(
    shop: Shop, outside: Path, which: str, mode: str
) -> None:
    folder = shop.videos / "Films"
    folder.mkdir()
    film = Path(folder / "Film.mkv")
    film.write_bytes((outside / "Film.mkv").read_bytes())
    before = sha256(outside / "Film.mkv")

    def swap(call: Call) -> None:
        if call.method != "synthesize" or (shop.videos / "away").exists():
            return
        if which == "the file":
            film.rename(shop.videos / "away")
            film.symlink_to(outside / "Film.mkv")
        else:
            folder.rename(shop.videos / "away")
            folder.symlink_to(outside)

    shop.spy.before = swap
    ended = shop.dub(film, mode=mode)
    assert ended.job.state is JobState.FAILED
    assert "leads out" in ended.job.reason
    assert names(outside) == ["Film.mkv"]
    assert sha256(outside / "Film.mkv") == before


def test_the_library_tells_of_a_link_that_leads_out_and_follows_it_when_it_may(
    tmp_path: Path, outside: Path
) -> None:
    with Program(tmp_path, PROCESS_EXISTING="true") as program:
        (program.videos / "link").symlink_to(outside)
        (program.videos / "Film.mkv").symlink_to(outside / "Film.mkv")
        (program.videos / ".dub").write_text("es\n")
        program.start()
        job = eventually(lambda: program.job("Film.mkv", JobState.FAILED, JobState.SKIPPED))
        assert "leads out of VIDEOS_DIR" in job.reason
        assert names(outside) == ["Film.mkv"]
    with Program(tmp_path / "2", PROCESS_EXISTING="true", FOLLOW_LINKS="true") as program:
        (program.videos / "link").symlink_to(outside)
        program.start()
        assert program.ended("Film.mkv").state is JobState.DONE
        assert "Film.Dubarr.es.mka" in names(outside)
