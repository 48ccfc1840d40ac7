"""Writing files whole or not at all."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock

import pytest

from dubarr_watch.errors import DiskFull, DubarrError, NotWritable, PublishError
from dubarr_watch.storage import plain_os_errors, rename_to_new, write_atomically
from tests.disks import command, tmpfs


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk of 64 KiB."""
    with tmpfs(tmp_path / "disk", "64k") as folder:
        yield folder


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A real disk that can only be read; even root cannot write to it."""
    with tmpfs(tmp_path / "disk", "64k") as folder:
        assert command("mount", "-o", "remount,ro", folder)
        yield folder


def test_the_content_is_whole_and_nothing_else_is_left(tmp_path: Path) -> None:
    """The folder is made, the file replaced, and no temporary file stays."""
    path = tmp_path / "new" / "report.json"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("links", [True, False])
def test_a_new_name_is_never_that_of_something_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    """With hard links not even of what came the instant before."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("ours")
    target.write_text("somebody's")
    if links:
        monkeypatch.setattr(os.path, "lexists", lambda path: False)
    else:
        refusal = OSError(errno.EPERM, "no links here")
        monkeypatch.setattr(os, "link", Mock(side_effect=refusal))
    with pytest.raises(FileExistsError):
        rename_to_new(source, target)
    assert (source.read_text(), target.read_text()) == ("ours", "somebody's")
    target.unlink()
    rename_to_new(source, target)
    assert (source.exists(), target.read_text()) == (False, "ours")


def test_a_full_disk_leaves_the_old_file(tiny_disk: Path) -> None:
    """No space: the error says so, the old content stays, the half file goes."""
    path = tiny_disk / "report.json"
    write_atomically(path, b"old")
    with pytest.raises(DiskFull) as caught:
        write_atomically(path, bytes(200_000))
    assert caught.value.path == path
    assert path.read_bytes() == b"old"
    assert list(tiny_disk.iterdir()) == [path]


def test_a_disk_nearly_full_takes_what_fits(tiny_disk: Path) -> None:
    """Up to the last page it is written."""
    write_atomically(tiny_disk / "a", bytes(60_000))
    with pytest.raises(DiskFull):
        write_atomically(tiny_disk / "b", bytes(60_000))


def test_a_read_only_disk_says_what_to_do(read_only_disk: Path) -> None:
    """The error names the folder that cannot be written to."""
    with pytest.raises(NotWritable, match="Read-only") as caught:
        write_atomically(read_only_disk / "report.json", b"x")
    assert caught.value.path == read_only_disk
    with pytest.raises(NotWritable):
        write_atomically(read_only_disk / "deep" / "er" / "report.json", b"x")


def test_a_file_where_a_folder_should_be_is_an_error(tmp_path: Path) -> None:
    """What is neither space nor permission says what it is."""
    (tmp_path / "reports").write_text("in the way")
    with pytest.raises(PublishError, match=r"exists|Not a directory"):
        write_atomically(tmp_path / "reports" / "a" / "1.json", b"x")


def test_a_folder_under_the_final_name_is_an_error(tmp_path: Path) -> None:
    """A directory is not replaced, and the temporary file goes."""
    (tmp_path / "1.json").mkdir()
    with pytest.raises(PublishError):
        write_atomically(tmp_path / "1.json", b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["1.json"]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (errno.ENOSPC, DiskFull),
        (errno.EDQUOT, DiskFull),
        (errno.EACCES, NotWritable),
        (errno.EPERM, NotWritable),
        (errno.EROFS, NotWritable),
        (errno.EIO, PublishError),
    ],
)
def test_every_refusal_has_its_error(code: int, kind: type[DubarrError], tmp_path: Path) -> None:
    """The operating system's reasons become errors with a way out."""
    with pytest.raises(kind) as caught, plain_os_errors(tmp_path / "f"):
        raise OSError(code, os.strerror(code))
    assert isinstance(caught.value.__cause__, OSError)
    assert type(caught.value) is kind


def test_a_failing_disk_at_the_last_moment_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fsync refuses was never written."""

    def refuse(handle: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(PublishError, match="Input/output"):
        write_atomically(tmp_path / "f", b"x")
    assert list(tmp_path.iterdir()) == []


def test_the_name_is_made_to_last_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the rename the folder is synced: without that a power cut takes the name back."""
    synced: list[bool] = []
    real = os.fsync

    def watch(handle: int) -> None:
        synced.append((tmp_path / "f").exists())
        real(handle)

    monkeypatch.setattr("os.fsync", watch)
    write_atomically(tmp_path / "f", b"x")
    assert synced == [False, True]


def test_writers_of_one_name_do_not_mix(tmp_path: Path) -> None:
    """Two threads that write the same file leave the whole content of one of them."""
    path = tmp_path / "f"
    contents = [bytes([n]) * 300_000 for n in range(4)]

    def write(content: bytes) -> None:
        for _ in range(5):
            write_atomically(path, content)

    threads = [threading.Thread(target=write, args=[content]) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]
