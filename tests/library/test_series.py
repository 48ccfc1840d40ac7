"""Which videos are episodes of one series."""

from __future__ import annotations

from pathlib import Path

import pytest

from dubarr_watch.library.series import series_of

ROOT = Path("/media")


@pytest.mark.parametrize(
    ("path", "name", "folder", "season", "episode"),
    [
        ("Show/Season 01/Show - S01E02 - Title.mkv", "Show", "Show", 1, 2),
        ("tv/Show (2019) {tvdb-1}/Season 2/Show (2019) - S02E10.mkv", "Show",
         "tv/Show (2019) {tvdb-1}", 2, 10),
        ("Show/Staffel 3/03 - Anfang.mkv", "Show", "Show", 3, 3),
        ("Show/Specials/Making of.mkv", "Show", "Show", 0, None),
        ("Show/S01E02E03.mkv", "Show", "Show", 1, 2),
        ("The Show/the.show.s01e02.1080p.mkv", "The Show", "The Show", 1, 2),
        ("Show/Show 1x02.avi", "Show", "Show", 1, 2),
        ("Show.S01.1080p-GRP/Show.S01E02.1080p-GRP.mkv", "Show", "", 1, 2),
        ("Show.S02E01.1080p-GRP/Show.S02E01.1080p-GRP.mkv", "Show", "", 2, 1),
        ("My.Show.S01E02.mkv", "My Show", "", 1, 2),
        ("tv/My.Show.S01E02.mkv", "My Show", "tv", 1, 2),
        ("Season 1/My Show S01E02.mkv", "My Show", "", 1, 2),
        ("Anime/[Group] Die Katze - 012v2 [1080p].mkv", "Die Katze", "Anime", None, 12),
        ("Die Katze/Die Katze - 12.mkv", "Die Katze", "Die Katze", None, 12),
        ("Café/Cafe\u0301 - S01E01.mkv", "Café", "Café", 1, 1),
    ],
)  # fmt: skip
def test_an_episode_belongs_to_its_series(
    path: str, name: str, folder: str, season: int | None, episode: int | None
) -> None:
    found = series_of(ROOT / path, ROOT)
    assert found is not None
    assert (found.name, found.folder) == (name, ROOT / folder)
    assert (found.season, found.episode) == (season, episode)


@pytest.mark.parametrize(
    "path",
    [
        "Film (2010)/Film (2010).mkv",
        "Film 1080p x264.mkv",
        "Apollo - 13.mkv",
        "Films/Apollo - 13.mkv",
        "1920x1080 test.mkv",
        "S01E02.mkv",
        "Heinrich VIII.mkv",
        "Seasons of Love/film.mkv",
    ],
)
def test_a_film_belongs_to_none(path: str) -> None:
    assert series_of(ROOT / path, ROOT) is None


def test_a_video_outside_of_the_library_belongs_to_none() -> None:
    assert series_of(Path("/elsewhere/Show/S01E01.mkv"), ROOT) is None


def test_seasons_of_one_series_share_a_key_and_loose_series_in_one_folder_do_not() -> None:
    def key(path: str) -> str:
        found = series_of(ROOT / path, ROOT)
        assert found is not None
        return found.key

    assert key("A.Show.S01.720p/A.Show.S01E01.mkv") == key("A.Show.S02.720p/A.Show.S02E01.mkv")
    assert key("Show/Season 1/x.S01E01.mkv") == key("Show/Season 2/y.S02E01.mkv")
    assert key("tv/One.S01E01.mkv") != key("tv/Two.S01E01.mkv")
    assert key("A/S01E01.mkv") != key("B/S01E01.mkv")
