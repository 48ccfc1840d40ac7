"""Each server is asked in its own way to look at one item; what goes wrong is told plainly."""

from __future__ import annotations

import json
import logging
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dubarr_watch.doctor import CheckState, examine
from dubarr_watch.doctor.neighbours import check_servers
from dubarr_watch.errors import DubarrError
from dubarr_watch.neighbours.asking import MAX_OBJECT_CHARS, NotTold
from dubarr_watch.neighbours.owners import AGAIN_S, KEPT_S
from dubarr_watch.neighbours.servers import NotTheirs, Server, configured
from dubarr_watch.settings import Settings, load_settings
from tests.services import media_servers
from tests.services.media_servers import TOKEN, MediaServer

NAMES = ("jellyfin", "emby", "plex", "kodi", "radarr", "sonarr")
KEYS = {
    "jellyfin": "jellyfin_token", "emby": "emby_token", "plex": "plex_token", "kodi": "kodi_pass",
    "radarr": "radarr_api_key", "sonarr": "sonarr_api_key",
}  # fmt: skip
MAPS = {
    "path_map": "/movies=/v/movies,D:\\TV=/v/tv",
    "media_path_map": "/v=/media,kodi:/v=smb://nas/share,emby:/v/movies=E:\\Films",
    "videos_dir": "/v",
}
FILM, EPISODE = Path("/v/movies/Film/a & b.mkv"), Path("/v/tv/Show/Nested/S01/a.mkv")


@pytest.fixture
def servers() -> Iterator[dict[str, MediaServer]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(getattr(media_servers, name.capitalize())()) for name in NAMES
        }


def settings_for(servers: dict[str, MediaServer], **changes: Any) -> Settings:
    given = {f"{name}_url": server.url + "/" for name, server in servers.items()}
    given |= {KEYS[name]: TOKEN for name in servers}
    return load_settings(**{**given, **MAPS, **changes})


def ours(servers: dict[str, MediaServer], name: str, **changes: Any) -> Server:
    found = configured(settings_for({name: servers[name]}, **changes))
    return found[name]


def impatient(server: Any) -> Server:
    return replace(server, line=replace(server.line, timeout_s=0.2))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("name", "video", "looked_at"),
    [
        ("jellyfin", FILM, ("/media/movies/Film/a & b.mkv", "Modified")),
        ("emby", FILM, ("E:\\Films\\Film\\a & b.mkv", "Modified")),
        ("emby", EPISODE, ("/media/tv/Show/Nested/S01/a.mkv", "Modified")),
        ("plex", FILM, ("1", "/media/movies/Film")),
        ("plex", EPISODE, ("2", "/media/tv/Show/Nested/S01")),
        ("kodi", FILM, "smb://nas/share/movies/Film/"),
        ("radarr", FILM, 7),
        ("radarr", Path("/v/movies/Film 2/a.mkv"), 8),
        ("sonarr", EPISODE, 4),
        ("sonarr", Path("/v/tv/Show/S01/a.mkv"), 3),
    ],
)
def test_it_looks_at_that_one_item(
    servers: dict[str, MediaServer], name: str, video: Path, looked_at: object
) -> None:
    """Under the path that it has there."""
    ours(servers, name).look(video)
    assert servers[name].looked_at == [looked_at]


@pytest.mark.parametrize(
    ("name", "video"),
    [("plex", Path("/v/music/a.mkv")), ("radarr", EPISODE), ("sonarr", FILM)],
)
def test_what_a_server_does_not_have_is_none_of_its(
    servers: dict[str, MediaServer], name: str, video: Path
) -> None:
    with pytest.raises(NotTheirs):
        ours(servers, name).look(video)
    assert servers[name].looked_at == []


