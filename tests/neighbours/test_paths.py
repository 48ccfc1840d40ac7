"""How a path of a neighbour becomes one of ours, and which never does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dubarr_watch.errors import SettingsInvalid
from dubarr_watch.library.confines import Confines
from dubarr_watch.neighbours.paths import OutsideLibrary, library_path, rewritten
from dubarr_watch.settings import load_settings

RULES = (
    ("/movies", "/app/videos/movies"),
    ("/movies/kids/", "/app/videos/children"),
    ("D:\\TV", "/app/videos/tv"),
    ("\\\\nas\\share", "/app/videos/nas"),
    ("/a=b", "/app/videos/odd"),
)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("/movies/Film/a.mkv", "/app/videos/movies/Film/a.mkv"),
        ("/movies", "/app/videos/movies"),
        ("/movies2/a.mkv", "/movies2/a.mkv"),
        ("/movies/kids/a.mkv", "/app/videos/children/a.mkv"),
        ("/movies/kidsfilm/a.mkv", "/app/videos/movies/kidsfilm/a.mkv"),
        ("/Movies/a.mkv", "/Movies/a.mkv"),
        ("D:\\TV\\Show\\a.mkv", "/app/videos/tv/Show/a.mkv"),
        ("d:/tv/Show\\a.mkv", "/app/videos/tv/Show/a.mkv"),
        ("D:\\TV2\\a.mkv", "D:\\TV2\\a.mkv"),
        ("\\\\NAS\\share\\a.mkv", "/app/videos/nas/a.mkv"),
        ("/a=b/c.mkv", "/app/videos/odd/c.mkv"),
        ("/elsewhere/a\\b.mkv", "/elsewhere/a\\b.mkv"),
    ],
)
def test_the_longest_known_folder_is_replaced(theirs: str, ours: str) -> None:
    assert rewritten(theirs, RULES) == ours


def test_our_path_becomes_one_of_windows_or_of_a_share() -> None:
    assert rewritten("/v/Film/a.mkv", [("/v", "D:\\Media")]) == "D:\\Media\\Film\\a.mkv"
    assert rewritten("/v/Film/a.mkv", [("/v/", "smb://nas/v")]) == "smb://nas/v/Film/a.mkv"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a.mkv").write_bytes(b"")
    root = tmp_path / "videos"
    (root / "Film").mkdir(parents=True)
    (root / "way-out").symlink_to(tmp_path / "outside")
    (root / "linked.mkv").symlink_to(tmp_path / "outside" / "a.mkv")
    return root


def test_a_path_in_the_library_need_not_exist(root: Path) -> None:
    longest = f"{'a' * 251}.mkv"
    for name in (longest, "Film/a.mkv", "Film/not/yet/b.mkv", "linked.mkv", "..a/..b.mkv"):
        assert library_path(f"{root}/{name}", (), Confines(root)) == root / name
    assert library_path("/theirs/Film//./a.mkv", [("/theirs", str(root))], Confines(root)) == (
        root / "Film" / "a.mkv"
    )
    assert library_path(str(root), (), Confines(root)) == root


@pytest.mark.parametrize(
    "path",
    [
        "", "a.mkv", "{root}/../outside/a.mkv", "{root}/Film/../../outside/a.mkv", "/etc/passwd",
        "{root}-2/a.mkv", "{root}/way-out/a.mkv", "{root}/way-out/deeper/a.mkv", "C:\\testpath",
        "{root}/a\0b.mkv", "{root}/\ud800.mkv", "{root}/Film/..",
        f"{{root}}/{'a' * 252}.mkv", f"{{root}}/{'é' * 126}.mkv",
    ],
)  # fmt: skip
def test_a_path_outside_is_refused_in_plain_words(root: Path, path: str) -> None:
    """Other folders, dots, links, what no file name can hold, and paths of another system."""
    with pytest.raises(OutsideLibrary) as error:
        library_path(path.replace("{root}", str(root)), (), Confines(root))
    assert error.value.message.endswith(".")


def test_the_error_says_which_setting_maps_the_path(root: Path) -> None:
    for path, guess in (("/movies/Film/a.mkv", "/movies"), ("D:\\TV\\Show\\a.mkv", "D:\\TV")):
        with pytest.raises(OutsideLibrary) as error:
            library_path(path, (), Confines(root))
        assert f"PATH_MAP={guess}={root}" in error.value.hint


def test_a_library_behind_a_link_is_a_library(root: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(root)
    assert library_path(f"{link}/Film/a.mkv", (), Confines(link)) == link / "Film" / "a.mkv"


def test_a_name_that_is_no_utf8_is_a_name(root: Path) -> None:
    name = os.fsdecode(b"caf\xe9.mkv")
    assert library_path(f"{root}/{name}", (), Confines(root)) == root / name


def test_the_settings_are_pairs_of_folders() -> None:
    settings = load_settings(
        path_map="/movies=/v/movies, D:\\TV=/v/tv,\n/a=b=/v/c",
        media_path_map="/v=/media, kodi:/v=smb://nas/v",
    )
    assert settings.path_map == (("/movies", "/v/movies"), ("D:\\TV", "/v/tv"), ("/a=b", "/v/c"))
    assert settings.media_path_map == (("/v", "/media"), ("kodi:/v", "smb://nas/v"))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("path_map", "/movies", "THEIR_FOLDER=/OUR_FOLDER"),
        ("path_map", "/movies=movies", "THEIR_FOLDER=/OUR_FOLDER"),
        ("media_path_map", "/v", "/OUR_FOLDER=THEIR_FOLDER"),
        ("media_path_map", "v=/media", "/OUR_FOLDER=THEIR_FOLDER"),
        ("media_path_map", "vlc:/v=/media", "'vlc' is none of jellyfin"),
        ("plex_url", "plex:32400", "http://name:8096"),
        ("plex_url", "http://me:secret-word@plex:32400", "must hold no password"),
        ("jellyfin_url", "http://jellyfin:8096/?api_key=secret-word", "must hold no password"),
    ],
)
def test_what_is_no_pair_or_no_address_is_refused(name: str, value: str, told: str) -> None:
    with pytest.raises(SettingsInvalid) as error:
        load_settings(**{name: value})
    assert name.upper() in str(error.value)
    assert told in str(error.value)
    assert "secret-word" not in str(error.value)
