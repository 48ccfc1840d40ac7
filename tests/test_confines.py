"""Symbolic links do not lead out of the library, unless FOLLOW_LINKS says that they may."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.errors import LeadsOut, MediaError
from dubarr_watch.library.confines import Confines
from dubarr_watch.media import input_arguments, readable, run_ffmpeg
from dubarr_watch.store.records import JobState
from tests.composing import (
    TONE_HZ,
    Call,
    Shop,
    ffmpeg,
    make_talk,
    names,
    open_shop,
    sha256,
    share_of,
    sound_of,
)
from tests.programs import Program
from tests.waiting import eventually


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


PRIVATE_HZ = 1000.0


def make_private(path: Path) -> Path:
    """A film nobody may hear of: it sounds of another pitch."""
    tone = f"sine=frequency={PRIVATE_HZ}:sample_rate=48000:duration=4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=4", "-f", "lavfi", "-i", tone,
           "-c:v", "mpeg4", "-c:a", "aac", f"file:{path}")  # fmt: skip
    return path


@pytest.mark.parametrize("mode", ["sidecar", "mux"])
@pytest.mark.parametrize("which", ["the file", "its folder"])
def test_a_link_that_is_there_only_while_programs_open_files_gets_nothing(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, which: str, mode: str
) -> None:
    """Swapped in after every check and out again before the next, as no real attacker could."""
    private, folder = tmp_path / "private", shop.videos / "Films"
    private.mkdir()
    folder.mkdir()
    before = sha256(make_private(private / "Film.mkv"))
    film = make_talk(folder / "Film.mkv", 4.0)
    real = film if which == "the file" else folder
    swaps: list[str] = []

    class Swapping(subprocess.Popen[Any]):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            away = real.with_name("away")
            real.rename(away)
            real.symlink_to(private / "Film.mkv" if real is film else private)
            try:
                super().__init__(*arguments, **named)
                super().wait(0.15)  # it has opened its files, or waits for samples
            except subprocess.TimeoutExpired:
                pass
            finally:
                real.unlink()
                away.rename(real)
                swaps.append(str(self.args))

    monkeypatch.setattr(subprocess, "Popen", Swapping)
    ended = shop.dub(film, mode=mode)
    monkeypatch.undo()
    assert ended.job.state is JobState.DONE, ended.job.reason
    heard = sound_of(shop.track(ended.job, kind=mode), int(mode == "mux"))
    assert share_of(heard, TONE_HZ) > 0.01
    assert share_of(heard, PRIVATE_HZ) < 0.001
    assert len(swaps) > 4
    assert names(private) == ["Film.mkv"]
    assert sha256(private / "Film.mkv") == before


def test_a_link_that_comes_and_goes_all_the_time_shows_nothing(tmp_path: Path) -> None:
    """A thread exchanges them as fast as it can: what is read is the film, or an error."""
    library, private = tmp_path / "videos", tmp_path / "private"
    library.mkdir()
    private.mkdir()
    make_private(private / "Film.mkv")
    film = make_talk(library / "Film.mkv", 4.0)
    link, away = library / "link", library / "away"
    link.symlink_to(private / "Film.mkv")
    over = threading.Event()

    def exchange() -> None:
        while not over.is_set():
            os.link(film, away)
            link.rename(film)
            film.rename(link)
            away.rename(film)

    confines, seen = Confines(library), {"film": 0, "refused": 0}
    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        until = time.monotonic() + 60
        while min(seen.values()) < 5 and time.monotonic() < until:
            target = tmp_path / "heard.wav"
            try:
                with readable(film, confines.opened) as name:
                    run_ffmpeg([*input_arguments(name), "-vn", "-t", "1", str(target)], path=film)
            except LeadsOut:
                seen["refused"] += 1
            except MediaError:
                continue  # it was away for a moment
            else:
                assert share_of(sound_of(target), TONE_HZ) > 0.9
                seen["film"] += 1
    finally:
        over.set()
        thread.join()
    assert min(seen.values()) >= 5, seen


@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("name", ["Film.es.srt", "cast.toml", "Film.mkv.dub"])
def test_what_lies_beside_a_film_is_not_read_over_a_link_nor_waited_for(
    tmp_path: Path, name: str, kind: str
) -> None:
    """Subtitles would be spoken aloud, a marker would be copied into its answer."""
    private = tmp_path / "private"
    private.write_text("1\n00:00:00,500 --> 00:00:03,000\nNobody may know.\n", "utf-8")
    with Program(tmp_path, PROCESS_EXISTING="true") as program:
        make_talk(program.videos / "Film.mkv", 4.0)
        path = program.videos / name
        path.symlink_to(private) if kind == "link" else os.mkfifo(path)
        program.start()
        assert program.ended("Film.mkv").state.ended
        if name.endswith(".dub") and kind == "link":
            eventually(lambda: (program.videos / f"{name}.failed").exists(), "answered")
            assert "leads out" in (program.videos / f"{name}.failed").read_text()
        told = [
            p.read_text()
            for p in program.videos.iterdir()
            if p.is_file() and not p.is_symlink() and p.suffix != ".mkv" and p.suffix != ".mka"
        ]
        assert not [text for text in told if "Nobody may know" in text]
        reports = [p.read_text() for p in (program.config / "reports").iterdir()]
        assert not [text for text in reports if "Nobody may know" in text]
