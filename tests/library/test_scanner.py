"""Walking the library without tripping over anything in it."""

from __future__ import annotations

import os
from pathlib import Path

from structlog.testing import capture_logs

from dubarr_watch.library.scanner import Walk, read_folder, see_file


def _videos(walk: Walk) -> list[str]:
    return [video.path.name for folder in walk.folders() for video in folder.videos]


def test_videos_and_markers_are_found_and_the_rest_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "sub" / "Samples").mkdir(parents=True)
    (tmp_path / "folder.mkv").mkdir()
    (tmp_path / "folder.dub").mkdir()
    for name in (
        "b.mkv",
        "a.mkv",
        "a.mkv.dub",
        ".nodub",
        "a.srt",
        "sub/c.mp4",
        "sub/Samples/x.mkv",
    ):
        (tmp_path / name).write_bytes(b"12345")
    walk = Walk(tmp_path)
    folders = list(walk.folders())
    assert [f.path.name for f in folders[0].videos] == ["a.mkv", "b.mkv"]
    assert folders[0].videos[0].size_bytes == 5
    assert [m.file.path.name for m in folders[0].markers] == [".nodub", "a.mkv.dub"]
    assert [f.path.name for folder in folders for f in folder.videos][2:] == ["c.mp4"]
    assert walk.folders_read == 4


def test_links_to_folders_are_not_followed_unless_told_and_never_in_circles(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (outside / "film.mkv").touch()
    (root / "link").symlink_to(outside)
    (root / "circle").symlink_to(root)
    assert _videos(Walk(root)) == []
    assert _videos(Walk(root, follow_links=True)) == ["film.mkv"]


def test_a_link_to_a_file_is_that_file_and_a_broken_one_is_none(tmp_path: Path) -> None:
    real = tmp_path / "elsewhere"
    real.write_bytes(b"123")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.mkv").symlink_to(real)
    (root / "broken.mkv").symlink_to(tmp_path / "nowhere")
    (root / "self.mkv").symlink_to(root / "self.mkv")
    seen, _ = read_folder(root)
    assert [(v.path.name, v.size_bytes) for v in seen.videos] == [("link.mkv", 3)]


def test_pipes_and_sockets_are_no_videos(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mkv")
    assert _videos(Walk(tmp_path)) == []
    assert see_file(tmp_path / "pipe.mkv") is None


def test_names_that_are_no_utf8_are_found(tmp_path: Path) -> None:
    (tmp_path / "caf\udce9.mkv").touch()
    assert b"caf\xe9.mkv" in os.listdir(os.fsencode(tmp_path))
    assert _videos(Walk(tmp_path)) == ["caf\udce9.mkv"]


def test_a_folder_that_vanishes_during_the_walk_is_passed_over(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.mkv").touch()
    walk = Walk(tmp_path)
    found = []
    for folder in walk.folders():
        found += [video.path.name for video in folder.videos]
        if folder.path == tmp_path:
            (tmp_path / "b" / "b.mkv").unlink()
            (tmp_path / "b").rmdir()
    assert found == ["a.mkv", "c.mkv"]
    assert walk.covered(tmp_path / "b" / "b.mkv")


def test_a_folder_that_cannot_be_read_is_told_once_and_says_nothing_about_its_files(
    tmp_path: Path,
) -> None:
    # A name too long for the kernel fails like a folder without permission, for root as well.
    deep = tmp_path
    for _ in range(17):
        deep = deep / ("d" * 250)
    with capture_logs() as logs:
        walk = Walk(deep)
        assert list(walk.folders()) == []
        assert list(Walk(deep).folders()) == []
    assert [entry["event"] for entry in logs] == ["folder_unreadable"]
    assert not walk.covered(deep / "film.mkv")


def test_a_root_that_is_not_there_covers_nothing(tmp_path: Path) -> None:
    walk = Walk(tmp_path / "nowhere")
    assert list(walk.folders()) == []
    assert not walk.covered(tmp_path / "nowhere" / "film.mkv")
