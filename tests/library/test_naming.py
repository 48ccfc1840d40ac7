"""Which names are videos, which are left alone, and what ours are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dubarr_watch.errors import PublishError
from dubarr_watch.library.naming import (
    FINGERPRINT_BYTES,
    fingerprint,
    is_ignored_folder,
    is_ignored_path,
    is_our_output,
    is_video_name,
    sidecar_path,
    subtitles_path,
)


@pytest.mark.parametrize(
    "name",
    [
        "Film.mkv", "Film.MP4", "a.b.c.webm", "S01E01.ts", "The Sample.mkv", "Trailer Park.mkv",
        "The-Big-Short.mkv", "Extra Ordinary.mkv", "partial.eclipse.mkv", "caf\udce9.mkv",
    ],
)  # fmt: skip
def test_these_are_videos(name: str) -> None:
    assert is_video_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "song.mp3", "Film.mka", "Film", ".mkv", ".Film.mkv", "._Film.mkv", "Film.mkv.part",
        "Film.mkv.partial", "Film.mkv.partial~", "Film.mkv.tmp", "Film.mkv.!qB",
        "Film.mkv.crdownload", "Film.mkv.x8Kq2.partial", "~syncthing~Film.mkv", "sample.mkv",
        "Film-sample.mkv", "sample-film.mkv", "Film.sample.mkv", "Film-trailer.mp4",
        "Film-behindthescenes.mkv", "Film-DELETED.mkv", "Film-featurette.mkv",
        ".Film.mkv.dubarr-12.tmp", "Film.Dubarr.pl.mka", "Film.Dubarr.pl.srt",
    ],
)  # fmt: skip
def test_these_are_no_videos_to_dub(name: str) -> None:
    assert not is_video_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "@eaDir", "#recycle", "@Recycle", ".stfolder", "lost+found", ".hidden", "Sample", "samples",
        "Trailers", "Extras", "Behind The Scenes", "$RECYCLE.BIN", "_UNPACK_Film",
    ],
)  # fmt: skip
def test_these_folders_are_left_alone(name: str, tmp_path: Path) -> None:
    assert is_ignored_folder(name)
    assert is_ignored_path(tmp_path / "deep" / name / "Film.mkv", tmp_path)


@pytest.mark.parametrize("name", ["Shorts", "Interviews", "Other", "recycled", "Season 1"])
def test_these_folders_are_the_users_own_words(name: str) -> None:
    assert not is_ignored_folder(name)


def test_a_root_below_a_hidden_folder_is_a_root_all_the_same() -> None:
    assert not is_ignored_path(Path("/home/.me/videos/Film.mkv"), Path("/home/.me/videos"))
    assert is_ignored_path(Path("/elsewhere/Film.mkv"), Path("/home/.me/videos"))


@pytest.mark.parametrize("name", ["Film.Dubarr.pl.mka", "Film.Dubarr.haw.srt", ".x.dubarr-3.tmp"])
def test_our_names_are_known(name: str) -> None:
    assert is_our_output(name)


@pytest.mark.parametrize("name", ["Film.pl.mka", "Dubarr.pl.mka", "Film.Dubarr.mka", "x.tmp"])
def test_other_names_are_not_ours(name: str) -> None:
    assert not is_our_output(name)


def test_a_track_stands_beside_its_video_by_the_same_stem() -> None:
    film = Path("/v/Film (2020).mkv")
    assert sidecar_path(film, "pl") == Path("/v/Film (2020).Dubarr.pl.mka")
    assert subtitles_path(film, "pl") == Path("/v/Film (2020).Dubarr.pl.srt")


def test_of_two_videos_with_one_stem_the_later_keeps_its_ending() -> None:
    other = sidecar_path(Path("/v/Film.mp4"), "pl", taken_by_other=True)
    assert other == Path("/v/Film.mp4.Dubarr.pl.mka")
    assert is_our_output(other.name)


def test_a_name_may_have_255_bytes_and_no_more() -> None:
    ending = len(".Dubarr.pl.mka")
    fits = Path("/v") / ("é" * ((255 - ending) // 2) + ".mkv")
    assert len(os.fsencode(sidecar_path(fits, "pl").name)) in (254, 255)
    with pytest.raises(PublishError, match="Shorten it by 1 bytes"):
        sidecar_path(Path("/v") / ("n" * (256 - ending) + ".mkv"), "pl")


@pytest.mark.parametrize("size", [0, 1, FINGERPRINT_BYTES, FINGERPRINT_BYTES + 1, 300_000])
def test_a_fingerprint_tells_size_head_and_tail(tmp_path: Path, size: int) -> None:
    path = tmp_path / "Film.mkv"
    content = bytearray(os.urandom(size))
    path.write_bytes(content)
    first = fingerprint(path)
    assert fingerprint(path) == first
    path.write_bytes(content + b"\0")
    assert fingerprint(path) != first
    for position in {0, size - 1} if size else set():
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        assert fingerprint(path) != first
