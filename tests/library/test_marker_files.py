"""Answering a marker: by a new name, losing nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dubarr_watch.errors import WrongUsage
from dubarr_watch.library.marker_files import mark_done, mark_failed, read_marker
from dubarr_watch.library.markers import MARKER_MAX_BYTES, decode_marker
from tests.library.conftest import House
from tests.waiting import eventually


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    path = tmp_path / "Film.mkv.dub"
    path.write_bytes(b"de\nfr\n")
    return path


def test_done_is_a_new_name_and_the_same_content(marker: Path) -> None:
    done = mark_done(marker)
    assert done == marker.with_name("Film.mkv.dub.done")
    assert done.read_bytes() == b"de\nfr\n"
    assert not marker.exists()


def test_an_older_answer_is_kept_and_the_new_one_numbered(marker: Path) -> None:
    older = marker.with_name("Film.mkv.dub.done")
    older.write_bytes(b"older")
    marker.with_name("Film.mkv.dub.done.2").write_bytes(b"old")
    assert mark_done(marker) == marker.with_name("Film.mkv.dub.done.3")
    assert older.read_bytes() == b"older"


def test_a_crash_between_the_two_names_is_made_good(marker: Path) -> None:
    """The answer has its name already, and the marker still its own: one answer, not two."""
    os.link(marker, marker.with_name("Film.mkv.dub.done"))
    assert mark_done(marker) == marker.with_name("Film.mkv.dub.done")
    assert os.listdir(marker.parent) == ["Film.mkv.dub.done"]


def test_failed_says_why_first_and_keeps_the_rest(marker: Path) -> None:
    failed = mark_failed(marker, "The disk\nis full.")
    assert failed is not None
    assert failed.read_bytes() == b"# The disk is full.\nde\nfr\n"
    assert os.listdir(marker.parent) == ["Film.mkv.dub.failed"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_the_reason_is_written_in_the_markers_own_encoding(marker: Path, encoding: str) -> None:
    marker.write_bytes("de\r\n".encode(encoding))
    failed = mark_failed(marker, "Größe unbekannt.")
    assert failed is not None
    assert decode_marker(failed.read_bytes()) == "# Größe unbekannt.\nde\r\n"


def test_bytes_that_are_no_text_are_kept_behind_the_reason(marker: Path) -> None:
    marker.write_bytes(b"\0\xff\0")
    failed = mark_failed(marker, "No text.")
    assert failed is not None
    assert failed.read_bytes() == b"# No text.\n\0\xff\0"


def test_a_file_too_large_to_be_a_marker_is_left_alone(marker: Path) -> None:
    marker.write_bytes(b"x" * (MARKER_MAX_BYTES + 1))
    failed = mark_failed(marker, "Too large.")
    assert failed is not None
    assert failed.read_bytes() == b"# Too large.\n"
    assert marker.stat().st_size == MARKER_MAX_BYTES + 1
    assert mark_failed(marker, "Too large.") == failed
    assert len(os.listdir(marker.parent)) == 2


def test_a_folder_that_cannot_be_written_leaves_the_marker_as_it_is(
    marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read_only(*_: object, **__: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "link", read_only)
    monkeypatch.setattr(Path, "rename", read_only)
    assert mark_done(marker) is None
    assert mark_failed(marker, "Why.") is None
    assert marker.read_bytes() == b"de\nfr\n"


def test_a_file_system_without_hard_links_renames(
    marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    marker.with_name("Film.mkv.dub.done").write_bytes(b"older")
    assert mark_done(marker) == marker.with_name("Film.mkv.dub.done.2")
    assert marker.with_name("Film.mkv.dub.done").read_bytes() == b"older"


def test_a_marker_that_is_gone_is_answered_by_nothing(marker: Path) -> None:
    marker.unlink()
    assert mark_done(marker) is None


def test_a_marker_with_the_longest_name_is_answered(tmp_path: Path) -> None:
    marker = tmp_path / ("n" * 244 + ".dub")
    marker.write_bytes(b"de")
    failed = mark_failed(marker, "Why.")
    assert failed is not None
    assert failed.read_bytes() == b"# Why.\nde"
    marker = tmp_path / ("m" * 251 + ".dub")  # no room for an ending
    marker.write_bytes(b"de")
    assert mark_failed(marker, "Why.") is None
    assert marker.read_bytes() == b"de"


def test_a_pipe_is_no_marker_and_holds_nobody_up(tmp_path: Path) -> None:
    pipe = tmp_path / "Film.dub"
    os.mkfifo(pipe)
    with pytest.raises(WrongUsage):
        read_marker(pipe)


DIES = """
import os, pathlib, signal, sys
pathlib.Path.replace = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
from dubarr_watch.library.marker_files import mark_failed
mark_failed(pathlib.Path(sys.argv[1]), "It failed.")
"""


def test_what_a_killed_process_left_of_an_answer_goes_at_the_next_start(house: House) -> None:
    """And nothing else: not what is being written, nor what only looks like it."""
    marker = house.root / "Films" / "Film.mkv.dub"
    marker.parent.mkdir()
    marker.write_bytes(b"de")
    child = subprocess.run([sys.executable, "-c", DIES, str(marker)], check=False)
    assert child.returncode == -signal.SIGKILL
    (left,) = (name for name in os.listdir(marker.parent) if name.endswith(".dubarr-0.tmp"))
    link = marker.parent / ".other.dubarr-0.tmp"
    link.symlink_to(marker.with_name("Film.mkv.dub.failed"))
    library = house.start()
    eventually(lambda: left not in os.listdir(marker.parent), "gone")
    young = marker.parent / ".young.dubarr-0.tmp"
    young.write_bytes(b"half an answer")
    house.pass_scans()
    assert sorted(os.listdir(marker.parent)) == [link.name, young.name, "Film.mkv.dub.failed"]
    assert not library.health().last_error