class TestAskingLittle:
    """Radarr and Sonarr cannot be asked by path, and their whole list may be large."""

    @pytest.mark.parametrize(
        ("name", "video", "query"),
        [
            ("radarr", "movies/Film (1999) {tmdb-603}/a.mkv", "/api/v3/movie?tmdbId=603"),
            ("radarr", "movies/Film (1999) [tmdbid-603]/a.mkv", "/api/v3/movie?tmdbId=603"),
            ("sonarr", "tv/Show [tvdb-81]/S01/a.mkv", "/api/v3/series?tvdbId=81"),
        ],
    )
    def test_what_a_folder_is_named_with_is_asked_for_alone(
        self, servers: dict[str, MediaServer], name: str, video: str, query: str
    ) -> None:
        theirs: Any = servers[name]
        folder = video.split("/")[1]
        theirs.items = (*theirs.items, (9, f"{theirs.root}{'/' if name == 'radarr' else chr(92)}"
                                           f"{folder}"))  # fmt: skip
        ours(servers, name).look(Path("/v") / video)
        assert theirs.looked_at == [9]
        assert [path for path in theirs.paths if path != "/api/v3/command"] == [query]

    def test_their_list_is_read_once_for_many_tracks(self, servers: dict[str, MediaServer]) -> None:
        """Until it is old, or something is not in it; then at most once a minute."""
        now = [0.0]
        radarr: Any = ours(servers, "radarr")
        radarr = replace(radarr, owners=replace(radarr.owners, clock=lambda: now[0]))
        theirs: Any = servers["radarr"]

        def lists() -> int:
            return sum(path.startswith("/api/v3/movie") for path in theirs.paths)

        for number in range(3):
            radarr.look(Path(f"/v/movies/Film/{number}.mkv"))
        assert (theirs.looked_at, lists()) == ([7, 7, 7], 1)
        theirs.items = (*theirs.items, (9, "/movies/New"))
        for _ in range(2):
            with pytest.raises(NotTheirs):
                radarr.look(Path("/v/movies/New/a.mkv"))
        assert lists() == 1
        now[0] = AGAIN_S + 1
        radarr.look(Path("/v/movies/New/a.mkv"))
        assert (theirs.looked_at[-1], lists()) == (9, 2)
        now[0] += KEPT_S + 1
        theirs.items = ((10, "/movies/Film"),)
        radarr.look(FILM)
        assert (theirs.looked_at[-1], lists()) == (10, 3)

    def test_a_film_that_it_no_longer_has_is_looked_for_anew(
        self, servers: dict[str, MediaServer]
    ) -> None:
        radarr, theirs = ours(servers, "radarr"), servers["radarr"]
        radarr.look(FILM)
        theirs.answers = [404]
        with pytest.raises(NotTold):
            radarr.look(FILM)
        radarr.look(FILM)
        assert sum(path.startswith("/api/v3/movie") for path in theirs.paths) == 2

    def test_no_more_than_one_film_is_in_memory(self, servers: dict[str, MediaServer]) -> None:
        """Of a list of 20 MB."""
        theirs: Any = servers["radarr"]
        theirs.items = tuple((number, f"/movies/{number}") for number in range(4000))
        theirs.overview = "Żółw " * 1000
        radarr = ours(servers, "radarr")
        answer = json.dumps(theirs.asked("/api/v3/movie", {}, None)[1], ensure_ascii=False).encode()
        assert len(answer) > 20_000_000
        theirs.body = answer
        tracemalloc.start()
        with pytest.raises(DubarrError):  # the command is answered with the same
            radarr.look(Path("/v/movies/nowhere/a.mkv"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < len(answer) / 4

    def test_a_film_without_an_end_is_let_be(self, servers: dict[str, MediaServer]) -> None:
        servers["radarr"].body = b'[{"path": "' + b"x" * (MAX_OBJECT_CHARS + 10)
        with pytest.raises(NotTold, match="has no end"):
            ours(servers, "radarr").look(FILM)


def _told(error: DubarrError) -> str:
    return f"{error!r} {error} {error.hint} {error.__cause__} {error.__context__}"


class TestTrouble:
    """The words name the server, the setting and what to do, and never a token."""

    @pytest.fixture(autouse=True, params=NAMES)
    def server(self, request: pytest.FixtureRequest, servers: dict[str, MediaServer]) -> Server:
        self.name: str = request.param
        self.theirs = servers[self.name]
        self.servers = servers
        return ours(servers, self.name)

    def fails(self, server: Server, message: str, hint: str) -> None:
        for call in (lambda: server.look(FILM), server.check):
            with pytest.raises(DubarrError) as caught:
                call()
            assert message in caught.value.message
            assert server.line.label in caught.value.message
            assert hint in caught.value.hint
            assert TOKEN not in _told(caught.value)

    def test_a_wrong_token(self) -> None:
        key = KEYS[self.name]
        wrong = ours(self.servers, self.name, **{key: "made-up-and-wrong"})
        self.fails(wrong, f"does not accept what {key.upper()} says", f"Set {key.upper()} to ")

    def test_no_token(self) -> None:
        none = ours(self.servers, self.name, **{KEYS[self.name]: None})
        self.fails(none, "does not accept", KEYS[self.name].upper())

    def test_an_error_of_its_own(self, server: Server) -> None:
        self.theirs.answers = [500, 503]
        for status in (500, 503):
            call = (lambda: server.look(FILM)) if status == 500 else server.check
            with pytest.raises(DubarrError, match=f"answers with status {status}"):
                call()

    def test_a_missing_base_path(self, server: Server) -> None:
        self.theirs.answers = [404] * 2
        self.fails(server, "status 404", f"{self.name.upper()}_URL")

    def test_a_redirect_is_not_followed_with_the_token(self, server: Server) -> None:
        self.theirs.answers = [301] * 2
        self.fails(server, "https://other.example (status 301)", f"{self.name.upper()}_URL")

    def test_nobody_there(self) -> None:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
            gone = ours(self.servers, self.name, **{f"{self.name}_url": url})
            self.fails(gone, "cannot be reached at 127.0.0.1:", f"{self.name.upper()}_URL right")

    def test_too_slow(self, server: Server) -> None:
        self.theirs.released.clear()
        self.fails(impatient(server), "does not answer in time", "Is it running")

    def test_another_server_at_the_address(self, server: Server) -> None:
        for body in (b"<html>Welcome</html>", b"[]", b'{"a": 1}', b"[" * 100_000):
            self.theirs.body = body
            with pytest.raises(DubarrError):
                server.check()

    def test_no_log_holds_the_token(self, server: Server, caplog: pytest.LogCaptureFixture) -> None:
        """Not even that of the HTTP library at its most talkative; no address does, either."""
        for name in ("httpx", "httpcore"):  # which our own logs silence
            caplog.set_level(logging.DEBUG, name)
        server.check()
        server.look(EPISODE if self.name == "sonarr" else FILM)
        assert caplog.records
        assert TOKEN not in caplog.text
        assert not any(TOKEN in path for path in self.theirs.paths)


class TestDoctor:
    def test_it_says_who_was_reached(self, servers: dict[str, MediaServer]) -> None:
        result = check_servers("servers", settings_for(servers))
        assert result.state is CheckState.OK
        for said in ("Jellyfin 1.2.3", "Emby 1.2.3", "Plex", "Kodi 21", "Radarr 1.2.3", "Sonarr"):
            assert said in result.found

    def test_it_says_what_to_do_about_each_that_fails(
        self, servers: dict[str, MediaServer]
    ) -> None:
        settings = settings_for(servers, plex_token="made-up-and-wrong")
        servers["kodi"].answers = [500]
        (result,) = examine(settings, {"servers": check_servers})
        assert result.state is CheckState.FAILED
        assert "Plex does not accept what PLEX_TOKEN says." in result.found
        assert "Kodi answers with status 500." in result.found
        assert "Well: Jellyfin 1.2.3" in result.found
        assert "Set PLEX_TOKEN to" in result.advice

    @pytest.mark.parametrize(
        ("changes", "told"),
        [
            ({"media_path_map": ""}, "None of Plex's libraries is in /v."),
            ({"path_map": ""}, "Radarr keeps its files in /movies, which is not in VIDEOS_DIR /v."),
            ({"path_map": ""}, "Map it, e.g. PATH_MAP=/movies=/v."),
        ],
    )
    def test_it_finds_a_missing_path_map(
        self, servers: dict[str, MediaServer], changes: dict[str, str], told: str
    ) -> None:
        result = check_servers("servers", settings_for(servers, **changes))
        assert told in f"{result.found} {result.advice}"

    def test_without_servers_there_is_nothing_to_check(self) -> None:
        assert check_servers("servers", load_settings()).state is CheckState.SKIPPED
