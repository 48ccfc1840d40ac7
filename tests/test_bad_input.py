"""What people drop that cannot be dubbed, and names that break programs.

Each ends in a state with a plain reason, and nothing of the user's is changed or lost.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dubarr_watch.errors import NotWritable
from dubarr_watch.media import probe
from dubarr_watch.store.records import JobState
from tests.composing import Shop, make_mute, make_silence, make_talk, names, open_shop, sha256
from tests.disks import command, tmpfs
from tests.programs import Program
from tests.waiting import eventually


@dataclass(frozen=True)
class Bad:
    """A file that somebody drops.

    Attributes:
        make: Makes it at a path.
        state: What the daemon makes of it; nothing: it is not even a candidate.
        reason: Words of the reason.
        exit_code: Of `dub`.
        told: Words that `dub` says.
    """

    make: Callable[[Path], object]
    state: JobState | None
    reason: str
    exit_code: int
    told: str


def _cut(path: Path, share: float) -> None:
    make_talk(path)
    os.truncate(path, int(path.stat().st_size * share))


def _text(path: Path) -> None:
    path.write_text("I am no video.\n" * 1000)


def _dangling(path: Path) -> None:
    path.symlink_to(path.parent / "gone.mkv")


def _playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXTINF:10,\n/etc/passwd\n")


BAD = {
    "Mute.mkv": Bad(make_mute, JobState.FAILED, "no audio", 3, "no sound"),
    "Quiet.mkv": Bad(make_silence, JobState.DONE, "No speech found.", 0, "No speech found."),
    "Empty.mkv": Bad(Path.touch, JobState.WAITING, "empty", 3, "media"),
    "Cut.mkv": Bad(lambda p: _cut(p, 0.5), JobState.WAITING, "not complete", 0, ""),
    "Cut.mp4": Bad(lambda p: _cut(p, 0.5), JobState.WAITING, "not complete", 3, "media"),
    "Text.mkv": Bad(_text, JobState.WAITING, "no media file", 3, "no media file"),
    "Noise.avi": Bad(lambda p: p.write_bytes(os.urandom(300_000)), JobState.WAITING,
                     "no media file", 3, "no media file"),
    "Playlist.ts": Bad(_playlist, JobState.WAITING, "no media file", 3, "no media file"),
    "Folder.mkv": Bad(Path.mkdir, None, "", 2, "is a folder"),
    "Gone.mkv": Bad(_dangling, None, "", 2, "does not exist"),
    "Pipe.mkv": Bad(os.mkfifo, None, "", 2, "is no regular file"),
}  # fmt: skip

NAMES = [
    b"with spaces.mkv",
    b'it\'s "quoted".mkv',
    b"line\nbreak.mkv",
    b"back\\slash.mkv",
    "emoji \N{CLAPPER BOARD} żółć 映画.mkv".encode(),
    b"not utf-8 \xff\xfe.mkv",
    b"-rf.mkv",
    b"--help -i.mkv",
    b"%d%03d.mkv",
    b"[1080p] {x} *? $HOME `id`;.mkv",
    b"file:concat:a|b.mkv",
    b" spaces around .mkv",
    b"[bold]markup[.mkv",
    b"n" * 196 + b".mkv",
    b"UPPER.MKV",
]


@pytest.fixture(scope="module")
def dropped(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Program, dict[str, str]]]:
    """A daemon on a folder with all of these in which everything is asked for."""
    with Program(tmp_path_factory.mktemp("bad")) as program:
        (program.videos / ".dub").write_text("es\n")
        for name, bad in BAD.items():
            bad.make(program.videos / name)
        make_talk(program.videos / "Good.mkv", 5.0)
        files = [p for p in program.videos.iterdir() if p.is_file() and p.name != ".dub"]
        before = {p.name: sha256(p) for p in files}
        program.start()
        yield program, before


class TestDropped:
    """One daemon for all of these."""

    @pytest.mark.parametrize("name", BAD)
    def test_it_has_a_state_with_a_plain_reason(
        self, dropped: tuple[Program, dict[str, str]], name: str
    ) -> None:
        program, _ = dropped
        bad = BAD[name]
        assert program.ended("Good.mkv").state is JobState.DONE
        if bad.state is None:
            assert not [job for job in program.jobs() if job.video.path.name == name]
            return
        state = bad.state
        job = eventually(lambda: program.job(name, state), f"{name}: {program.jobs()}")
        assert bad.reason in job.reason
        assert "Traceback" not in job.reason

    def test_nothing_of_the_users_is_changed_and_nothing_is_left(
        self, dropped: tuple[Program, dict[str, str]]
    ) -> None:
        program, before = dropped
        program.ended("Good.mkv")
        eventually(lambda: not [j for j in program.jobs() if j.state is JobState.RUNNING])
        assert {name: sha256(program.videos / name) for name in before} == before
        ours = {"Good.Dubarr.es.mka", "Good.Dubarr.es.srt", ".dub", ".dub.done", ".dub.failed"}
        assert set(names(program.videos)) - set(BAD) - {"Good.mkv"} <= ours

    def test_the_daemon_still_takes_what_comes_next(
        self, dropped: tuple[Program, dict[str, str]]
    ) -> None:
        program, _ = dropped
        make_talk(program.videos / "Next.mkv", 5.0)
        assert program.ended("Next.mkv").state is JobState.DONE

    def test_a_file_that_was_cut_off_is_dubbed_once_it_is_whole(
        self, dropped: tuple[Program, dict[str, str]]
    ) -> None:
        program, _ = dropped
        make_talk(program.videos / "Cut.mkv")
        eventually(lambda: program.job("Cut.mkv", JobState.DONE), "dubbed")


class TestNamed:
    """`dub` says the same, at once."""

    @pytest.mark.parametrize("name", BAD)
    def test_dub_ends_with_a_code_and_plain_words(self, tmp_path: Path, name: str) -> None:
        bad = BAD[name]
        with Program(tmp_path) as program:
            path = program.videos / name
            bad.make(path)
            before = sha256(path) if path.is_file() else ""
            done = program.run("dub", path)
            assert done.returncode == bad.exit_code, done.stderr
            assert bad.told in done.stdout + done.stderr
            assert "Traceback" not in done.stderr
            assert before == (sha256(path) if path.is_file() else "")
            left = [n for n in names(program.videos) if n != name and ".Dubarr.es." not in n]
            assert left == []


class TestNames:
    @pytest.fixture
    def shop(self, tmp_path: Path) -> Iterator[Shop]:
        with open_shop(tmp_path) as opened:
            yield opened

    @pytest.mark.parametrize("name", NAMES, ids=[f"{name[:24]!r}" for name in NAMES])
    def test_it_is_dubbed_whatever_it_is_called(self, shop: Shop, name: bytes) -> None:
        film = make_talk(shop.videos / "plain.mkv", 4.0).rename(shop.videos / os.fsdecode(name))
        before = sha256(film)
        ended = shop.dub(film)
        assert ended.job.state is JobState.DONE, ended.job.reason
        assert shop.track(ended.job).name == f"{film.stem}.Dubarr.es.mka"
        assert probe(shop.track(ended.job)).duration_s == pytest.approx(4.0, abs=0.1)
        assert sha256(film) == before
        assert len(names(shop.videos)) == 3
        assert shop.dub(film, mode="mux").job.state is JobState.DONE
        assert len(probe(film).of_kind("audio")) == 2

    def test_a_name_too_long_for_its_track_says_by_how_much(self, shop: Shop) -> None:
        film = make_talk(shop.videos / f"{'n' * 242}.mkv", 4.0)
        ended = shop.dub(film)
        assert ended.job.state is JobState.FAILED
        assert "Shorten it by" in ended.job.reason
        assert names(shop.videos) == [film.name]


class TestReadOnly:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Iterator[Path]:
        """A file system with a video on it, remounted read-only."""
        with tmpfs(tmp_path / "mounted", "64m") as mounted:
            make_talk(mounted / "Film.mkv", 4.0)
            assert command("mount", "-o", "remount,ro", mounted)
            yield mounted

    def test_a_read_only_folder_is_named_with_a_way_out(self, tmp_path: Path, folder: Path) -> None:
        with open_shop(tmp_path) as shop:
            ended = shop.dub(folder / "Film.mkv")
            assert ended.job.state is JobState.FAILED
            assert isinstance(ended.error, NotWritable)
            assert str(folder) in ended.job.reason
            assert shop.spy.count("translate") == 0, "it is told before any work is done"
            assert names(folder) == ["Film.mkv"]

    def test_the_daemon_lives_on_with_a_read_only_library(
        self, tmp_path: Path, folder: Path
    ) -> None:
        with Program(tmp_path, VIDEOS_DIR=str(folder), PROCESS_EXISTING="true") as program:
            program.start()
            ended = program.ended("Film.mkv")
            assert ended.state is JobState.FAILED
            assert str(folder) in ended.reason
            assert program.daemon is not None
            assert program.daemon.poll() is None

    def test_a_full_disk_is_told_and_leaves_nothing(self, tmp_path: Path) -> None:
        with tmpfs(tmp_path / "small", "400k") as mounted, open_shop(tmp_path) as shop:
            ended = shop.dub(make_talk(mounted / "Film.mkv", 4.0))
            assert ended.job.state is JobState.FAILED
            assert "space" in ended.job.reason
            assert names(mounted) == ["Film.mkv"]
