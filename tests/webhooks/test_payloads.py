"""What the payloads of neighbours mean, and that no payload at all can break anything."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from dubarr_watch.neighbours.payloads import (
    Arrived,
    Deleted,
    Ignored,
    News,
    Renamed,
    Test,
    Wanted,
    parse,
)

FOLDER = Path(__file__).parent / "payloads"
GOLDEN = {path.stem: json.loads(path.read_text("utf-8")) for path in FOLDER.glob("*.json")}

FILM = "/movies/The Paper Lighthouse (2031)"
NEW, OLD = (
    f"{FILM}/The Paper Lighthouse (2031) WEBDL-1080p.mkv",
    f"{FILM}/The Paper Lighthouse (2031) HDTV-720p.mkv",
)
SERIES = "/tv/Harbour Lights"
TAGS = ("dub-de-fr", "kids")


def episode(number: int) -> str:
    return f"{SERIES}/Season 1/Harbour Lights - S01E{number:02d}.mkv"


def ignored(what: str) -> Ignored:
    return Ignored(f"{what} asks for nothing.")


MEANING = {
    "radarr_download": News("Radarr", "Download", Arrived(((NEW, ("en",)),), TAGS)),
    "radarr_download_upgrade": News("Radarr", "Download", Arrived(((NEW, ("en",)),), TAGS, (OLD,))),
    "radarr_rename": News(
        "Radarr", "Rename", Renamed(((NEW, f"{FILM}/The Paper Lighthouse.mkv"),))
    ),
    "radarr_movie_file_delete": News("Radarr", "MovieFileDelete", Deleted((NEW,), on_purpose=True)),
    "radarr_movie_file_delete_upgrade": News("Radarr", "MovieFileDelete", Deleted((OLD,))),
    "radarr_movie_delete": News("Radarr", "MovieDelete", Deleted((FILM,), on_purpose=True)),
    "radarr_movie_delete_files_kept": News(
        "Radarr", "MovieDelete", Ignored("Its files were kept.")
    ),
    "radarr_test": News("Radarr", "Test", Test()),
    "radarr_grab": News("Radarr", "Grab", ignored("Grab")),
    "radarr_movie_added": News("Radarr", "MovieAdded", ignored("MovieAdded")),
    "radarr_manual_interaction": News(
        "Radarr", "ManualInteractionRequired", ignored("ManualInteractionRequired")
    ),
    "radarr_health": News("Radarr", "Health", ignored("Health")),
    "radarr_health_restored": News("Radarr", "HealthRestored", ignored("HealthRestored")),
    "radarr_application_update": News("Radarr", "ApplicationUpdate", ignored("ApplicationUpdate")),
    "sonarr_import": News("Sonarr", "Download", Arrived(((episode(1), ("da",)),), ("dub",))),
    "sonarr_import_upgrade": News(
        "Sonarr",
        "Download",
        Arrived(
            ((episode(1), ("da",)),),
            ("dub",),
            (f"{SERIES}/Season 1/Harbour Lights - S01E01 old.avi",),
        ),
    ),
    "sonarr_import_complete": News(
        "Sonarr", "Download", Arrived(tuple((episode(n), ("da",)) for n in (1, 2, 3)), ("dub",))
    ),
    "sonarr_rename": News(
        "Sonarr",
        "Rename",
        Renamed(
            tuple((episode(n), f"{SERIES}/Season 01/Harbour Lights 1x{n:02d}.mkv") for n in (1, 2))
        ),
    ),
    "sonarr_episode_file_delete": News("Sonarr", "EpisodeFileDelete", Deleted((episode(2),))),
    "sonarr_series_delete": News("Sonarr", "SeriesDelete", Deleted((SERIES,), on_purpose=True)),
    "sonarr_series_delete_files_kept": News(
        "Sonarr", "SeriesDelete", Ignored("Its files were kept.")
    ),
    "sonarr_test": News("Sonarr", "Test", Test()),
    "sonarr_grab": News("Sonarr", "Grab", ignored("Grab")),
    "sonarr_series_add": News("Sonarr", "SeriesAdd", ignored("SeriesAdd")),
    "sonarr_health": News("Sonarr", "Health", ignored("Health")),
    "sonarr_unknown": News("Sonarr", "SomethingOfNextYear", ignored("SomethingOfNextYear")),
    "bazarr_post_processing": News("Bazarr", "path", Wanted((episode(1),), {}, told=False)),
    "tautulli_added": News("Tautulli", "created", Wanted((NEW,), {}, told=False)),
    "tautulli_test": News("Tautulli", "test", Test()),
    "tautulli_pause": News("Tautulli", "pause", ignored("pause")),
    "plain": News("", "path", Wanted((NEW,), {})),
    "plain_with_wishes": News(
        "",
        "path",
        Wanted(
            ("/movies/a.mkv",),
            {"languages": "de,French", "mode": "mux", "again": "yes", "priority": "high"},
        ),
    ),
    "script_download": News("", "Download", Wanted(("/movies/a.mkv",), {})),
    "script_rename": News("", "Rename", ignored("Rename")),
    "script_test": News("", "Test", Test()),
}


def test_every_payload_has_its_meaning_written_down() -> None:
    assert GOLDEN.keys() == MEANING.keys()


@pytest.mark.parametrize("name", sorted(MEANING))
def test_a_payload_means_what_is_written_down(name: str) -> None:
    assert parse(GOLDEN[name]) == MEANING[name]


def test_a_file_without_a_path_is_found_in_its_folder() -> None:
    """Also where the folder is one of Windows."""
    file = {"relativePath": "Season 1\\a.mkv"}
    payload = {
        "eventType": "Download",
        "series": {"path": "D:\\TV\\Harbour Lights"},
        "episodeFile": file,
    }
    assert parse(payload).what == Arrived((("D:\\TV\\Harbour Lights\\Season 1\\a.mkv", ()),))


@pytest.mark.parametrize(
    ("media_info", "languages", "original", "spoken"),
    [
        (["eng"], ["German"], "French", ("en",)),
        (["eng", "ger"], [], "", ("en", "de")),
        (["eng", "en"], [{"name": "German"}], "", ("en",)),
        (["", "eng"], [{"id": 4, "name": "German"}], "French", ("en", "de")),
        (["und"], "German/Danish", "French", ("de", "da")),
        ([], [{"name": "Unknown"}], {"id": 2, "name": "French"}, ("fr",)),
        ([], [], "", ()),
        (None, None, None, ()),
        (7, {"name": 3}, [1], ()),
    ],
)
def test_what_a_file_speaks_is_told_by_its_tracks_then_its_release_then_its_film(
    media_info: object, languages: object, original: object, spoken: tuple[str, ...]
) -> None:
    """What a track says of itself is believed alone; the others only fill what it leaves open."""
    payload = {
        "eventType": "Download",
        "movie": {"originalLanguage": original},
        "movieFile": {
            "path": "/m/a.mkv",
            "languages": languages,
            "mediaInfo": {"audioLanguages": media_info},
        },
    }
    assert parse(payload).what == Arrived((("/m/a.mkv", spoken),))


@pytest.mark.parametrize(
    "payload",
    [
        None, True, 3, 0.5, "path", [], [[]], {}, {"path": 3}, {"path": None}, {"eventType": 3},
        {"eventType": "Download"}, {"eventType": "Download", "movie": 3, "movieFile": []},
        {"eventType": "Download", "movieFile": {"path": "x" * 5000}},
        {"eventType": "Download", "series": {}, "episodeFiles": "many"},
        {"eventType": "Rename", "renamedMovieFiles": [None, 3, {}, {"path": "/a"}]},
        {"eventType": "Rename", "renamedMovieFiles": [{"path": "/a", "previousPath": "/a"}]},
        {"eventType": "MovieDelete", "movie": {"folderPath": ""}, "deletedFiles": True},
        {"eventType": "MovieDelete", "movie": {"folderPath": "/m"}, "deletedFiles": "false"},
        {"eventType": "\N{SNOWMAN}" * 1000}, {"file": "/a"}, {"episode": "/a"},
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_ignored(payload: object) -> None:
    news = parse(payload)
    assert isinstance(news.what, Ignored)
    assert news.what.why
    assert len(news.event) <= 40


def test_no_damage_of_a_payload_makes_parsing_fail() -> None:
    """Each golden payload 200 times with one value replaced by something else entirely."""
    odd: list[object] = [
        None,
        [],
        {},
        "",
        "\0",
        "x" * 9999,
        -1,
        1e308,
        True,
        [None],
        {"a": []},
        "\ud800",
    ]
    chance = random.Random(5)
    for name in sorted(GOLDEN):
        for _ in range(200):
            payload = json.loads(json.dumps(GOLDEN[name]))
            where = payload
            while True:
                key = chance.choice(
                    list(where) if isinstance(where, dict) else list(range(len(where)))
                )
                if isinstance(where[key], dict | list) and where[key] and chance.random() < 0.7:
                    where = where[key]
                    continue
                where[key] = chance.choice(odd)
                break
            assert isinstance(parse(payload), News)


def test_a_payload_made_to_be_slow_is_read_quickly() -> None:
    """Thousands of files, tags and words that name no language."""
    words = [f"{'x' * 300}{n}" for n in range(5000)]
    payload = {
        "eventType": "Download",
        "series": {"path": "/tv", "tags": words, "originalLanguage": words},
        "episodeFiles": [
            {"path": f"/tv/{n}.mkv", "languages": words, "mediaInfo": {"audioLanguages": words}}
            for n in range(500)
        ],
    }
    started = time.process_time()
    assert isinstance(parse(payload).what, Arrived)
    assert time.process_time() - started < 2
